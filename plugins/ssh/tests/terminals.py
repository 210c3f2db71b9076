"""A real bash at a real sshd through the gate, in a terminal that a test types into."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio

from plugins.ssh.tests.gate import Gate
from recgate.decisions import ALLOW, Decision
from recgate.policy import acts_of
from recgate.sansio.frames import UPSTREAM

__all__ = ["BASH", "PROMPT", "Terminal", "forbid_verbs", "open_terminal"]

PROMPT = "shell> "
BASH = f"HISTFILE=/dev/null PS1='{PROMPT}' TERM=xterm exec bash --norc --noprofile -i"


def forbid_verbs(gate: Gate, *verbs: str) -> list[str]:
    """Refuse commands of terminals by the programs that they run, and opaque ones; gives the texts that were asked."""
    asked: list[str] = []

    def decide(request: Any) -> Decision:
        if request.request.details.get("type") != "command":
            return ALLOW
        asked.append(request.request.text)
        if any(act.verb in verbs or act.opaque for act in acts_of(request.request)):
            return Decision.deny("not here", rule="no-rm")
        return ALLOW

    gate.decide = decide
    return asked


class Terminal:
    def __init__(self, gate: Gate, process: trio.Process) -> None:
        self._gate = gate
        self._process = process
        self._seen = 0

    @property
    def shown(self) -> bytes:
        return self._gate.doors[-1].data(UPSTREAM) if self._gate.doors else b""

    @property
    def told(self) -> bytes:
        return self._gate.doors[-1].data(2, "ext")

    async def type(self, keys: str | bytes) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(keys.encode() if isinstance(keys, str) else keys)

    async def until(self, condition: Callable[[], bool]) -> None:
        await self._gate.until(condition)

    async def see(self, text: str) -> None:
        """Wait until something is shown behind what was seen last."""
        await self._gate.until(lambda: text.encode() in self.shown[self._seen :])
        self._seen = self.shown.index(text.encode(), self._seen) + len(text)

    async def prompt(self) -> None:
        await self.see(PROMPT)

    async def refused(self) -> None:
        """Wait until a command has been refused and its line cleared."""
        await self.until(lambda: b"not here" in self.told)
        with trio.move_on_after(2.0) as scope:
            await self.see("^C")
            await self.prompt()
        if scope.cancelled_caught:
            # bash that is interrupted while it draws goes on at the next key.
            await self.type("\x15")
            await self.prompt()

    async def run(self, command: str) -> None:
        """Type a command and wait for the next prompt."""
        # bash that was interrupted may lose the next key: a blank is no loss.
        await self.type(f" {command}")
        await self.see(command[-8:])
        await self.type("\r")
        await self.prompt()

    async def leave(self) -> None:
        await self.type("\x15exit\r")
        with trio.fail_after(30):
            await self._process.wait()


@contextlib.asynccontextmanager
async def open_terminal(gate: Gate, inputrc: str = "") -> AsyncIterator[Terminal]:
    settings = gate.directory / "inputrc"
    settings.write_text(inputrc + "\n")
    async with gate.client([*gate.line("-tt"), f"INPUTRC={settings} {BASH}"]) as process:
        terminal = Terminal(gate, process)
        await terminal.prompt()
        yield terminal
