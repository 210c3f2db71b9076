"""The values that masks removed: beside their mask frame in the journal, and in blocks of their own once sealed.

In the journal (always encrypted) a mask frame holds them; whoever reads the journal gets the frame without them. A
sealed frame says by `originals` which of the segment's originals are its own, and by `unkept` how many are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

import cbor2

from recgate.errors import RecordingDamaged
from recgate.recording.cbor import as_list, encode, loads
from recgate.recording.frames import RecordedFrame
from recgate.recording.limits import BLOCK_BYTES, MAX_BLOCK, MAX_DATA

__all__ = [
    "MASK_KIND",
    "MAX_ORIGINALS",
    "encoded_originals",
    "numbered",
    "originals_of",
    "places_of",
    "read_originals",
    "with_originals",
    "withdrawn",
]

MASK_KIND: Final = "mask"
MAX_ORIGINALS: Final = 8 << 20  # bytes of one segment's originals; more than that are counted and dropped
_FIELD: Final = "originals"
_UNKEPT: Final = "unkept"
_GATEWAY_SIDE: Final = 2


def with_originals(data: bytes, kept: Sequence[bytes]) -> bytes:
    """Give the body of a mask frame as the journal has it. Nothing else may ever see that."""
    body = _body(data)
    return data if body is None else cbor2.dumps({**body, _FIELD: list(kept)})


def withdrawn(frames: list[RecordedFrame]) -> list[RecordedFrame]:
    """Take the originals out of frames that were read from a journal; they are in `kept` then."""
    for frame in frames:
        if frame.kind != MASK_KIND or frame.side != _GATEWAY_SIDE:
            continue
        body = _body(frame.data)
        if body is None or _FIELD not in body:
            continue
        values = body.pop(_FIELD)
        frame.data = cbor2.dumps(body)
        if isinstance(values, list):
            items = cast("list[object]", values)
            frame.kept = tuple(value for value in items if isinstance(value, bytes))
    return frames


def numbered(frames: Sequence[RecordedFrame], *, keep: bool) -> None:
    """Have each mask frame of a segment say which originals are its own; `originals_of` gives them.

    The same frames give the same: a segment whose storing failed is made again. Without `keep`, and above
    `MAX_ORIGINALS`, they are counted and dropped.
    """
    count, room = 0, MAX_ORIGINALS
    for frame in frames:
        if not frame.kept:
            continue
        own: list[bytes] = []
        for value in frame.kept:
            if keep and len(value) <= room:
                room -= len(value)
                own.append(value)
        body = _body(frame.data) or {}
        if missing := len(frame.kept) - len(own):
            before = body.get(_UNKEPT)
            body[_UNKEPT] = missing + (before if isinstance(before, int) else 0)
        frame.data = cbor2.dumps({**body, _FIELD: list(range(count, count + len(own)))})
        frame.kept = tuple(own)
        count += len(own)


def originals_of(frames: Sequence[RecordedFrame]) -> list[bytes]:
    """Give the originals of frames that are numbered."""
    return [value for frame in frames for value in frame.kept]


def places_of(frame: RecordedFrame) -> list[int]:
    """Give the numbers of a sealed mask frame's originals. Raises `RecordingDamaged` for any other frame."""
    body = _body(frame.data) if frame.kind == MASK_KIND and frame.side == _GATEWAY_SIDE else None
    if body is None:
        raise RecordingDamaged(f"frame {frame.seq} does not tell of anything that was masked")
    places = body.get(_FIELD, [])
    if not isinstance(places, list) or not all(
        type(each) is int and each >= 0 for each in cast("list[object]", places)
    ):
        raise RecordingDamaged(f"frame {frame.seq} does not say which originals are its own")
    return cast("list[int]", places)


def encoded_originals(originals: Sequence[bytes]) -> Iterator[bytes]:
    """Give the content of blocks of kind 4: byte strings (CBOR), one after the other."""
    pending: list[bytes] = []
    size = 0
    for value in originals:
        item = encode(value)
        if pending and size + len(item) > BLOCK_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
        pending.append(item)
        size += len(item)
    if pending:
        yield b"".join(pending)


def read_originals(content: bytes) -> list[bytes]:
    """Read the content of a block of kind 4. Raises `RecordingDamaged`."""
    if len(content) > MAX_BLOCK:
        raise RecordingDamaged("a block of originals is too long")
    try:
        items = as_list(
            cast("object", cbor2.loads(b"\x9f%b\xff" % content, max_depth=2)), "a block of originals"
        )
    except (cbor2.CBORError, RecursionError, MemoryError) as error:
        raise RecordingDamaged(f"originals cannot be decoded: {error}"[:200]) from None
    if not all(type(item) is bytes for item in items) or b"".join(map(encode, items)) != content:
        raise RecordingDamaged("originals are not byte strings in their deterministic form")
    return cast("list[bytes]", items)


def _body(data: bytes) -> dict[str, object] | None:
    try:
        body = loads(data, "a mask frame", limit=MAX_DATA)
    except RecordingDamaged:
        return None
    return cast("dict[str, object]", body) if isinstance(body, dict) else None
