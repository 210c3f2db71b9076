"""The journal: what a session did is on disk here before a byte of it is forwarded (law 1).

Its price is paid by every read of every session, so an append is one encoding, one encryption and one write.
After a failed write nothing more is accepted: what was half written is cut off later, and a byte that is not
in the journal must not be forwarded. The record that closes the session has its place already.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cbor2
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recgate.errors import RecordingFailed
from recgate.ids import session_bytes
from recgate.recording.frames import FrameEncoder
from recgate.recording.journalfiles import (
    CLOSING_OFFSET,
    CLOSING_PART,
    HEAD_BYTES,
    RECORD_HEAD,
    JournalKeys,
    crc32c,
    new_keys,
    nonce_prefix,
    pack_head,
    part_name,
    remove_journal,
)
from recgate.recording.limits import (
    CLOSING_BYTES,
    MAX_DATA,
    MAX_RECORD,
    PART_BYTES,
    PART_SECONDS,
)
from recgate.sansio.frames import GATEWAY, Frame

__all__ = ["Journal", "Part", "Retired", "complaint"]

_NONCE: Final = struct.Struct(">Q").pack
_HEAD: Final = RECORD_HEAD.pack
_PART_NS: Final = PART_SECONDS * 1_000_000_000
# Above this a second buffer for the kernel is cheaper than copying record and head together.
_COPY_BELOW: Final = 16 << 10
# The closing record's frame and cipher overhead, and room to spare.
_MAX_CLOSING_BODY: Final = CLOSING_BYTES - 256
_FLAGS: Final = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC

_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "free or add space there",
    errno.EDQUOT: "raise the disk quota there",
    errno.EROFS: "mount it writable again",
    errno.EIO: "check the disk under it",
    errno.EACCES: "give the gateway's user write permission there",
    errno.EPERM: "give the gateway's user write permission there",
    errno.EMFILE: "raise the limit of open files of the gateway (LimitNOFILE)",
    errno.ENFILE: "raise the system's limit of open files (fs.file-max)",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part that takes no more records: its number, and its size in whole records."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Retired:
    """A part that is complete but may not be on the disk: its descriptor, and from which byte on it may not be."""

    descriptor: int
    number: int
    settled: int
    size: int


class Journal:
    """The writing end of one session's journal. Not safe for threads; every method is synchronous.

    `on_part` is called with each part that is complete; it must not raise or block.
    """

    __slots__ = (
        "_access",
        "_body",
        "_clock",
        "_due",
        "_encode",
        "_encoder",
        "_encrypt",
        "_fd",
        "_head",
        "_opened",
        "_part",
        "_prefix",
        "_records",
        "_seq",
        "_size",
        "directory",
        "failure",
        "on_part",
        "retired",
        "session",
        "settled",
        "stale_directories",
        "unlogged_head",
    )

    def __init__(self, directory: Path, keys: JournalKeys, head: int, *, synced: bool) -> None:
        self.directory = directory
        self.failure = ""
        self.on_part: Callable[[Part], None] | None = None
        # For group commit: finished parts that still want to be on disk, bytes of the current one that are, the head
        # until the log has it, and directories whose entries want a sync.
        self.retired: list[Retired] = []
        self.settled = 0
        self.unlogged_head = b""
        self.stale_directories: set[Path] = set()
        self.session = session_bytes(directory.name)
        # With `synced` the group commit reads back what it puts into its log.
        self._access = os.O_RDWR if synced else os.O_WRONLY
        self._encrypt = AESGCM(keys.records).encrypt
        self._encoder = FrameEncoder()
        self._encode = self._encoder.encode
        self._clock = time.monotonic_ns
        self._opened = self._clock()
        self._head = head
        self._fd = -1
        self._part = self._records = self._seq = self._size = 0
        # When the part has been held for long enough. Zero sends the next append to `_begin`, which knows why: the part
        # is empty and its time begins, or the journal has failed. So an append asks one question for three.
        self._due = 0
        self._prefix = b""

    @classmethod
    def create(cls, root: Path, session: str, wrapping: bytes, *, synced: bool) -> Journal:
        """Make a session's journal under `root`, with room for its closing record.

        Raises:
            RecordingFailed: it cannot be made; nothing is left behind.
        """
        directory = root / session
        keys = new_keys()
        try:
            directory.mkdir(mode=0o700)
        except OSError as error:
            raise RecordingFailed(complaint(root, error)) from error
        journal = None
        try:
            head = os.open(directory / "head", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            journal = cls(directory, keys, head, synced=synced)
            journal.unlogged_head = pack_head(session, keys, wrapping)
            os.pwrite(head, journal.unlogged_head, 0)
            os.posix_fallocate(head, 0, HEAD_BYTES)
            journal._next_part()
        except OSError as error:
            if journal is not None:
                journal.release()
            remove_journal(directory)
            raise RecordingFailed(complaint(root, error)) from error
        journal.stale_directories.add(root)
        return journal

    @property
    def current(self) -> int:
        """The descriptor that records go to, or -1 once released."""
        return self._fd

    @property
    def size(self) -> int:
        """Bytes in the part that is being written."""
        return self._size

    @property
    def unsettled(self) -> int:
        """Bytes of whole records that may not be on the disk yet. Only with `synced` does anybody settle them."""
        return self._size - self.settled + sum(part.size - part.settled for part in self.retired)

    @property
    def part(self) -> int:
        """The number of the part that is being written."""
        return self._part

    @property
    def next_seq(self) -> int:
        """The number that the next frame gets."""
        return self._seq

    @property
    def elapsed(self) -> int:
        """Microseconds since the session opened, as frames are stamped."""
        return (self._clock() - self._opened) // 1000

    def append(self, side: int, kind: str, data: bytes, channel: int = 0) -> None:
        """Record one frame; it is in the file when this returns.

        Raises:
            RecordingFailed: it is not, and never will be: neither this nor any later frame.
        """
        now = self._clock()
        if now >= self._due or self._size >= PART_BYTES:
            self._begin(now)
        if len(data) > _COPY_BELOW:
            self._append_large(now, side, kind, data, channel)
            return
        # What `_write` does, in line: a call less for every read of every session.
        seq, count = self._seq, self._records
        self._records = count + 1
        frame = self._encode(seq, (now - self._opened) // 1000, side, kind, data, channel)
        body = self._encrypt(self._prefix + _NONCE(count), frame, None)
        record = _HEAD(len(body), crc32c(body)) + body
        length = len(record)
        try:
            written = os.write(self._fd, record)
            if written != length:
                self._write_rest(record[written:])
        except OSError as error:
            self._poison(error)
        self._size += length
        self._seq = seq + 1

    def _append_large(self, now: int, side: int, kind: str, data: bytes, channel: int) -> None:
        if len(data) > MAX_DATA:
            raise RecordingFailed(f"a frame of {len(data)} bytes is above the limit of {MAX_DATA}")
        seq = self._seq
        self._write(self._encode(seq, (now - self._opened) // 1000, side, kind, data, channel))
        self._seq = seq + 1

    def append_all(self, frames: Sequence[Frame]) -> None:
        """Record several frames with as few writes as the size of a record allows, in most cases one."""
        now = self._clock()
        if now >= self._due or self._size >= PART_BYTES:
            self._begin(now)
        seq, t, encode = self._seq, (now - self._opened) // 1000, self._encoder.encode
        pending: list[bytes] = []
        length = 0
        for frame in frames:
            if len(frame.data) > MAX_DATA:
                raise RecordingFailed(f"a frame of {len(frame.data)} bytes is above the limit of {MAX_DATA}")
            encoded = encode(seq, t, frame.side, frame.kind, frame.data, frame.channel)
            if length + len(encoded) > MAX_RECORD:
                self._write(b"".join(pending))
                pending, length = [], 0
                self._seq = seq
            pending.append(encoded)
            length += len(encoded)
            seq += 1
        if pending:
            self._write(b"".join(pending))
            self._seq = seq

    def _write(self, payload: bytes) -> None:
        if self.failure:
            raise RecordingFailed(self.failure)
        count = self._records
        body = self._encrypt(self._prefix + count.to_bytes(8, "big"), payload, None)
        # Counted before the write: a nonce is never used twice, whatever the write does.
        self._records = count + 1
        head = RECORD_HEAD.pack(len(body), crc32c(body))
        length = len(body) + len(head)
        try:
            if length < _COPY_BELOW:
                written = os.write(self._fd, head + body)
            else:
                written = os.writev(self._fd, (head, body))
            if written != length:
                self._write_rest((head + body)[written:])
        except OSError as error:
            self._poison(error)
        self._size += length

    def _write_rest(self, rest: bytes) -> None:
        # A full disk takes what fits and says so on the next call: then this raises, and the torn record is
        # cut when the part is read.
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _poison(self, error: OSError) -> None:
        self.fail(complaint(self.directory.parent, error))
        raise RecordingFailed(self.failure) from error

    def fail(self, why: str) -> None:
        """Accept nothing more. What was accepted stays."""
        self.failure = self.failure or why
        self._due = 0

    def due(self) -> bool:
        """Tell whether the part has held frames for long enough to be sealed."""
        return self._size > 0 and self._clock() >= self._due

    def _begin(self, now: int) -> None:
        """Begin a part for what is appended now, unless it has begun."""
        self.rotate()
        self._due = now + _PART_NS

    def rotate(self) -> None:
        """Finish the part and begin the next, unless it is empty.

        Raises:
            RecordingFailed: the next cannot be begun; the journal accepts nothing more.
        """
        if self.failure:
            raise RecordingFailed(self.failure)
        if not self._size:
            return
        finished, old, settled = Part(self._part, self._size), self._fd, self.settled
        try:
            self._next_part()
        except OSError as error:
            self._poison(error)
        self._put_away(Retired(old, finished.number, settled, finished.size))
        if self.on_part is not None:
            self.on_part(finished)

    def _next_part(self) -> None:
        number = self._part + 1
        self._fd = os.open(self.directory / part_name(number), _FLAGS | self._access, 0o600)
        self._part, self._records, self._size, self._due = number, 0, 0, 0
        self.settled = 0
        self._prefix = nonce_prefix(number)
        self.stale_directories.add(self.directory)

    def _put_away(self, part: Retired) -> None:
        if self._access == os.O_RDWR:
            self.retired.append(part)
        else:
            os.close(part.descriptor)

    def close(self, end: Mapping[str, object]) -> tuple[Part, bool]:
        """Write the `closed` frame and accept nothing more.

        Gives the last part, and whether the frame is in the preallocated record: the disk took no more.

        Raises:
            RecordingFailed: not even that could be written; the recording ends without a reason.
        """
        preallocated = False
        try:
            self.append(GATEWAY, "closed", cbor2.dumps(dict(end), canonical=True))
        except RecordingFailed:
            self._write_closing(end)
            preallocated = True
        self.fail("the session is closed")
        return Part(self._part, self._size), preallocated

    def _write_closing(self, end: Mapping[str, object]) -> None:
        body = cbor2.dumps(dict(end), canonical=True)
        if len(body) > _MAX_CLOSING_BODY:
            body = cbor2.dumps(
                {"reason": str(end.get("reason", ""))[:500], "shortened": True}, canonical=True
            )
        t = (self._clock() - self._opened) // 1000
        frame = self._encoder.encode(self._seq, t, GATEWAY, "closed", body, 0)
        sealed = self._encrypt(nonce_prefix(CLOSING_PART) + bytes(8), frame, None)
        try:
            os.pwrite(
                self._head,
                RECORD_HEAD.pack(len(sealed), crc32c(sealed)) + sealed,
                CLOSING_OFFSET,
            )
            os.fdatasync(self._head)
        except OSError as error:
            raise RecordingFailed(complaint(self.directory.parent, error)) from error

    def remove(self) -> None:
        """Undo `create`: nothing was accepted."""
        self.release()
        remove_journal(self.directory)

    def release(self) -> None:
        """Let go of the files. Idempotent."""
        if self._fd >= 0:
            self._put_away(Retired(self._fd, self._part, self.settled, self._size))
        if self._head >= 0:
            os.close(self._head)
        self._fd = self._head = -1
        self.fail("the session is closed")


def complaint(place: Path, error: OSError) -> str:
    """Say why the journal under `place` takes nothing more, and what to do about it."""
    remedy = _REMEDIES.get(error.errno or 0, "see that it can be written to")
    return (
        f"journal: {place} cannot be written ({error.strerror}); recording is mandatory, so nothing more is "
        f"forwarded: {remedy}"
    )
