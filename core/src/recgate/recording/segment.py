"""A segment: `open, block…, seal`, built from frames and taken apart again.

    open  = [1, segment, prev, wraps, original-wraps]
    block = [2, n, content]              ; zstd over frames; ciphertext over that if there are wraps
          / [4, n, content]              ; the same over originals, behind all others
    seal  = [3, COSE_Sign1]

Building is deterministic: the same frames, keys and clock give the same bytes, so that a segment whose storing
failed half-way can be stored again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import zstandard

from recgate.errors import RecordingDamaged
from recgate.recipients.escrow import Escrowed, EscrowedKey, read_escrowed
from recgate.recipients.keyring import NOBODY, Keyring
from recgate.recipients.wrapping import ContentCipher, Context, Wrap, WrappedKey, read_wraps
from recgate.recording.cbor import as_list, decode_strict, encode
from recgate.recording.commitments import leaf_hash, merkle_root
from recgate.recording.cose import Signed, SigningKey
from recgate.recording.frames import (
    RecordedFrame,
    decode_block,
    encode_frame,
    encode_head,
    encode_uint,
    skip_head,
)
from recgate.recording.limits import BLOCK_BYTES, MAX_BLOCK, MAX_ITEM, MAX_SEGMENT
from recgate.recording.originals import MAX_ORIGINALS, encoded_originals, originals_of, read_originals
from recgate.recording.seal import End, Recovered, Seal, read_seal, sign_seal

__all__ = ["Place", "Segment", "build_segment", "count_sides", "digest", "read_segment", "segment_name"]

_LEVEL: Final = 1  # -3 gains nothing on rows and terminals, and costs half the speed
_MAX_WINDOW: Final = 1 << 27
# A block begins as an array of three with its kind in front.
_SEEN: Final = b"\x83\x02"
_ORIGINALS: Final = b"\x83\x04"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment stands: its session (16 bytes), its number, and the digest of the item before it."""

    session: bytes
    segment: int
    prev: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment taken apart. Its seal may be believed only after `signed.verify`.

    `stored` is the digest over the bytes before the seal as they are, `seal_digest` what the next `prev` must be.
    """

    place: Place
    blocks: tuple[memoryview, ...]
    seal: Seal
    signed: Signed
    stored: bytes
    seal_digest: bytes
    wraps: tuple[Wrap, ...] = ()
    sealed: bytes = b""  # the seal as it is stored
    escrowed: Escrowed | None = None
    original_blocks: tuple[memoryview, ...] = ()

    def frames(self, keyring: Keyring = NOBODY) -> Iterator[RecordedFrame]:
        """Give the frames, one block in memory at a time.

        Raises:
            RecordingDamaged: they are not what was sealed.
            RecordingSealed: they are encrypted, and nothing in `keyring` opens them. Before the first frame.
        """
        cipher = None
        if self.wraps:
            cipher = keyring.cipher(Context(self.place.session, self.place.segment), self.wraps)
        room = MAX_SEGMENT
        for number, block in enumerate(self.blocks):
            try:
                content = _decompress(cipher.decrypt(number, block) if cipher else block, room)
                room -= len(content)
                yield from decode_block(content)
            except RecordingDamaged as error:
                raise RecordingDamaged(f"block {number}: {error}") from None

    def originals(self, cipher: ContentCipher) -> Iterator[bytes]:
        """Give the originals in their order. Raises `RecordingDamaged`: they are not what was sealed with that key."""
        room = MAX_ORIGINALS + MAX_BLOCK
        for number, block in enumerate(self.original_blocks):
            try:
                content = _decompress(cipher.decrypt(number, block), room)
                room -= len(content)
                yield from read_originals(content)
            except RecordingDamaged as error:
                raise RecordingDamaged(f"originals, block {number}: {error}") from None


def segment_name(number: int) -> str:
    """Name a segment as an object in a store."""
    return f"{number:06d}.seg"


def digest(item: bytes | memoryview) -> bytes:
    """Give the SHA-256 by which the next item names this one."""
    return hashlib.sha256(item).digest()


def count_sides(frames: Sequence[RecordedFrame]) -> tuple[tuple[int, int], ...]:
    """Count [frames, bytes] per side."""
    counts, sizes = [0, 0, 0], [0, 0, 0]
    for frame in frames:
        counts[frame.side] += 1
        sizes[frame.side] += len(frame.data)
    return tuple(zip(counts, sizes, strict=True))


def build_segment(
    place: Place,
    frames: Sequence[RecordedFrame],
    key: SigningKey,
    *,
    wall: int,
    following: bytes | None,
    end: End | None = None,
    recovered: Recovered | None = None,
    content_key: WrappedKey | None = None,
    originals_key: EscrowedKey | None = None,
) -> tuple[bytes, bytes]:
    """Seal frames that have their salts. Gives the segment's bytes and the digest of its seal.

    `following` is the next segment's public key. `key` signs: the segment's own, or the identity key if recovered.
    `content_key` encrypts, and must never have encrypted other frames; without one they are in clear. So does
    `originals_key` with the originals that mask frames have kept; without one there must be none.
    """
    cipher, wraps = content_key if content_key is not None else (None, ())
    escrowed = originals_key[1].to_cbor() if originals_key is not None else []
    opening: list[object] = [1, place.segment, place.prev, [wrap.to_cbor() for wrap in wraps], escrowed]
    items = [encode(opening)]
    leaves: list[bytes] = []
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    for number, block in enumerate(_blocks(frames, leaves)):
        content = compressor.compress(block)
        if cipher is not None:
            content = cipher.encrypt(number, content)
        items += _head(_SEEN, number, content), content
    if originals_key is not None:
        for number, block in enumerate(encoded_originals(originals_of(frames))):
            content = originals_key[0].encrypt(number, compressor.compress(block))
            items += _head(_ORIGINALS, number, content), content
    stored = hashlib.sha256()
    for item in items:
        stored.update(item)
    seal = Seal(
        session=place.session,
        segment=place.segment,
        first=frames[0].seq,
        count=len(frames),
        sides=count_sides(frames),
        root=merkle_root(leaves),
        stored=stored.digest(),
        prev=place.prev,
        wall=wall,
        mono=frames[-1].t,
        next=following,
        end=end,
        recovered=recovered,
    )
    items.append(sign_seal(seal, key))
    return b"".join(items), digest(items[-1])


def _head(kind: bytes, number: int, content: bytes) -> bytes:
    return kind + encode_uint(number) + encode_uint(len(content), 0x40)


def _blocks(frames: Sequence[RecordedFrame], leaves: list[bytes]) -> Iterator[bytes]:
    """Give the encoded frames in blocks, and append each frame's leaf."""
    sources: dict[tuple[int, int, str], bytes] = {}
    pending: list[bytes] = []
    size = 0
    for frame in frames:
        head = encode_head(frame, sources)
        leaves.append(leaf_hash(frame, head))
        encoded = encode_frame(frame, head)
        if pending and size + len(encoded) > BLOCK_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
        pending.append(encoded)
        size += len(encoded)
    if pending:
        yield b"".join(pending)


