"""Reading a recording's entries, streaming."""

from __future__ import annotations

from itertools import islice

import pytest

from core.tests.tinyproto import Tape, tiny
from recgate.errors import RecordingFailed
from recgate.recording.frames import RecordedFrame
from recgate.transcript.entries import Entry
from recgate.transcript.reading import as_json, read_entries


def test_the_protocol_is_the_one_that_the_opened_frame_names():
    tape = Tape()
    tape.client("ask SELECT 1")
    tape.target("done 4")
    kinds = [entry.kind for entry in read_entries(tape.frames, tiny())]
    assert kinds == ["opened", "sql"]
    assert [entry.kind for entry in read_entries(tape.frames, {})] == ["opened", "gap"]


def test_entries_come_while_frames_are_read():
    def endless():
        yield from Tape().frames
        seq = 1
        while True:
            yield RecordedFrame(seq, seq, 0, 0, "line", b"ask x")
            yield RecordedFrame(seq + 1, seq, 0, 1, "line", b"done 1")
            seq += 2

    found = list(islice(read_entries(endless(), tiny()), 5000))
    assert found[-1].n == 2 * 4998 + 1


def test_a_recording_that_breaks_off_gives_what_is_before_the_break():
    def broken():
        tape = Tape()
        yield from tape.frames
        yield tape.client("ask x")
        yield tape.target("done 1")
        raise RecordingFailed("segment 2 is damaged")

    reading = read_entries(broken(), tiny())
    assert [next(reading).kind, next(reading).kind] == ["opened", "sql"]
    with pytest.raises(RecordingFailed):
        next(reading)


def test_a_recording_without_its_beginning_is_still_read():
    tape = Tape()
    note = tape.gateway("note", {"text": "left"})
    assert [entry.kind for entry in read_entries([note], tiny())] == ["note", "gap"]
    assert list(read_entries([], tiny())) == []


def test_what_is_shown_as_json_is_json():
    entry = Entry(1, 2, 0, 0, "file", {"sha256": b"\x01\xff", "list": ({"a": b"\x02"},), "n": 99}, part=2)
    assert as_json(entry) == {
        "n": 1,  # a body cannot take the place of what every entry has
        "t": 2,
        "side": 0,
        "channel": 0,
        "kind": "file",
        "part": 2,
        "sha256": "01ff",
        "list": [{"a": "02"}],
    }
