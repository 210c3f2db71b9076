"""Originals travel with their mask frame in the journal, and leave it before anybody sees the frame."""

from __future__ import annotations

import cbor2
import pytest

from recgate.errors import RecordingDamaged
from recgate.recording import originals
from recgate.recording.frames import RecordedFrame
from recgate.recording.originals import (
    encoded_originals,
    numbered,
    originals_of,
    places_of,
    read_originals,
    with_originals,
    withdrawn,
)

BODY = cbor2.dumps({"rule": "pii.email", "place": "mail", "count": 2})


def mask(data: bytes = BODY, kept: tuple[bytes, ...] = (), seq: int = 1) -> RecordedFrame:
    return RecordedFrame(seq, 0, 0, 2, "mask", data, b"", kept)


def test_what_is_read_from_a_journal_is_without_them() -> None:
    (frame,) = withdrawn([mask(with_originals(BODY, [b"alice", b"bob"]))])
    assert (frame.data, frame.kept) == (BODY, (b"alice", b"bob"))


def test_frames_of_others_stay_as_they_are() -> None:
    data = with_originals(BODY, [b"alice"])
    for frame in (
        RecordedFrame(1, 0, 0, 1, "mask", data),
        RecordedFrame(1, 0, 0, 2, "note", data),
        RecordedFrame(1, 0, 0, 2, "mask", b"no CBOR \xff"),
    ):
        before = frame.data
        assert withdrawn([frame])[0].data == before


def test_sealed_frames_name_their_own() -> None:
    frames = [mask(kept=(b"a", b"b")), mask(seq=2), mask(kept=(b"c",), seq=3)]
    numbered(frames, keep=True)
    assert originals_of(frames) == [b"a", b"b", b"c"]
    assert [places_of(frame) for frame in frames] == [[0, 1], [], [2]]
    # What went over the wire is never more than what is recorded.
    assert all(len(frame.data) >= len(BODY) for frame in frames)


def test_numbering_is_the_same_every_time() -> None:
    one, other = ([mask(kept=(b"a", b"b")), mask(kept=(b"c",), seq=2)] for _ in range(2))
    for frames in (one, other, other):
        numbered(frames, keep=True)
    assert originals_of(one) == originals_of(other)
    assert [frame.data for frame in one] == [frame.data for frame in other]


def test_without_anybody_to_seal_to_they_are_counted_and_gone() -> None:
    frame = mask(cbor2.dumps({"rule": "r", "count": 3, "unkept": 1}), (b"a", b"b"))
    numbered([frame], keep=False)
    assert originals_of([frame]) == []
    assert cbor2.loads(frame.data) == {"rule": "r", "count": 3, "unkept": 3, "originals": []}


def test_a_segment_keeps_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "MAX_ORIGINALS", 5)
    frames = [mask(kept=(b"abc", b"def")), mask(kept=(b"gh",), seq=2)]
    numbered(frames, keep=True)
    assert originals_of(frames) == [b"abc", b"gh"]
    assert cbor2.loads(frames[0].data)["unkept"] == 1


def test_blocks_hold_them_in_order() -> None:
    values = [bytes([n % 256]) * 3_000 for n in range(100)]
    blocks = list(encoded_originals(values))
    assert len(blocks) > 3
    assert [value for block in blocks for value in read_originals(block)] == values


@pytest.mark.parametrize("content", [b"\xff", b"\x01", b"\x41", b"\x81\x41a", b"a" * 10])
def test_what_is_no_block_of_originals_is_damage(content: bytes) -> None:
    with pytest.raises(RecordingDamaged):
        read_originals(content)


@pytest.mark.parametrize(
    "frame",
    [
        RecordedFrame(1, 0, 0, 2, "note", BODY),
        RecordedFrame(1, 0, 0, 1, "mask", BODY),
        mask(b"\xff"),
        mask(cbor2.dumps({"originals": 7})),
        mask(cbor2.dumps({"originals": [-1]})),
        mask(cbor2.dumps({"originals": [True]})),
    ],
)
def test_a_frame_that_has_no_originals_says_so(frame: RecordedFrame) -> None:
    with pytest.raises(RecordingDamaged):
        places_of(frame)
