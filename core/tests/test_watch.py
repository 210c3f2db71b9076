"""Where the recorded part and the live part of what is watched meet."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.cli.watch import joined_frames
from recgate.errors import RecgateError
from recgate.recording.frames import RecordedFrame


def frame(n, data=None):
    return RecordedFrame(n, n * 1000, 1, 1, "data", str(n).encode() if data is None else data)


def line(recorded):
    return {
        "seq": recorded.seq,
        "t": recorded.t
        + 700,  # the gateway takes the time of a live frame a moment later than the recorder did
        "channel": recorded.channel,
        "side": recorded.side,
        "kind": recorded.kind,
        "data": base64.b64encode(recorded.data).decode(),
    }


def joined(recorded, live):
    return [each.seq for each in joined_frames(recorded, map(line, live))]


@given(st.integers(0, 20), st.integers(0, 20))
def test_each_frame_comes_once_however_the_two_overlap(recorded, overlap):
    frames = [frame(n, b"k") for n in range(30)]  # a key held down: only the numbers tell them apart
    live = frames[recorded - min(overlap, recorded) :]
    assert joined(frames[:recorded], live) == list(range(30))


def test_one_part_alone_is_the_whole():
    assert joined([], [frame(4), frame(5)]) == [4, 5]
    assert joined([frame(0)], []) == [0]


def test_a_line_that_is_no_frame_is_refused():
    with pytest.raises(RecgateError, match="another release"):
        list(joined_frames([], [{"data": "%%%"}]))
