"""What an SFTP session did to files, read from its packets in passing (draft-ietf-secsh-filexfer-02, version 3).

File data is hashed as it streams by and never kept; of every other packet only its head is looked at. Bytes
that are not SFTP end the reading, not the session: this is the transcript's code, off the data's way. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from recgate_ssh.digest import RunningDigest

__all__ = ["FileEvent", "Sftp"]

MAX_PACKET: Final = 4 * 1024 * 1024  # bytes; OpenSSH's own limit is 256 KiB
MAX_HEAD: Final = 9 * 1024  # bytes of a packet that are looked at: two paths of 4096
WRITE_HEAD: Final = 4 + 4 + 256 + 8 + 4
MAX_OPEN: Final = 256  # files followed at once
MAX_ASKED: Final = 1024  # requests without an answer that are followed
MAX_PATH: Final = 1024  # characters of a path that are kept in the state

OPEN, CLOSE, READ, WRITE, SETSTAT, REMOVE, MKDIR, RMDIR, RENAME, SYMLINK = 3, 4, 5, 6, 9, 13, 14, 15, 18, 20
STATUS, HANDLE, DATA, EXTENDED = 101, 102, 103, 200
WRITES: Final = 2  # the flag of OPEN (SSH_FXF_WRITE)
ACTIONS: Final = {
    SETSTAT: "attributes",
    REMOVE: "remove",
    MKDIR: "mkdir",
    RMDIR: "rmdir",
    RENAME: "rename",
    SYMLINK: "symlink",
}
EXTENSIONS: Final = {
    b"posix-rename@openssh.com": "rename",
    b"hardlink@openssh.com": "link",
    b"lsetstat@openssh.com": "attributes",
}
TWO_PATHS: Final = {"rename", "symlink", "link"}
STATUS_WORDS: Final = {
    1: "end of file",
    2: "no such file",
    3: "permission denied",
    4: "failure",
    8: "unsupported",
}


class FileEvent(NamedTuple):
    """Something that was done: the number and time of the frame it began in, and the entry's body."""

    n: int
    t: int
    body: dict[str, object]


class Malformed(Exception):
    """These bytes are not SFTP."""


@dataclass(slots=True)
class Packets:
    """One direction's packets: heads collected, bodies streamed."""

    head: bytearray = field(default_factory=bytearray)
    rest: int = 0  # bytes of the current packet still to stream
    streaming: Any = None  # (digest, offset) of the data that streams, or None to skip it


@dataclass(slots=True)
class OpenFile:
    """A file handle in use."""

    n: int
    t: int
    path: str
    writes: bool
    read: RunningDigest = field(default_factory=RunningDigest)
    written: RunningDigest = field(default_factory=RunningDigest)
    ended: bool = False  # a read met the end of the file
    error: str = ""


