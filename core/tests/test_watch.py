"""Where the recorded part and the live part of what is watched meet."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.cli.watch import joined_frames
from recgate.errors import RecgateError
from recgate.recording.frames import RecordedFrame


def frame(n, data=None, t=None):
    return RecordedFrame(
        n, n * 1000 if t is None else t, 1, 1, "data", str(n).encode() if data is None else data
    )


def line(recorded, late=700):
    # The gateway takes the time of a live frame a moment later than the recorder did.
    return {
        "seq": 0,
        "t": recorded.t + late,
        "channel": recorded.channel,
        "side": recorded.side,
        "kind": recorded.kind,
        "data": base64.b64encode(recorded.data).decode(),
    }


def joined(recorded, live):
    return [each.data.decode() for each in joined_frames(recorded, map(line, live))]


@given(st.integers(0, 20), st.integers(0, 20), st.booleans())
def test_each_frame_comes_once(recorded, overlap, equal):
    # Every third frame or all of them are the same keystroke; a key held down repeats every 30 ms.
    frames = [frame(n, b"k" if equal and n % 3 else None, n * 30_000) for n in range(30)]
    overlap = min(overlap, recorded)
    live = frames[recorded - overlap :]
    assert joined(frames[:recorded], live) == [each.data.decode() for each in frames]


def test_if_in_doubt_a_frame_comes_twice():
    assert joined([frame(0, b"x", 0)], [frame(1, b"x", 25_000)]) == ["x", "x"]


def test_without_overlap_nothing_is_dropped():
    assert joined([frame(0)], [frame(1), frame(2)]) == ["0", "1", "2"]
    assert joined([], [frame(1)]) == ["1"]
    assert joined([frame(0)], []) == ["0"]


def test_the_same_bytes_much_later_are_another_frame():
    assert joined([frame(0, b"x")], [frame(5000, b"x")]) == ["x", "x"]


def test_a_line_that_is_no_frame_is_refused():
    with pytest.raises(RecgateError, match="another release"):
        list(joined_frames([], [{"data": "%%%"}]))
