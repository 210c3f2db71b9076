"""Let rules decide on the commands of a terminal: Enter waits until what it would run is allowed.

Keys go on as they come, since the shell draws the line that is judged. At Enter the gate waits until the line is drawn,
asks, and lets Enter go on or clears the line at the target with Ctrl-C. What is typed meanwhile waits, but for a
Ctrl-C, which gives up a request that is held.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from recgate.decisions import Decision
from recgate.errors import RecordingFailed
from recgate.policy import Act
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame, Request
from recgate_ssh.commandline import CommandLine, Entered, without_echo
from recgate_ssh.commands import acts_of_line

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["MAX_AHEAD", "ShellGate", "command_request"]

UNTOLD: Final = (
    80  # columns that line editors take a terminal to have which says none, as `ssh -tt` without one does
)
MAX_AHEAD: Final = 64 * 1024  # bytes typed behind an Enter that waits, before the client is not read any more
SETTLE: Final = 0.12  # seconds of silence after which a line counts as drawn, and twice the target's own lag
PASTE_ENDS: Final = 0.1  # seconds for a shell to read that a paste is over, before it is interrupted
LONGEST: Final = 3.0  # seconds that a line is waited for at all

_ENTER: Final = re.compile(rb"\r\n|[\r\n\x0f]")  # Ctrl-O runs the line, too (readline's operate-and-get-next)
_INTERRUPT: Final = b"\x03"
_PASTED: Final = b"\x1b[201~"

Onward = Callable[[bytes, bool], None]


def command_request(channel: int, text: str, *, certain: bool) -> Request:
    """Ask for a command of an interactive shell; one that is not certain is opaque besides."""
    acts = acts_of_line(text)
    if not certain:
        acts = (*acts, Act(opaque=True))
    return Request("shell", text, channel, {"type": "command", "pty": True, "acts": acts})


class ShellGate:
    """Stands in a channel with a terminal."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        blind = without_echo(bridge.pty.get("modes"))
        self._line = CommandLine(int(bridge.pty.get("cols", 0)) or UNTOLD, blind=blind)
        self._decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in range(2)]
        self._ahead = b""
        self._busy = False
        self._dropping = False  # the rest of a paste that was refused
        self._asking: trio.CancelScope | None = None
        self._drawn = trio.Event()
        self._keyed = self._heard = float("-inf")
        self._lag = 0.0
        self._after: list[Callable[[], None]] = []
        self._onward: Onward = bridge.ends[CLIENT].pass_on
        self._back: Onward = bridge.ends[UPSTREAM].pass_on

    def attach(self) -> None:
        """Stand in the channel, before whatever stands in it already."""
        near, far = self._bridge.ends[CLIENT], self._bridge.ends[UPSTREAM]
        self._onward = near.through or near.pass_on
        self._back = far.through or far.pass_on
        near.through, far.through = self.typed, self.shown
        near.defer, near.abandon = self.defer, self.abandon
        self._bridge.resized, self._bridge.erased = self.resized, partial(self._line.typed, "\x15")

    def resized(self, cols: int) -> None:
        """Take a new width."""
        self._line.line.cols = cols or UNTOLD

    def shown(self, data: bytes, ext: bool) -> None:
        """Take a read of the target."""
        now = trio.current_time()
        if self._keyed > self._heard:
            self._lag = max(self._lag * 0.9, min(now - self._keyed, LONGEST / 4))
        self._heard = now
        self._line.shown(self._decoders[1].decode(data))
        self._drawn.set()
        self._back(data, ext)

    def typed(self, data: bytes, ext: bool) -> None:
        """Take a read of the client."""
        if ext:
            return
        if self._asking is not None and _INTERRUPT in data:
            data = data[data.rindex(_INTERRUPT) + 1 :]
            self._ahead = b""
            self._asking.cancel()
        self._ahead += data
        if len(self._ahead) > MAX_AHEAD:
            self._bridge.ends[CLIENT].pause("shell", True)
        if not self._busy:
            self._advance()

    def defer(self, action: Callable[[], None]) -> bool:
        """Take what must not overtake the keys; false if none wait."""
        if not self._busy:
            return False
        self._after.append(action)
        return True

    def abandon(self) -> None:
        """The client is gone: what it has not finished is nobody's."""
        self._ahead = b""
        self._after.clear()
        if self._asking is not None:
            self._asking.cancel()

    def _advance(self) -> None:
        while self._ahead and not self._busy:
            if self._dropping:
                _, found, self._ahead = self._ahead.partition(_PASTED)
                self._dropping = not found
                continue
            enter = _ENTER.search(self._ahead)
            keys = self._ahead[: enter.start()] if enter is not None else self._ahead
            self._ahead = self._ahead[enter.end() :] if enter is not None else b""
            if keys:
                self._keyed = trio.current_time()
                self._line.typed(self._decoders[0].decode(keys))
                self._onward(keys, False)
            if enter is not None:
                self._busy = True
                self._bridge.crossing.spawn(partial(self._enter, enter[0]))
        if len(self._ahead) <= MAX_AHEAD:
            self._bridge.ends[CLIENT].pause("shell", False)
        if not self._busy:
            after, self._after = self._after, []
            for action in after:
                action()

    async def _enter(self, key: bytes) -> None:
        """Decide on one Enter. Cancelled, it has not gone on."""
        crossing = self._bridge.crossing
        try:
            await self._settled()
            entered = self._line.entered()
            denied = await self._asked(entered)
        except RecordingFailed as exc:
            crossing.recording_failed(exc)
            return
        if crossing.stopped:
            return
        if denied is None:
            self._line.passed(entered)
            self._onward(key, False)
        else:
            await self._refuse(denied)
        self._busy = False
        self._advance()

    async def _settled(self) -> None:
        """Wait until the line is drawn, as far as that can be known."""
        if self._line.pasting or self._line.idle:
            return
        started = trio.current_time()
        while not self._line.echoed:
            now = trio.current_time()
            quiet = max(self._keyed, self._heard) + SETTLE + 2 * self._lag
            if now >= quiet or now >= started + LONGEST:
                return
            self._drawn = trio.Event()
            with trio.move_on_at(min(quiet, started + LONGEST)):
                await self._drawn.wait()

    async def _asked(self, entered: Entered) -> Decision | None:
        session = self._bridge.crossing.session
        session.notice = self._bridge.tell_anew
        for text in entered.texts:
            request = command_request(self._bridge.number, text, certain=entered.certain)
            if "shell" in session.unruled:
                continue
            with trio.CancelScope() as self._asking:
                denied = await session.ask(request)
                if denied is not None:
                    return denied
            cancelled = self._asking.cancelled_caught
            self._asking = None
            if cancelled:
                self._bridge.crossing.note("the command was given up with Ctrl-C while it was held")
                return Decision.deny("given up")
        self._asking = None
        return None

    async def _refuse(self, decision: Decision) -> None:
        """Say so, and clear the line at the target; what was typed or pasted behind it is not sent either."""
        bridge = self._bridge
        self._asking = None
        pasting = self._line.pasting
        self._dropping = pasting and _PASTED not in self._ahead
        self._ahead = b""
        self._line.refused()
        bridge.tell_anew(bridge.words(decision))
        if pasting:
            # By itself, since an interrupt throws away what the terminal has not been read of.
            self._send(_PASTED)
            await trio.sleep(PASTE_ENDS)
        self._send(_INTERRUPT)

    def _send(self, keys: bytes) -> None:
        bridge = self._bridge
        frame = Frame(GATEWAY, "data", keys, bridge.number, to=UPSTREAM)
        bridge.ends[CLIENT].lane.push(frame, bridge.ends[UPSTREAM].put)