class Sftp:
    """Both directions of one subsystem. `feed` raises nothing; `broken` says why it gave up, if it did."""

    def __init__(self) -> None:
        self._up, self._down = Packets(), Packets()
        self._files: dict[bytes, OpenFile] = {}
        self._asked: dict[int, tuple[Any, ...]] = {}
        self.broken = ""

    def feed(self, side: int, n: int, t: int, data: bytes) -> list[FileEvent]:
        """Take bytes of the client (side 0) or the target (side 1); gives what they complete."""
        if self.broken:
            return []
        packets = self._down if side else self._up
        answer = self._answer if side else self._request
        events: list[FileEvent] = []
        try:
            view = memoryview(data)
            while view:
                if packets.rest:
                    part, view = view[: packets.rest], view[packets.rest :]
                    self._stream(packets, part)
                    continue
                view = self._head(packets, view)
                if packets.head and self._complete(packets):
                    kind, body, size = packets.head[4], bytes(packets.head[5:]), _size(packets.head)
                    packets.head.clear()
                    events.extend(answer(n, t, kind, body, size - 1))
        except Malformed as exc:
            self.broken = str(exc)
            for file in self._files.values():
                file.read.spoil(self.broken)
                file.written.spoil(self.broken)
        return events

    # -- packets ---------------------------------------------------------------------------------------

    def _head(self, packets: Packets, view: memoryview) -> memoryview:
        want = 5 if len(packets.head) < 5 else self._wanted(packets)
        take = want - len(packets.head)
        packets.head += view[:take]
        if len(packets.head) == 5:
            size = _size(packets.head)
            if not 1 <= size <= MAX_PACKET:
                raise Malformed(f"a packet of {size} bytes")
        return view[take:]

    def _wanted(self, packets: Packets) -> int:
        kind, size = packets.head[4], _size(packets.head)
        limit = {WRITE: WRITE_HEAD, DATA: 8}.get(kind, MAX_HEAD)
        if kind == WRITE and len(packets.head) >= 13:
            # The head of a WRITE ends behind its handle, which may be shorter than it could be.
            limit = 20 + int.from_bytes(packets.head[9:13], "big")
            if limit > WRITE_HEAD:
                raise Malformed("a handle longer than 256 bytes")
        elif kind == WRITE:
            limit = 8
        return 5 + min(size - 1, limit)

    def _complete(self, packets: Packets) -> bool:
        return len(packets.head) >= 5 and len(packets.head) == self._wanted(packets)

    def _stream(self, packets: Packets, part: memoryview) -> None:
        packets.rest -= len(part)
        if packets.streaming is not None:
            digest, offset = packets.streaming
            digest.update(offset, part)
            packets.streaming = (digest, offset + len(part)) if packets.rest else None

    # -- requests --------------------------------------------------------------------------------------

    def _request(self, n: int, t: int, kind: int, body: bytes, size: int) -> Iterator[FileEvent]:
        self._up.rest, self._up.streaming = size - len(body), None
        if len(body) < 4 or kind == 1:
            return
        ident, reader = int.from_bytes(body[:4], "big"), _Reader(body, 4)
        asked: tuple[Any, ...] | None = None
        if kind == OPEN:
            asked = ("open", n, t, reader.path(), bool(reader.number(4) & WRITES))
        elif kind == CLOSE:
            asked = ("close", reader.string())
        elif kind == READ:
            handle = reader.string()
            asked = ("read", handle, reader.number(8))
        elif kind == WRITE:
            self._writes(reader, ident)
            asked = ("write", reader.handle)
        elif kind in ACTIONS:
            asked = self._action(n, t, ACTIONS[kind], reader)
        elif kind == EXTENDED:
            name = reader.string()
            asked = self._action(n, t, EXTENSIONS[name], reader) if name in EXTENSIONS else None
        if asked is not None:
            if len(self._asked) >= MAX_ASKED:
                raise Malformed(f"more than {MAX_ASKED} requests without an answer")
            self._asked[ident] = asked
        yield from ()

    def _writes(self, reader: _Reader, ident: int) -> None:
        reader.handle = reader.string()
        offset, count = reader.number(8), reader.number(4)
        if count != self._up.rest:
            raise Malformed("a WRITE whose length is not its data's")
        file = self._files.get(reader.handle)
        if file is not None:
            if count:
                self._up.streaming = (file.written, offset)
            elif not offset:
                file.written.update(0, b"")

    @staticmethod
    def _action(n: int, t: int, word: str, reader: _Reader) -> tuple[Any, ...]:
        path = reader.path()
        return "action", n, t, word, path, reader.path() if word in TWO_PATHS else ""

    # -- answers ---------------------------------------------------------------------------------------

    def _answer(self, n: int, t: int, kind: int, body: bytes, size: int) -> Iterator[FileEvent]:
        self._down.rest, self._down.streaming = size - len(body), None
        if len(body) < 4 or kind == 2:
            return
        asked = self._asked.pop(int.from_bytes(body[:4], "big"), None)
        if asked is None:
            return
        reader = _Reader(body, 4)
        word = asked[0]
        if kind == HANDLE and word == "open":
            if len(self._files) >= MAX_OPEN:
                raise Malformed(f"more than {MAX_OPEN} open files")
            self._files[reader.string()] = OpenFile(asked[1], asked[2], asked[3], asked[4])
        elif kind == DATA and word == "read":
            self._reads(asked, reader)
        elif kind == STATUS:
            yield from self._status(asked, reader.number(4))

    def _reads(self, asked: tuple[Any, ...], reader: _Reader) -> None:
        file = self._files.get(asked[1])
        if reader.number(4) != self._down.rest:
            raise Malformed("DATA whose length is not its data's")
        if file is not None and self._down.rest:
            self._down.streaming = (file.read, asked[2])

    def _status(self, asked: tuple[Any, ...], code: int) -> Iterator[FileEvent]:
        word, error = asked[0], STATUS_WORDS.get(code, f"status {code}") if code else ""
        if word == "open" and error:
            yield FileEvent(
                asked[1], asked[2], {"path": asked[3], "direction": "open", "size": 0, "error": error}
            )
        elif word == "action":
            body: dict[str, object] = {"path": asked[4], "direction": asked[3], "size": 0}
            if asked[5]:
                body["to"] = asked[5]
            yield FileEvent(asked[1], asked[2], {**body, "error": error} if error else body)
        elif word in ("read", "write"):
            file = self._files.get(asked[1])
            if file is not None and code == 1:
                file.ended = True
            elif file is not None and error:
                file.error = file.error or error
        elif word == "close":
            file = self._files.pop(asked[1], None)
            if file is not None:
                yield from _closed(file)

    def finish(self) -> list[FileEvent]:
        """Give the files that were never closed."""
        files, self._files = list(self._files.values()), {}
        for file in files:
            file.error = file.error or "not closed"
        return [event for file in files for event in _closed(file)]

    # -- state -----------------------------------------------------------------------------------------

    def save(self) -> list[Any]:
        """Give the state as CBOR-able values; hashes under way are lost in it."""
        files = [
            [handle, f.n, f.t, f.path[:MAX_PATH], f.writes, f.read.save(), f.written.save(), f.ended, f.error]
            for handle, f in self._files.items()
        ]
        directions = [[bytes(p.head), p.rest, self._streams(p)] for p in (self._up, self._down)]
        return [
            directions,
            files,
            [[ident, list(asked)] for ident, asked in self._asked.items()],
            self.broken,
        ]

    def _streams(self, packets: Packets) -> list[Any]:
        if packets.streaming is None:
            return []
        digest, offset = packets.streaming
        for handle, file in self._files.items():
            if digest in (file.read, file.written):
                return [handle, digest is file.written, offset]
        return []

    @classmethod
    def restore(cls, state: list[Any]) -> Sftp:
        """Go on from what `save` gave."""
        sftp = cls()
        directions, files, asked, sftp.broken = state
        for handle, n, t, path, writes, read, written, ended, error in files:
            digests = RunningDigest.restore(read), RunningDigest.restore(written)
            sftp._files[handle] = OpenFile(n, t, path, writes, *digests, ended, error)
        sftp._asked = {ident: tuple(each) for ident, each in asked}
        for packets, (head, rest, streams) in zip((sftp._up, sftp._down), directions, strict=True):
            packets.head, packets.rest = bytearray(head), rest
            if streams:
                file = sftp._files[streams[0]]
                packets.streaming = (file.written if streams[1] else file.read, streams[2])
        return sftp


