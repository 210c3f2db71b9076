"""What an SFTP client asks for, packet by packet, while its data streams by (draft-ietf-secsh-filexfer-02, version 3).

A packet that does something to a file by its name waits until it is whole, and is given out alone with what it asks
for; all else passes as it came. What follows on a handle was asked for when it was opened. Packets that nobody here
knows are refused as unsupported (law 5). Pure code, in memory bounded by one packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate.policy import Act
from recgate_ssh.paths import file_act, settled

__all__ = ["PERMISSION_DENIED", "UNSUPPORTED", "Answers", "Piece", "Requests", "status"]

PERMISSION_DENIED: Final = 3  # SSH_FX_PERMISSION_DENIED
UNSUPPORTED: Final = 8  # SSH_FX_OP_UNSUPPORTED

MAX_PACKET: Final = 4 * 1024 * 1024  # bytes; OpenSSH's own limit is 256 KiB
MAX_NAMED: Final = (
    64 * 1024
)  # bytes of a packet that names files: two paths of 4096 and attributes fit ten times
MAX_HANDLES: Final = 1024  # open at once whose paths are known; more are opaque when their attributes are set
MAX_ASKED: Final = 1024  # answers waited for; likewise
MAX_ANSWER: Final = 8 * 1024  # bytes of an answer that is read; longer ones only pass

_INIT, _OPEN, _CLOSE, _REALPATH, _FSETSTAT, _EXTENDED = 1, 3, 4, 16, 10, 200
_STATUS, _HANDLE, _NAME = 101, 102, 104
# READ, WRITE, LSTAT, FSTAT, READDIR, STAT, READLINK: by handle, or a look at what is there.
_PASSES: Final = frozenset({_INIT, 5, 6, 7, 8, 12, 17, 19})
_READS, _WRITES = 0x01, 0x02 | 0x04 | 0x08 | 0x10  # READ; WRITE, APPEND, CREAT, TRUNC
_ONE_PATH: Final = {9: "attributes", 11: "list", 13: "remove", 14: "mkdir", 15: "rmdir"}
_TWO_PATHS: Final = {18: "rename", 20: "symlink"}
_EXTENSIONS: Final = {
    b"posix-rename@openssh.com": ("rename", 2),
    b"hardlink@openssh.com": ("link", 2),
    b"lsetstat@openssh.com": ("attributes", 1),
}
_HARMLESS: Final = frozenset(
    {
        b"statvfs@openssh.com", b"fstatvfs@openssh.com", b"fsync@openssh.com", b"limits@openssh.com",
        b"expand-path@openssh.com", b"home-directory", b"users-groups-by-id@openssh.com", b"copy-data",
    }
)  # fmt: skip


@dataclass(slots=True)
class Piece:
    """Bytes of the client. With `acts` they are one packet that does that; `refused` ones go no further."""

    data: bytes
    ident: int = 0
    acts: tuple[Act, ...] = ()
    refused: bool = False


class Answers:
    """What the target answers, as far as it must be known: where packets end, and what handles stand for."""

    def __init__(self) -> None:
        self.asked: dict[int, str] = {}  # by request id: the path that was opened, or "" for where it starts
        self.handles: dict[bytes, str] = {}
        self.start = ""
        self._head = bytearray()
        self._rest = 0  # bytes of the current packet still to come
        self._answer: bytearray | None = None  # of it, where it is read

    @property
    def between(self) -> bool:
        """Whether the last packet is whole: something else may stand here."""
        return not self._rest and not self._head

    def feed(self, data: bytes) -> int:
        """Walk over a read; gives the offset of the first place between packets behind its begin, or -1."""
        at, first, size = 0, -1, len(data)
        while at < size:
            if self._rest:
                take = min(self._rest, size - at)
                if self._answer is not None:
                    self._answer += data[at : at + take]
                at += take
                self._rest -= take
                if not self._rest:
                    self._whole()
                    first = at if first < 0 else first
                continue
            take = 5 - len(self._head)
            self._head += data[at : at + take]
            at += take
            if len(self._head) == 5:
                at = min(at, size)
                self._begin()
                if not self._rest:
                    first = at if first < 0 else first
        return first

    def _begin(self) -> None:
        length, kind = int.from_bytes(self._head[:4], "big"), self._head[4]
        self._head.clear()
        if not 1 <= length <= MAX_PACKET:
            raise RemoteProtocolError(f"an SFTP packet of {length} bytes")
        self._rest = length - 1
        read = kind in (_HANDLE, _NAME, _STATUS) and self.asked and length <= MAX_ANSWER
        self._answer = bytearray((kind,)) if read else None

    def _whole(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None or len(answer) < 5:
            return
        path = self.asked.pop(int.from_bytes(answer[1:5], "big"), None)
        if path is None:
            return
        body = bytes(answer[5:])
        if answer[0] == _HANDLE and path and len(self.handles) < MAX_HANDLES:
            self.handles[_string(body, 0)[0]] = path
        elif answer[0] == _NAME and not path and len(body) >= 8:
            name = _string(body, 4)[0].decode("utf-8", "backslashreplace")
            self.start = name if name.startswith("/") else ""


class Requests:
    """What the client sends."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._buffer = b""
        self._rest = 0

    def feed(self, data: bytes) -> list[Piece]:
        """Take a read. Raises `RemoteProtocolError` for what is no SFTP: nothing more may pass then."""
        data = self._buffer + data if self._buffer else data
        pieces: list[Piece] = []
        begin = at = 0
        size = len(data)
        while at < size:
            if self._rest:
                take = min(self._rest, size - at)
                self._rest -= take
                at += take
                continue
            if size - at < 9:
                break
            length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4]
            if not 5 <= length <= MAX_PACKET:
                raise RemoteProtocolError(f"an SFTP packet of {length} bytes")
            if kind in _PASSES:
                self._rest = 4 + length
                continue
            if length > MAX_NAMED:
                raise RemoteProtocolError(f"an SFTP request of {length} bytes")
            if size - at < 4 + length:
                break
            end = at + 4 + length
            piece = self._read(data[at:end])
            if piece is not None:
                if at > begin:
                    pieces.append(Piece(data[begin:at]))
                pieces.append(piece)
                begin = end
            at = end
        if at > begin:
            pieces.append(Piece(data[begin:at]))
        self._buffer = data[at:]
        return pieces

    def _read(self, packet: bytes) -> Piece | None:
        """Give a packet that must be decided on; None for one that passes."""
        kind, ident, body = packet[4], int.from_bytes(packet[5:9], "big"), packet[9:]
        acts: list[Act] = []
        if kind == _CLOSE:
            self._answers.handles.pop(_string(body, 0)[0], None)
            return None
        if kind == _REALPATH:
            if _string(body, 0)[0] in (b".", b""):
                self._expect(ident, "")
            return None
        if kind == _OPEN:
            acts = self._open(ident, body)
        elif kind in _ONE_PATH:
            acts = self._named(_ONE_PATH[kind], body, 0, 1)
        elif kind in _TWO_PATHS:
            acts = self._named(_TWO_PATHS[kind], body, 0, 2)
        elif kind == _FSETSTAT:
            path = self._answers.handles.get(_string(body, 0)[0], "")
            acts = [file_act("attributes", path, certain=bool(path))]
        elif kind == _EXTENDED:
            name, at = _string(body, 0)
            if name in _HARMLESS:
                return None
            if name in _EXTENSIONS:
                word, paths = _EXTENSIONS[name]
                acts = self._named(word, body, at, paths)
        return Piece(packet, ident, tuple(acts), refused=not acts)

    def _open(self, ident: int, body: bytes) -> list[Act]:
        raw, at = _string(body, 0)
        if len(body) < at + 4:
            raise RemoteProtocolError("an SFTP request cut short")
        flags = int.from_bytes(body[at : at + 4], "big")
        path, certain = settled(raw, self._answers.start)
        if certain:
            self._expect(ident, path)
        acts = [file_act("upload", path, certain=certain)] if flags & _WRITES else []
        if flags & _READS or not acts:
            acts.append(file_act("download", path, certain=certain))
        return acts

    def _named(self, word: str, body: bytes, at: int, paths: int) -> list[Act]:
        acts: list[Act] = []
        for _ in range(paths):
            raw, at = _string(body, at)
            path, certain = settled(raw, self._answers.start)
            acts.append(file_act(word, path, certain=certain))
        return acts

    def _expect(self, ident: int, path: str) -> None:
        if len(self._answers.asked) < MAX_ASKED:
            self._answers.asked[ident] = path


def status(ident: int, code: int, text: str) -> bytes:
    """Give the packet that refuses a request (SSH_FXP_STATUS, §7)."""
    words = text.encode()
    body = b"\x65" + ident.to_bytes(4, "big") + code.to_bytes(4, "big")
    body += len(words).to_bytes(4, "big") + words + b"\0\0\0\2en"
    return len(body).to_bytes(4, "big") + body


def _string(body: bytes, at: int) -> tuple[bytes, int]:
    length = int.from_bytes(body[at : at + 4], "big")
    end = at + 4 + length
    if len(body) < at + 4 or end > len(body):
        raise RemoteProtocolError("an SFTP request cut short")
    return body[at + 4 : end], end
