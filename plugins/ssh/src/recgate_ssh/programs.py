"""One channel of a recording while it is read: what ran in it, what was typed and shown, which files it moved.

Pure code, and bounded: what is shown goes out at once, and of what is not text only the count remains.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Any, Final

from recgate.recording.frames import RecordedFrame
from recgate.transcript.entries import Entry
from recgate_ssh.keystrokes import HIDDEN, Decided, Keys
from recgate_ssh.scp import Scp, scp_of
from recgate_ssh.sftp import FileEvent, Sftp
from recgate_ssh.terminal import plain_text
from recgate_ssh.words import legible

__all__ = ["Program"]

MAX_TEXT: Final = 64 * 1024  # characters of one entry that search sees
MAX_UNSHOWN: Final = 1024 * 1024  # bytes of output without a terminal that are shown; the rest is counted
MAX_COMMAND: Final = 64 * 1024  # characters of a command in an entry
MAX_KEPT_COMMAND: Final = 2048  # of which this many survive in the state


class Program:
    """A session channel. Each method gives the entries that its frame completes."""

    def __init__(self, n: int, t: int, channel: int) -> None:
        self.n, self.t, self.channel = n, t, channel
        self.kind = ""
        self.command = ""
        self.pty: dict[str, Any] = {}
        self.exit: int | str | None = None
        self.sizes = [0, 0, 0]  # bytes of each side: typed, shown, the gateway's own
        self.keys: Keys | None = None
        self.files: Sftp | Scp | None = None
        self.closed = 0
        self._decoders = [_decoder(), _decoder(), _decoder()]
        self._binary = False

    # -- requests --------------------------------------------------------------------------------------

    def request(self, frame: RecordedFrame, body: Mapping[str, Any]) -> Iterable[Entry]:
        """Take what the client asked for."""
        word = body.get("type")
        if word == "pty-req":
            self.pty = {
                "term": legible(body.get("term", ""))[:64],
                "cols": body.get("cols", 0),
                "rows": body.get("rows", 0),
            }
            self.keys = Keys(int(self.pty["cols"]))
            yield self._resize(frame, body)
        elif word in ("shell", "exec", "subsystem"):
            self.kind = str(word)
            self.n, self.t = frame.seq, frame.t
            self.command = legible(body.get("command", body.get("name", "")))[:MAX_COMMAND]
            if word == "subsystem" and self.command == "sftp":
                self.files = Sftp()
            elif word == "exec":
                self.files = scp_of(self.command)
        elif word in ("signal", "break"):
            text = f"signal {legible(body.get('name', ''))}" if word == "signal" else "break"
            yield self._entry(frame, "note", {"text": text})

    def resize(self, frame: RecordedFrame, body: Mapping[str, Any]) -> Iterable[Entry]:
        """Take a new window size."""
        if self.keys is not None:
            self.keys.line.cols = int(body.get("cols", 0))
        yield self._resize(frame, body)

    def _resize(self, frame: RecordedFrame, body: Mapping[str, Any]) -> Entry:
        size: dict[str, object] = {key: int(body.get(key, 0)) for key in ("cols", "rows")}
        return self._entry(frame, "resize", size)

    # -- data ------------------------------------------------------------------------------------------

    def data(self, frame: RecordedFrame) -> Iterable[Entry]:
        """Take bytes of either side, or stderr."""
        self.sizes[frame.side] += len(frame.data)
        if self.files is not None and frame.kind == "data":
            for event in self.files.feed(frame.side, frame.seq, frame.t, frame.data):
                yield self._file(event)
            if not self.files.broken or isinstance(self.files, Sftp):
                return
            # A command that only began like a copy: what it is is read as any other's.
        if frame.kind == "ext":
            text = frame.data.decode("utf-8", "replace")
            yield self._entry(frame, "screen", {"text": text, "stream": "stderr"}, plain_text(text))
            return
        if self.keys is None:
            yield from self._stream(frame)
            return
        text = self._decoders[frame.side].decode(frame.data)
        if frame.side == 0:
            yield from self._decided(self.keys.typed(frame.seq, frame.t, text))
        elif frame.side == 2 and frame.data.endswith(b"\x03"):
            yield from self._decided(self.keys.cleared())  # the gateway refused the command on the line
        else:
            fresh = not self.keys.line.text
            yield from self._decided(self.keys.shown(text))
            yield self._entry(frame, "screen", {"text": text}, plain_text(text, fresh=fresh))

    def _stream(self, frame: RecordedFrame) -> Iterable[Entry]:
        """Show what passes without a terminal, as long as it is text and not too much of it."""
        if self._binary or sum(self.sizes) > MAX_UNSHOWN:
            return
        if b"\0" in frame.data[:4096]:
            self._binary = True
            return
        text = self._decoders[frame.side].decode(frame.data)
        if frame.side == 0:
            yield self._entry(frame, "key", {"text": text, "stream": "stdin"}, plain_text(text))
        else:
            yield self._entry(frame, "screen", {"text": text, "stream": "stdout"}, plain_text(text))

    def _decided(self, lines: Iterable[Decided]) -> Iterable[Entry]:
        for keys, echoed, command in lines:
            for n, t, text in keys:
                body: dict[str, object] = {"text": text}
                if not echoed:
                    body = {"text": HIDDEN if text.strip() else text, "hidden": True}
                yield Entry(n, t, 0, self.channel, "key", body)
            if command and keys:
                n, t, _ = keys[0]
                body = {"command": command, "typed": True}
                yield Entry(n, t, 0, self.channel, "shell", body, command, _terms(command))

    # -- the end ---------------------------------------------------------------------------------------

    def exited(self, body: Mapping[str, Any]) -> None:
        """Take the exit status or signal."""
        if body.get("type") == "exit-status":
            self.exit = int(body.get("status", 0))
        else:
            self.exit = f"signal {legible(body.get('signal', ''))}"[:64]

    def finish(self) -> Iterable[Entry]:
        """Give what is left, and the program as a whole."""
        if self.keys is not None:
            yield from self._decided(self.keys.finish())
        if self.files is not None:
            for event in self.files.finish():
                yield self._file(event)
            if self.files.broken and isinstance(self.files, Sftp):
                text = f"the file transfer could not be followed: {self.files.broken}"
                yield Entry(self.n, self.t, 2, self.channel, "note", {"text": text}, text)
        if not self.kind:
            return
        body: dict[str, object] = {
            "command": self.command,
            "exit": self.exit,
            "type": self.kind,
            "pty": bool(self.pty),
            "bytes_client": self.sizes[0],
            "bytes_upstream": self.sizes[1],
        }
        if self.pty:
            body["term"] = self.pty["term"]
        yield Entry(
            self.n, self.t, 0, self.channel, "shell", body, self.command, _terms(self.command, self.kind)
        )

    def _file(self, event: FileEvent) -> Entry:
        body = event.body
        text = " ".join(str(body[key]) for key in ("direction", "path", "to") if key in body)
        terms = (("object", str(body["path"])), ("verb", str(body["direction"])))
        return Entry(event.n, event.t, 0, self.channel, "file", body, text, terms)

    def _entry(self, frame: RecordedFrame, kind: str, body: dict[str, object], text: str = "") -> Entry:
        return Entry(frame.seq, frame.t, frame.side, frame.channel, kind, body, text[:MAX_TEXT])

    # -- state -----------------------------------------------------------------------------------------

    def save(self) -> list[Any]:
        """Give the state as CBOR-able values."""
        files: list[Any] = []
        if self.files is not None:
            files = ["sftp" if isinstance(self.files, Sftp) else "scp", self.files.save()]
        keys = self.keys.save() if self.keys is not None else None
        pending = [decoder.getstate()[0] for decoder in self._decoders]
        command = self.command[:MAX_KEPT_COMMAND]
        own = [self.n, self.t, self.channel, self.kind, command, self.pty, self.exit, self.sizes]
        return [own, keys, files, pending, self._binary, self.closed]

    @classmethod
    def restore(cls, state: list[Any]) -> Program:
        """Go on from what `save` gave."""
        own, keys, files, pending, binary, closed = state
        program = cls(own[0], own[1], own[2])
        program.kind, program.command, program.pty, program.exit, program.sizes = own[3:8]
        program.keys = Keys.restore(keys) if keys is not None else None
        if files:
            program.files = (Sftp if files[0] == "sftp" else Scp).restore(files[1])
        for decoder, held in zip(program._decoders, pending, strict=True):
            decoder.setstate((held, 0))
        program._binary, program.closed = binary, closed
        return program


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


def _terms(command: str, kind: str = "exec") -> tuple[tuple[str, str], ...]:
    """Give the program's name as `verb:`, so that `verb:rm` finds what `rm` did."""
    words = command.split(None, 1)
    if kind == "subsystem" or not words:
        return (("verb", kind),)
    name = words[0].rpartition("/")[2].lower()
    return (("verb", name[:64]),) if name else ()
