"""A recorded frame: what the journal and the segments hold, and what transcripts are derived from.

Two encodings of the same CBOR array. In the journal it has six elements and integers of fixed width, because
it is written while a byte waits to be forwarded. In a segment it has seven, the salt before the data, in the
shortest form (RFC 8949 §4.2.1), so that a frame has exactly one encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import cbor2

from recgate.errors import LocalProtocolError, RecordingDamaged
from recgate.recording.cbor import as_list
from recgate.recording.limits import BLOCK_BYTES

__all__ = [
    "SALT_BYTES",
    "FrameEncoder",
    "RecordedFrame",
    "decode_block",
    "decode_record",
    "encode_frame",
    "encode_head",
    "encode_uint",
    "skip_head",
]

SALT_BYTES: Final = 16
MAX_KIND: Final = 64
MAX_CHANNEL: Final = (1 << 32) - 1
# Frames nest nothing: an array in the array that the decoder wraps around them.
MAX_DEPTH: Final = 3
# A session that opens channels without end must not grow this cache without end.
MAX_CACHED_KINDS: Final = 1024


@dataclass(slots=True)
class RecordedFrame:
    """One frame as recorded (`recording.md`, CDDL `frame`).

    `seq` is consecutive in the recording, `t` µs since the session opened, `side` 0 client, 1 upstream,
    2 gateway; `data` is wire bytes as forwarded, or CBOR for the gateway's own kinds. `kept` are the originals of
    a mask frame that was read from a journal, until it is sealed.
    """

    seq: int
    t: int
    channel: int
    side: int
    kind: str
    data: bytes
    salt: bytes = b""
    kept: tuple[bytes, ...] = ()


def encode_uint(value: int, major: int = 0) -> bytes:
    """Encode a CBOR head in its shortest form; `major` is the type shifted into place (0x40 for bytes)."""
    if value < 24:
        return bytes((major | value,))
    if value < 0x100:
        return bytes((major | 24, value))
    if value < 0x10000:
        return struct.pack(">BH", major | 25, value)
    if value < 0x100000000:
        return struct.pack(">BI", major | 26, value)
    return struct.pack(">BQ", major | 27, value)


def _encode_source(channel: int, side: int, kind: str) -> bytes:
    """Encode what says where a frame comes from. Raises `LocalProtocolError` for what no frame may have."""
    word = kind.encode()
    if not 0 < len(word) <= MAX_KIND or not 0 <= channel <= MAX_CHANNEL or side not in _SIDES:
        raise LocalProtocolError(f"no frame has channel {channel}, side {side}, kind {kind[:MAX_KIND]!r}")
    return encode_uint(channel) + encode_uint(int(side)) + encode_uint(len(word), 0x60) + word


def encode_head(frame: RecordedFrame, sources: dict[tuple[int, int, str], bytes]) -> bytes:
    """Encode `seq, t, channel, side, kind` as they stand in a frame and in its leaf.

    `sources` caches the last three. Raises `LocalProtocolError` for what no frame may have.
    """
    seq, t = frame.seq, frame.t
    source = sources.get((frame.channel, frame.side, frame.kind))
    if source is None:
        if len(sources) >= MAX_CACHED_KINDS:
            sources.clear()
        source = _encode_source(frame.channel, frame.side, frame.kind)
        sources[frame.channel, frame.side, frame.kind] = source
    if 0xFFFF < t < 0x100000000 and 0xFF < seq < 0x100000000:  # from 65 ms to 71 minutes: nearly every frame
        if seq < 0x10000:
            return _pack_short(0x19, seq, 0x1A, t) + source
        return _pack_long(0x1A, seq, 0x1A, t) + source
    return encode_uint(seq) + encode_uint(t) + source


_pack_short: Final = struct.Struct(">BHBI").pack
_pack_long: Final = struct.Struct(">BIBI").pack
_Layout = tuple[Callable[..., bytes], bytes]
_MAX_UINT: Final = 1 << 63
_SIDES: Final = (0, 1, 2)
_TYPES: Final[list[type]] = [int, int, int, int, str, bytes, bytes]


class FrameEncoder:
    """Encodes frames for the journal: one `pack` and one concatenation each."""

    __slots__ = ("_by_channel", "_by_side")

    def __init__(self) -> None:
        # Channel 0 is nearly every frame of a database. Indexing by side does not hash an enum member, which
        # Python does in Python.
        self._by_side: tuple[dict[str, _Layout], ...] = ({}, {}, {})
        self._by_channel: tuple[dict[tuple[str, int], _Layout], ...] = ({}, {}, {})

    def encode(self, seq: int, t: int, side: int, kind: str, data: bytes, channel: int) -> bytes:
        """Encode one frame. Raises `LocalProtocolError` for a kind or channel that no frame may have."""
        if channel:
            layout = self._by_channel[side].get((kind, channel))
        else:
            layout = self._by_side[side].get(kind)
        if layout is None:
            layout = self._remember(side, kind, channel)
        pack, source = layout
        return pack(0x861B, seq, 0x1B, t, source, 0x5A, len(data)) + data

    def _remember(self, side: int, kind: str, channel: int) -> _Layout:
        source = _encode_source(channel, side, kind)
        # Array of six, seq and t in eight bytes each, the source, and a byte string with a four-byte length.
        layout = (struct.Struct(f">HQBQ{len(source)}sBI").pack, source)
        if channel:
            by_channel = self._by_channel[side]
            if len(by_channel) >= MAX_CACHED_KINDS:
                by_channel.clear()
            by_channel[kind, channel] = layout
        else:
            by_side = self._by_side[side]
            if len(by_side) >= MAX_CACHED_KINDS:
                by_side.clear()
            by_side[kind] = layout
        return layout


def decode_record(payload: bytes) -> list[RecordedFrame]:
    """Decode frames of a journal, which AES-GCM has vouched for: one record, or several joined.

    Raises:
        RecordingDamaged: it is not a sequence of frames, so whoever wrote it had another format.
    """
    try:
        # An array ends with the data; the place of the salt is filled when the frame is sealed.
        return [RecordedFrame(*array) for array in _arrays(payload)]
    except TypeError:
        raise RecordingDamaged("a record holds something that is not a frame") from None


def decode_block(content: bytes) -> list[RecordedFrame]:
    """Decode the frames of a segment's block. Nothing vouches for it yet: every byte is checked.

    Raises:
        RecordingDamaged: it is not a sequence of deterministically encoded frames within the limits.
    """
    # Small items make large objects, so only what is small is decoded freely; a longer block is one frame,
    # whose bulk is one byte string.
    if len(content) > BLOCK_BYTES and _end_of_single(content) != len(content):
        raise RecordingDamaged("a block above 64 KiB holds more than one frame")
    frames: list[RecordedFrame] = []
    encoded: list[bytes] = []
    sources: dict[tuple[int, int, str], bytes] = {}
    try:
        for array in _arrays(content):
            if list(map(type, array)) != _TYPES:
                raise RecordingDamaged("an item is not a frame")
            seq, t, channel, side, kind, salt, data = array
            if len(salt) != SALT_BYTES or not (0 <= seq < _MAX_UINT and 0 <= t < _MAX_UINT):
                raise RecordingDamaged("a field of a frame is out of its range")
            frame = RecordedFrame(seq, t, channel, side, kind, data, salt)
            frames.append(frame)
            encoded.append(encode_frame(frame, encode_head(frame, sources)))
    except (TypeError, LocalProtocolError):
        raise RecordingDamaged("a field of a frame is out of its range") from None
    # Decoders forgive; encoding again does not: one content has one form, and nothing can hide in another.
    if b"".join(encoded) != content:
        raise RecordingDamaged("a frame is not in its deterministic form")
    return frames


def encode_frame(frame: RecordedFrame, head: bytes) -> bytes:
    """Encode a frame with its salt, as it stands in a segment; `head` is that of `encode_head`."""
    data = frame.data
    return b"".join((b"\x87", head, b"\x50", frame.salt, encode_uint(len(data), 0x40), data))


def _end_of_single(content: bytes) -> int:
    """Tell where the byte string at the end of the first frame ends, looking at nothing but heads."""
    offset = 1
    for _ in range(4):
        offset = skip_head(content, offset)[1]
    for _ in range(3):
        length, offset = skip_head(content, offset)
        offset += length
    return offset


def skip_head(content: bytes, offset: int) -> tuple[int, int]:
    """Read the argument of a CBOR head; gives it and the offset behind it.

    Raises:
        RecordingDamaged: the content ends here, or the length is indefinite.
    """
    try:
        low = content[offset] & 31
        if low < 24:
            return low, offset + 1
        width = 1 << (low - 24)
        if low > 27 or offset + 1 + width > len(content):
            raise RecordingDamaged(f"no item of this format begins like the one at byte {offset}")
        return int.from_bytes(content[offset + 1 : offset + 1 + width], "big"), offset + 1 + width
    except IndexError:
        raise RecordingDamaged("an item ends in its first bytes") from None


def _arrays(content: bytes) -> list[Any]:
    """Decode a CBOR sequence in one call, as the elements of one array. What they are is the caller's to check."""
    try:
        arrays = cast("object", cbor2.loads(b"\x9f%b\xff" % content, max_depth=MAX_DEPTH))
    except (cbor2.CBORError, RecursionError, MemoryError) as error:
        raise RecordingDamaged(f"frames cannot be decoded: {error}"[:200]) from None
    return as_list(arrays, "a sequence of frames")
