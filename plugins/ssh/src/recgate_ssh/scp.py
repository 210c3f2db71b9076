"""What the old scp protocol moved, read from the sending side's stream (the protocol of rcp).

    C0644 1234 name\\n  1234 bytes  \\0      a file
    D0755 0 name\\n … E\\n                   a directory
    T…\\n                                   times

Which way it goes and where is in the command line; that says how to read a transcript, and decides nothing. A
stream that is something else ends the reading. Pure code.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import Any, Final

from recgate_ssh.digest import RunningDigest
from recgate_ssh.sftp import FileEvent

__all__ = ["Scp", "scp_of"]

MAX_CONTROL: Final = 8192  # bytes of a control line: a path of 4096 and then some
MAX_DEPTH: Final = 64  # directories inside one another that are followed
_CONTROL: Final = re.compile(rb"([CD])([0-7]{4,5}) ([0-9]{1,19}) (.+)", re.DOTALL)


def scp_of(command: str) -> Scp | None:
    """Give the reader for a command that runs scp as the far end of a copy, else None."""
    if "scp" not in command:
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if not words or posixpath.basename(words[0]) != "scp":
        return None
    flags = "".join(word[1:] for word in words[1:] if word.startswith("-") and not word.startswith("--"))
    if "t" not in flags and "f" not in flags:
        return None
    base = words[-1] if len(words) > 1 and not words[-1].startswith("-") else ""
    return Scp(sender=0 if "t" in flags else 1, base=base, into="r" in flags or "d" in flags)


class Scp:
    """The sending side of one copy: side 0 uploads, side 1 downloads."""

    def __init__(self, sender: int, base: str, into: bool) -> None:
        self.sender = sender
        self._base = base
        self._into = into
        self._path: list[str] = []
        self._line = bytearray()
        self._left = 0  # bytes of the current file still to come
        self._file: tuple[int, int, str, RunningDigest] | None = None
        self._ack = False  # the byte behind a file's data is next
        self.broken = ""

    def feed(self, side: int, n: int, t: int, data: bytes) -> list[FileEvent]:
        """Take bytes; only the sending side's say anything."""
        if side != self.sender or self.broken:
            return []
        events: list[FileEvent] = []
        view = memoryview(data)
        while view and not self.broken:
            if self._left:
                part, view = view[: self._left], view[self._left :]
                self._left -= len(part)
                if self._file is not None:
                    self._file[3].update(self._file[3].size, part)
            elif self._ack:
                view, self._ack = view[1:], False
                events += self._ended("")
            else:
                view = self._control(n, t, view)
        return events

    def _control(self, n: int, t: int, view: memoryview) -> memoryview:
        if not self._line and view[0] in (0, 1, 2):
            return view[1:]  # an acknowledgement, or a message for people that ends as a line
        raw = bytes(view[: MAX_CONTROL + 1 - len(self._line)])
        end = raw.find(b"\n")
        self._line += raw if end < 0 else raw[:end]
        if end < 0:
            if len(self._line) > MAX_CONTROL:
                self._give_up()
            return view[len(raw) :]
        line = bytes(self._line)
        self._line.clear()
        self._act(n, t, line)
        return view[end + 1 :]

    def _act(self, n: int, t: int, line: bytes) -> None:
        match = _CONTROL.fullmatch(line)
        if match is not None:
            name = match[4].decode("utf-8", "backslashreplace")
            if match[1] == b"D":
                if len(self._path) >= MAX_DEPTH:
                    self._give_up()
                    return
                self._path.append(name)
                return
            self._left, self._ack = int(match[3]), True
            self._file = (n, t, self._where(name), RunningDigest())
        elif line == b"E":
            if self._path:
                self._path.pop()
        elif not line.startswith(b"T"):
            self._give_up()

    def _where(self, name: str) -> str:
        if self._path or self._into:
            return posixpath.join(self._base, *self._path, name)
        return self._base or name

    def _give_up(self) -> None:
        self.broken = "not the scp protocol"

    def _ended(self, error: str) -> list[FileEvent]:
        if self._file is None:
            return []
        (n, t, path, digest), self._file = self._file, None
        body: dict[str, object] = {
            "path": path,
            "direction": "download" if self.sender else "upload",
            "size": digest.size,
            **digest.body,
        }
        return [FileEvent(n, t, {**body, "error": error} if error else body)]

    def finish(self) -> list[FileEvent]:
        """Give the file that was cut short."""
        return self._ended("cut short" if self._left else "")

    def save(self) -> list[Any]:
        """Give the state as CBOR-able values; a hash under way is lost in it."""
        file = [*self._file[:3], self._file[3].save()] if self._file is not None else None
        path = [part[:255] for part in self._path]
        return [
            self.sender,
            self._base,
            self._into,
            path,
            bytes(self._line),
            self._left,
            file,
            self._ack,
            self.broken,
        ]

    @classmethod
    def restore(cls, state: list[Any]) -> Scp:
        """Go on from what `save` gave."""
        scp = cls(state[0], state[1], state[2])
        scp._path, scp._line, scp._left = list(state[3]), bytearray(state[4]), state[5]
        if state[6] is not None:
            n, t, path, digest = state[6]
            scp._file = (n, t, path, RunningDigest.restore(digest))
        scp._ack, scp.broken = state[7], state[8]
        return scp