def read_segment(data: bytes) -> Segment:
    """Take a segment apart, from bytes that anybody may have written.

    Raises:
        RecordingDamaged: it is not a segment of this format. Says at which byte.
    """
    if len(data) > MAX_SEGMENT:
        raise RecordingDamaged(f"a segment of {len(data)} bytes is above the limit of {MAX_SEGMENT}")
    view = memoryview(data)
    offset = _end_of_small(data, 0)
    opening = as_list(decode_strict(data[:offset], "the opening"), "the opening", 5)
    if opening[0] != 1 or type(opening[1]) is not int or type(opening[2]) is not bytes:
        raise RecordingDamaged("a segment does not begin with its opening")
    wraps = read_wraps(opening[3], "the wraps of the opening")
    escrowed = read_escrowed(opening[4], "the original wraps of the opening")
    blocks, offset = _read_blocks(data, offset, _SEEN)
    if not blocks:
        raise RecordingDamaged(f"there is no block at byte {offset}")
    originals, offset = _read_blocks(data, offset, _ORIGINALS)
    if bool(originals) is (escrowed is None):
        raise RecordingDamaged("a segment has originals if and only if it says whom they are sealed to")
    end = _end_of_small(data, offset)
    if end != len(data):
        raise RecordingDamaged(f"{len(data) - end} bytes follow the seal at byte {end}")
    seal, signed = read_seal(data[offset:end])
    place = Place(seal.session, opening[1], opening[2])
    if (seal.segment, seal.prev) != (place.segment, place.prev):
        raise RecordingDamaged("the opening and the seal name different places")
    return Segment(
        place,
        tuple(blocks),
        seal,
        signed,
        digest(view[:offset]),
        digest(view[offset:end]),
        wraps,
        data[offset:end],
        escrowed,
        tuple(originals),
    )


def _read_blocks(data: bytes, offset: int, kind: bytes) -> tuple[list[memoryview], int]:
    """Give the contents of the blocks of one kind that begin at `offset`, and where they end."""
    blocks: list[memoryview] = []
    view = memoryview(data)
    while data[offset : offset + 2] == kind:
        number, start = skip_head(data, offset + 2)
        length, begin = skip_head(data, start)
        end = begin + length
        head = kind + encode_uint(number) + encode_uint(length, 0x40)
        if data[offset:begin] != head or number != len(blocks) or end > len(data):
            raise RecordingDamaged(f"block {len(blocks)} is malformed at byte {offset}")
        blocks.append(view[begin:end])
        offset = end
    return blocks, offset


def _end_of_small(data: bytes, offset: int) -> int:
    """Find the end of the item at `offset` by its heads alone: the opening and the seal, at most `MAX_ITEM` long."""
    start, open_items = offset, 1
    while open_items:
        if offset >= len(data):
            raise RecordingDamaged(f"the segment ends inside an item, at byte {len(data)}")
        major = data[offset] >> 5
        argument, offset = skip_head(data, offset)
        open_items -= 1
        if major in (2, 3):
            offset += argument
        elif major in (4, 5):
            open_items += argument * (major - 3)
        elif major == 6:
            open_items += 1
        # Every item takes a byte at least, so a count beyond the limit is a lie that must not be walked.
        if offset - start + open_items > MAX_ITEM:
            raise RecordingDamaged(f"the item at byte {start} is longer than {MAX_ITEM} bytes")
    if offset > len(data):
        raise RecordingDamaged(f"the segment ends inside an item, at byte {len(data)}")
    return offset


def _decompress(content: bytes | memoryview, room: int) -> bytes:
    """Decompress one block, whose declared size is looked at before a byte is allocated for it.

    `room` is what is left of the segment's own limit: many small blocks that each grow large are one bomb.
    """
    try:
        size = zstandard.frame_content_size(content)
        limit = min(room, MAX_BLOCK)
        if not 0 < size <= limit:
            raise RecordingDamaged(f"it declares {size} bytes, and the limit is {limit}")
        return zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompress(
            content, allow_extra_data=False
        )
    except (zstandard.ZstdError, MemoryError, ValueError) as error:
        raise RecordingDamaged(f"it cannot be decompressed: {error}"[:200]) from None
