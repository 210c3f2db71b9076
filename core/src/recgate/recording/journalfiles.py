"""The journal as files: where its parts lie, how its key is wrapped, how whole records differ from torn ones.

    journal/<session>/head          wrapped key, and room for the record that closes the session
                      000001.part   records: length, CRC-32C, AES-256-GCM over frames
                      state         what the indexer and the recovery need to go on from the last segment

A record's nonce is its part and its place in it: the key is random per journal, so no nonce comes twice, and
no record can be moved.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recgate.errors import RecordingDamaged
from recgate.ids import session_bytes
from recgate.recording.cbor import Fields, encode, loads
from recgate.recording.frames import RecordedFrame, decode_record
from recgate.recording.limits import CLOSING_BYTES, MAX_OPENED, MAX_RECORD, MAX_STATE
from recgate.recording.originals import withdrawn

__all__ = [
    "CLOSING_OFFSET",
    "CLOSING_PART",
    "DAMAGED",
    "HEAD_BYTES",
    "HEAD_NAME",
    "RECORD_HEAD",
    "STATE_NAME",
    "TAG_BYTES",
    "WRAPPING_KEY",
    "JournalKeys",
    "PartContent",
    "crc32c",
    "head_key",
    "is_torn",
    "new_keys",
    "nonce_prefix",
    "pack_head",
    "part_name",
    "parts_of",
    "read_closing",
    "read_head",
    "read_part",
    "read_state",
    "remove_journal",
    "wrapping_id",
    "write_state",
]

DAMAGED: Final = "damaged"  # where journals go that cannot be sealed whole; nothing here is ever deleted
RECORD_HEAD: Final = struct.Struct(">II")  # length of what follows, its CRC-32C
TAG_BYTES: Final = 16
HEAD_NAME: Final = "head"
STATE_NAME: Final = "state"
WRAPPING_KEY: Final = 32  # bytes: AES-256
CLOSING_OFFSET: Final = 512  # the head's own content ends before this
HEAD_BYTES: Final = CLOSING_OFFSET + CLOSING_BYTES
# No part is ever numbered so: the closing record has a nonce space of its own.
CLOSING_PART: Final = 0xFFFF_FFFF
# CRC-32C of bytes, in C. The package has no types.
crc32c: Final[Callable[[bytes], int]] = google_crc32c.value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_VERSION: Final = 1
_KEY_ID: Final = 8  # bytes; told apart are the few keys of one gateway
_PART_SUFFIX: Final = ".part"


@dataclass(frozen=True, slots=True)
class JournalKeys:
    """A journal's own secrets: `records` encrypts, `salts` is what segment salt keys are derived from."""

    records: bytes
    salts: bytes

    def __repr__(self) -> str:
        return "JournalKeys(***)"


@dataclass(frozen=True, slots=True)
class PartContent:
    """What a part holds: the frames of its whole records, their bytes, and how many bytes behind them."""

    frames: list[RecordedFrame]
    whole: int
    cut: int


def new_keys() -> JournalKeys:
    """Draw a journal's secrets."""
    return JournalKeys(secrets.token_bytes(32), secrets.token_bytes(32))


def wrapping_id(key: bytes) -> bytes:
    """Name a journal key, so that a journal can say which one wrapped its secrets."""
    return hashlib.sha256(b"recgate journal key" + key).digest()[:_KEY_ID]


def pack_head(session: str, keys: JournalKeys, wrapping: bytes) -> bytes:
    """Wrap a journal's secrets, for the start of the head file.

    `wrapping` is the gateway's journal keys, one after the other: the current one comes first, and wraps.
    """
    nonce, current = secrets.token_bytes(12), wrapping[:WRAPPING_KEY]
    wrapped = AESGCM(current).encrypt(nonce, keys.records + keys.salts, session_bytes(session))
    name = wrapping_id(current)
    head = encode({"version": _VERSION, "session": session, "key": name, "nonce": nonce, "wrapped": wrapped})
    return len(head).to_bytes(2, "big") + head


def head_key(directory: Path) -> bytes | None:
    """Name the journal key that a journal needs; None for one that has no head, or one from before keys had names.

    Raises:
        RecordingDamaged: the head is incomplete.
    """
    try:
        fields = _head(directory)
    except FileNotFoundError:
        return None
    return fields.bytes("key", _KEY_ID) if fields.has("key") else None


def _head(directory: Path) -> Fields:
    with open(directory / HEAD_NAME, "rb") as file:
        data = file.read(CLOSING_OFFSET)
    size = int.from_bytes(data[:2], "big")
    return Fields(loads(data[2 : 2 + size], "a journal's head"), "a journal's head")


def read_head(directory: Path, wrapping: bytes) -> JournalKeys:
    """Unwrap a journal's secrets with that one of the keys in `wrapping` which its head names.

    Raises:
        RecordingDamaged: the head is incomplete, of another session, or wrapped by another key.
    """
    fields = _head(directory)
    session = fields.text("session")
    if fields.uint("version") != _VERSION or session != directory.name:
        raise RecordingDamaged(f"{directory} holds a journal of another version or session")
    nonce, wrapped = fields.bytes("nonce", 12), fields.bytes("wrapped", 64 + TAG_BYTES)
    ring = [wrapping[at : at + WRAPPING_KEY] for at in range(0, len(wrapping), WRAPPING_KEY)]
    if fields.has("key"):
        named = fields.bytes("key", _KEY_ID)
        ring = [key for key in ring if wrapping_id(key) == named]
    try:
        secret = AESGCM(ring[0] if ring else b"").decrypt(nonce, wrapped, session_bytes(session))
    except (InvalidTag, ValueError):
        raise RecordingDamaged(
            f"{directory} was written under another journal key; restore that key in keys/journal"
        ) from None
    return JournalKeys(secret[:32], secret[32:])


