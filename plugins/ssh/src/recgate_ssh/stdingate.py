"""Let rules decide on what is sent to a shell without a terminal: line by line, as the shell will read it.

Nothing echoes here and nothing is edited, so a line waits until it is whole and allowed; one that is refused is left
out, with a line on stderr.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from recgate.errors import RecordingFailed
from recgate.policy import Act
from recgate.sansio.frames import CLIENT, Request
from recgate_ssh.commands import read

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["MAX_COMMAND", "StdinGate"]

MAX_COMMAND: Final = 64 * 1024  # bytes of lines that are one command; longer ones are opaque
MAX_AHEAD: Final = 256 * 1024  # bytes that wait before the client is not read any more


class StdinGate:
    """Stands in a channel whose program is a shell without a terminal."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._onward = bridge.ends[CLIENT].pass_on
        self._ahead = b""
        self._before = b""  # lines of a command that is not whole
        self._busy = False
        self._after: list[Callable[[], None]] = []

    def attach(self) -> None:
        """Stand in the channel."""
        near = self._bridge.ends[CLIENT]
        self._onward = near.through or near.pass_on
        near.through, near.defer, near.abandon = self.typed, self.defer, self.abandon

    def typed(self, data: bytes, ext: bool) -> None:
        """Take a read of the client."""
        if ext:
            return
        self._ahead += data
        if len(self._ahead) > MAX_AHEAD:
            self._bridge.ends[CLIENT].pause("shell", True)
        self._go_on()

    def defer(self, action: Callable[[], None]) -> bool:
        """Take the end of the input, which lets the last line go without a newline."""
        if not self._ahead and not self._before and not self._busy:
            return False
        self._after.append(action)
        self._go_on()
        return True

    def abandon(self) -> None:
        """The client is gone: what it has not finished is nobody's."""
        self._ahead = self._before = b""
        self._after.clear()

    def _go_on(self) -> None:
        if not self._busy and (self._after or b"\n" in self._ahead or len(self._ahead) > MAX_COMMAND):
            self._busy = True
            self._bridge.crossing.spawn(self._judge)

    async def _judge(self) -> None:
        """Decide on what is there, command by command. Cancelled, the rest has not gone on."""
        crossing = self._bridge.crossing
        session = crossing.session
        while not crossing.stopped and (line := self._next()):
            command, self._before = self._before + line, b""
            reading = read(command.decode("utf-8", "replace").rstrip("\n"))
            if not reading.complete and len(command) < MAX_COMMAND and (self._ahead or not self._after):
                self._before = command
                continue
            text = command.decode("utf-8", "backslashreplace").strip()
            acts = reading.acts if reading.complete else [*reading.acts, Act(opaque=True)]
            if "\n" in text:
                # A program may read one of these lines (`read x`), and then the quotes in it are none.
                acts += [act for line in text.split("\n") for act in read(line).acts]
            session.notice = self._bridge.tell
            try:
                details: dict[str, object] = {"type": "command", "acts": tuple(acts) or (Act(),)}
                request = Request("shell", text, self._bridge.number, details)
                denied = await session.ask(request) if text else None
            except RecordingFailed as exc:
                crossing.recording_failed(exc)
                return
            if crossing.stopped:
                return
            if denied is None:
                self._onward(command, False)
            else:
                self._bridge.tell(self._bridge.words(denied))
        self._busy = False
        if len(self._ahead) <= MAX_AHEAD:
            self._bridge.ends[CLIENT].pause("shell", False)
        if not self._ahead and not self._before:
            after, self._after = self._after, []
            for action in after:
                action()

    def _next(self) -> bytes:
        """Take the next line; the last one without its newline where nothing follows."""
        end = self._ahead.find(b"\n") + 1
        if not end and (self._after or len(self._ahead) > MAX_COMMAND):
            end = len(self._ahead)
            if not end and self._before:
                # A command that is not whole, and nothing follows: what the shell makes of it is not told by its text.
                self._ahead, self._before = self._before, b""
                end = len(self._ahead)
        line, self._ahead = self._ahead[:end], self._ahead[end:]
        return line
