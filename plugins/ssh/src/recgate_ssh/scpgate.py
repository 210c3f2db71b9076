"""Let rules decide on what the old scp protocol copies: what its command line names, and each file that is sent.

A file that is refused never reaches the target; the client is told as scp tells it, and goes on with the next one.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recgate.decisions import Decision
from recgate.policy import Act
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame
from recgate_ssh.commands import read
from recgate_ssh.paths import file_act, file_request, settled
from recgate_ssh.shellwords import Unfinished, Word, words_of

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["Copy", "ScpGate", "copy_of"]

MAX_CONTROL: Final = 8192  # bytes of a control line: a path of 4096 and then some
MAX_DEPTH: Final = 64  # directories inside one another
MAX_AHEAD: Final = 64 * 1024  # bytes that may come before an answer; a client waits for each
_CONTROL: Final = re.compile(rb"([CD])[0-7]{4,5} ([0-9]{1,19}) ([^/]+)")
_FLAGS: Final = re.compile(r"-[vrpdtfq]+")


@dataclass(frozen=True, slots=True)
class Copy:
    """What a command line does that runs scp as the far end of a copy; `alone`: that and nothing else.

    `base` is where an upload goes, where it can be followed.
    """

    uploads: bool
    acts: tuple[Act, ...]
    base: str = ""
    certain: bool = False
    into: bool = False
    alone: bool = False


def copy_of(command: str) -> Copy | None:
    """Read a command line; None for one that does not run scp so."""
    if "scp" not in command or not any(act.verb == "scp" for act in read(command).acts):
        return None
    try:
        tokens = list(words_of(command))
    except Unfinished:
        return None
    words = [each for each in tokens if isinstance(each, Word)]
    flags = "".join(word.text for word in words if _FLAGS.fullmatch(word.text))
    if "t" not in flags and "f" not in flags:
        return None
    uploads = "t" in flags
    direction = "upload" if uploads else "download"
    options = [word for word in words[1:] if word.text.startswith("-") and not _FLAGS.fullmatch(word.text)]
    named = [word for word in words[1:] if not word.text.startswith("-")]
    if len(words) < len(tokens) or posixpath.basename(words[0].text) != "scp" or not named:
        return Copy(uploads, (file_act(direction, "", certain=False),))
    plain = not any(word.text != "--" for word in options) and ("f" in flags) != uploads
    acts: list[Act] = []
    for word in named:
        path, certain = settled(word.text)
        # What a directory holds is named by nobody but the target.
        certain = certain and plain and not word.dynamic and not (not uploads and "r" in flags)
        acts.append(file_act(direction, path, certain=certain))
    first = acts[0]
    base = first.path if uploads and plain and len(named) == 1 else ""
    return Copy(uploads, tuple(acts), base, not first.opaque, "d" in flags, alone=plain)


class ScpGate:
    """Stands in a channel that uploads: `sent` takes what the client sends."""

    def __init__(self, bridge: Bridge, copy: Copy) -> None:
        self._bridge = bridge
        self._copy = copy
        self._path: list[str] = []
        self._line = b""
        self._left = 0  # bytes of the current file, and the one behind them
        self._asking = False
        self._broken = False

    def sent(self, data: bytes, ext: bool) -> None:
        """Take a read of the client."""
        if self._broken or ext:
            return
        self._line += data
        while self._line and not self._asking and not self._broken:
            if self._left:
                part, self._line = self._line[: self._left], self._line[self._left :]
                self._left -= len(part)
                self._pass(part)
            elif self._line[0] in (0, 1, 2):
                # An acknowledgement; what follows 1 or 2 is a message, which the target shows or ignores.
                part, self._line = self._line[:1], self._line[1:]
                self._pass(part)
            elif b"\n" in self._line[:MAX_CONTROL]:
                line, _, self._line = self._line.partition(b"\n")
                self._control(line)
            elif len(self._line) >= MAX_CONTROL:
                self._fail()
            else:
                return
        if self._asking and len(self._line) > MAX_AHEAD:
            self._fail()

    def _pass(self, data: bytes) -> None:
        bridge = self._bridge
        bridge.ends[CLIENT].lane.push(Frame(CLIENT, "data", data, bridge.number), bridge.ends[UPSTREAM].put)

    def _control(self, line: bytes) -> None:
        match = _CONTROL.fullmatch(line)
        if match is None:
            if line == b"E":
                self._path = self._path[:-1]
            elif not re.fullmatch(rb"T[0-9 ]{1,80}", line):
                self._fail()
                return
            self._pass(line + b"\n")
            return
        name = match[3].decode("utf-8", "backslashreplace")
        directory = match[1] == b"D"
        if name in (".", "..") or len(self._path) >= MAX_DEPTH:
            self._fail()
            return
        bridge = self._bridge
        frame = Frame(CLIENT, "data", line + b"\n", bridge.number)
        frame.request = file_request(bridge.number, self._acts(name), by="scp")

        def deliver(frame: Frame) -> None:
            bridge.ends[UPSTREAM].put(frame)
            if directory:
                self._path.append(name)
            else:
                self._left = int(match[2]) + 1
            self._go_on()

        self._asking = True
        bridge.ends[CLIENT].lane.push(frame, deliver, self._refuse)

    def _acts(self, name: str) -> tuple[Act, ...]:
        copy = self._copy
        inside = file_act("upload", posixpath.join(copy.base, *self._path, name), certain=copy.certain)
        if self._path or copy.into:
            return (inside,)
        # Whether it goes into a directory of that name or becomes that file is known to the target alone.
        return (inside, file_act("upload", copy.base, certain=copy.certain))

    def _refuse(self, decision: Decision) -> None:
        bridge = self._bridge
        said = b"\x01recgate: " + bridge.words(decision).replace("\n", " ").encode() + b"\n"
        frame = Frame(GATEWAY, "data", said, bridge.number, to=CLIENT)
        bridge.ends[UPSTREAM].lane.push(frame, bridge.ends[CLIENT].put)
        self._go_on()

    def _go_on(self) -> None:
        self._asking = False
        if self._line:
            self.sent(b"", ext=False)

    def _fail(self) -> None:
        self._broken = True
        self._bridge.end_with("the file transfer cannot be followed: this is not the scp protocol")