def part_name(number: int) -> str:
    """Name a part. A part becomes the segment of the same number."""
    return f"{number:06d}{_PART_SUFFIX}"


def parts_of(directory: Path) -> list[int]:
    """List the numbers of the parts that are there, in order."""
    names = (name.removesuffix(_PART_SUFFIX) for name in os.listdir(directory) if name.endswith(_PART_SUFFIX))
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def is_torn(path: Path) -> bool:
    """Tell whether a part is the beginning of one record, as a kill in the middle of its first write leaves it."""
    with open(path, "rb") as file:
        data = file.read(MAX_OPENED)
    if len(data) < RECORD_HEAD.size:
        return True
    length, _ = RECORD_HEAD.unpack_from(data)
    return (
        len(data) < MAX_OPENED and TAG_BYTES < length <= MAX_OPENED and len(data) < RECORD_HEAD.size + length
    )


def remove_journal(directory: Path) -> None:
    """Remove a journal that nobody needs any more, the head last: parts without one would be frames nobody can read.

    What cannot be removed stays, for the sweeper.
    """
    with contextlib.suppress(OSError):
        names = os.listdir(directory)
        for name in sorted(names, key=lambda name: name == HEAD_NAME):
            (directory / name).unlink(missing_ok=True)
        directory.rmdir()


def nonce_prefix(part: int) -> bytes:
    """Give the first four bytes of the nonces of a part; the other eight count its records."""
    return part.to_bytes(4, "big")


def read_part(directory: Path, number: int, keys: JournalKeys, size: int | None = None) -> PartContent:
    """Read the whole records of a part, up to the first that is torn or damaged.

    `size` says how far the part was written in whole records; nothing behind it is looked at.

    Raises:
        OSError: the part cannot be read.
        RecordingDamaged: its records are of another format.
    """
    path = directory / part_name(number)
    with open(path, "rb") as file:
        data = file.read() if size is None else file.read(size)
    payloads: list[bytes] = []
    whole = 0
    for end, payload in _records(data, number, keys):
        payloads.append(payload)
        whole = end
    return PartContent(withdrawn(decode_record(b"".join(payloads))), whole, len(data) - whole)


def _records(data: bytes, part: int, keys: JournalKeys) -> Iterator[tuple[int, bytes]]:
    """Give each whole record's end and content."""
    decrypt, prefix, offset, count = AESGCM(keys.records).decrypt, nonce_prefix(part), 0, 0
    unpack, view = RECORD_HEAD.unpack_from, memoryview(data)
    while offset + RECORD_HEAD.size <= len(data):
        length, crc = unpack(data, offset)
        start = offset + RECORD_HEAD.size
        offset = start + length
        if not TAG_BYTES < length <= MAX_RECORD + TAG_BYTES or offset > len(data):
            return
        body = view[start:offset].tobytes()
        if crc32c(body) != crc:
            return
        try:
            payload = decrypt(prefix + count.to_bytes(8, "big"), body, None)
        except InvalidTag:
            return
        yield offset, payload
        count += 1


def read_closing(directory: Path, keys: JournalKeys) -> RecordedFrame | None:
    """Read the frame in the preallocated closing record, or None when it was not needed."""
    with open(directory / HEAD_NAME, "rb") as file:
        file.seek(CLOSING_OFFSET)
        data = file.read(CLOSING_BYTES)
    for _, payload in _records(data, CLOSING_PART, keys):
        return withdrawn(decode_record(payload))[0]
    return None


def _state_key(keys: JournalKeys) -> AESGCM:
    # Nonces of the state are drawn, those of records are counted: two schemes must not share a key.
    return AESGCM(hmac.digest(keys.records, b"recgate journal state", hashlib.sha256))


def write_state(directory: Path, keys: JournalKeys, state: bytes) -> None:
    """Replace the state atomically. Raises `OSError`, and `RecordingDamaged` for a state above its limit."""
    if len(state) > MAX_STATE:
        raise RecordingDamaged(f"an indexer's state of {len(state)} bytes is above {MAX_STATE}")
    nonce = secrets.token_bytes(12)
    temporary = directory / "state.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(nonce + _state_key(keys).encrypt(nonce, state, None))
    os.replace(temporary, directory / STATE_NAME)


def read_state(directory: Path, keys: JournalKeys) -> bytes | None:
    """Read the state back, or None when there is none, or none that is whole."""
    try:
        with open(directory / STATE_NAME, "rb") as file:
            data = file.read(MAX_STATE + 12 + TAG_BYTES)
        return _state_key(keys).decrypt(data[:12], data[12:], None)
    except (FileNotFoundError, InvalidTag, ValueError):
        return None