def _closed(file: OpenFile) -> Iterator[FileEvent]:
    """Say what passed through a handle: a download, an upload, or both."""
    base: dict[str, object] = {"path": file.path}
    error = {"error": file.error} if file.error else {}
    if file.written.size:
        yield FileEvent(
            file.n,
            file.t,
            {**base, "direction": "upload", "size": file.written.size, **file.written.body, **error},
        )
    if file.read.size or file.ended:
        if not file.ended and not file.read.absent:
            # Whether there was more in the file than was asked for cannot be known.
            error = {**error, "partial": True}
        yield FileEvent(
            file.n,
            file.t,
            {**base, "direction": "download", "size": file.read.size, **file.read.body, **error},
        )
    if not file.written.size and not file.read.size and not file.ended:
        # Opened and closed: an empty file if for writing, a look at its attributes if not.
        digest = file.written.body if file.writes else {}
        direction = "upload" if file.writes else "open"
        yield FileEvent(file.n, file.t, {**base, "direction": direction, "size": 0, **digest, **error})


def _size(head: bytearray) -> int:
    return int.from_bytes(head[:4], "big")


class _Reader:
    """Reads fields of a head."""

    __slots__ = ("_body", "_position", "handle")

    def __init__(self, body: bytes, position: int) -> None:
        self._body = body
        self._position = position
        self.handle = b""

    def number(self, width: int) -> int:
        end = self._position + width
        if end > len(self._body):
            raise Malformed("a packet cut short")
        value = int.from_bytes(self._body[self._position : end], "big")
        self._position = end
        return value

    def string(self) -> bytes:
        count = self.number(4)
        end = self._position + count
        if end > len(self._body):
            raise Malformed("a string longer than its packet, or than is looked at")
        value = self._body[self._position : end]
        self._position = end
        return value

    def path(self) -> str:
        return self.string().decode("utf-8", "backslashreplace")
