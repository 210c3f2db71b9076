"""Which agents are connected to this gateway, what they are asked for, and what they carry. One object a gateway."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import structlog
import trio

from recgate.metrics import AGENTS
from recgate.session import Session
from recgate_agent.bridge import Bridge
from recgate_agent.messages import REFUSED, REPLACED, Dial
from recgate_agent.proof import encoded
from recgate_agent.roster import Enrolled, Roster, RosterFailed, Rows

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["MAX_STREAMS", "MAX_WAITING", "Control", "Online", "Pending"]

MAX_STREAMS: Final = 256  # connections that one agent carries at a time
MAX_WAITING: Final = 32  # connections that one agent is asked for at a time
LOOK: Final = 0.5  # seconds between looks at the roster: how long a revocation may take to be noticed
UNAVAILABLE: Final = 1011

log = structlog.get_logger("recgate.agent")


@dataclass(slots=True)
class Pending:
    """A connection that an agent was asked for. `session` is None for a short errand."""

    agent: str
    target: str
    session: Session | None
    answered: trio.Event = field(default_factory=trio.Event)
    far: socket.socket | None = None
    why: str = ""
    over: bool = False  # nobody waits any more

    def connected(self, far: socket.socket) -> None:
        """The agent's second connection is here."""
        self.far = far
        self.answered.set()

    def failed(self, why: str) -> None:
        """It could not."""
        self.why = why
        self.answered.set()


@dataclass(slots=True, eq=False)
class Control:
    """One agent that has proven itself: orders go to it by a queue that a slow agent does not make longer."""

    row: Enrolled
    orders: trio.MemorySendChannel[bytes]
    scope: trio.CancelScope
    ending: trio.Event = field(default_factory=trio.Event)
    unanswered: int = 0  # orders that it has let pass since it last answered one
    used: int = 0
    why: str = ""
    code: int = UNAVAILABLE

    def cut(self, code: int, why: str) -> None:
        """End the connection, with words for the agent."""
        if not self.why:
            self.code, self.why = code, why
        self.ending.set()
        self.scope.cancel()


class Online:
    """Controls by agent, pending connections by id, bridges. Everything here happens in the gateway's one loop."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.roster = Roster(gateway.config.data_dir)
        self._controls: dict[str, Control] = {}
        self._pending: dict[str, Pending] = {}
        self._bridges: set[Bridge] = set()
        self._rows = Rows()
        self._version: tuple[int, int, int] | None = None
        self._turn = 0
        self._watching = False

    @classmethod
    def of(cls, gateway: Gateway) -> Online:
        """Give the one that belongs to a gateway: its way and its routes share it."""
        if gateway not in _ONLINE:
            _ONLINE[gateway] = cls(gateway)
        return _ONLINE[gateway]

    # -- who may -----------------------------------------------------------------------------------------

    async def current(self, name: str) -> Enrolled | None:
        """Give an agent as it stands now; None if there is none that may connect. Raises `RosterFailed`."""
        await self.refresh()
        row = self._rows.agents.get(name)
        return row if row is not None and row.stands else None

    def stands(self, row: Enrolled) -> bool:
        """Whether an agent is still what it was when it was looked at, as far as this gateway has read by now.

        Who is carried must be found by the next revocation, so this is asked without a wait before it is carried.
        """
        now = self._rows.agents.get(row.name)
        if self._version is None or now is None or not now.stands:
            return False
        return (now.key, now.targets) == (row.key, row.targets)

    async def refresh(self) -> None:
        """Read the roster if it has changed, and cut who is not in it any more. Raises `RosterFailed`."""
        version = self.roster.version
        if version == self._version:
            return
        rows = await trio.to_thread.run_sync(self.roster.read)
        before, self._rows, self._version = self._rows.agents, rows, version
        for name, row in before.items():
            now = rows.agents.get(name)
            if now is None or not now.stands:
                if row.stands:
                    self.gateway.audit.emit("agent.revoked", agent=name, targets=list(row.targets))
                self._cut(name, "was revoked")
            elif (now.key, now.targets) != (row.key, row.targets):
                self._cut(name, "was enrolled anew")

    def _cut(self, name: str, what: str) -> None:
        control = self._controls.get(name)
        if control is not None:
            control.cut(REFUSED, f"this agent {what}")
        for pending in self._pending.values():
            if pending.agent == name:
                pending.failed(f"the agent {name} {what}")
        for bridge in tuple(self._bridges):
            if bridge.agent == name:
                bridge.cut(f"the agent {name}, which led there, {what}")

    async def _watch(self) -> None:
        """Look at the roster for as long as the gateway runs; while it cannot be read, no agent stays connected."""
        while True:
            await trio.sleep(LOOK)
            try:
                await self.refresh()
            except RosterFailed as exc:
                log.error("agents.unreadable", reason=str(exc))
                self._version = None
                for control in tuple(self._controls.values()):
                    control.cut(UNAVAILABLE, "the gateway cannot read its list of agents")
                for bridge in tuple(self._bridges):
                    bridge.cut("the gateway cannot tell whether its agents still stand")

    # -- who is ------------------------------------------------------------------------------------------

    def joined(self, control: Control) -> None:
        """An agent has proven itself. One of the same name leaves: it is the same agent, seen again."""
        if not self._watching:
            self._watching = True
            self.gateway.background.start_soon(self._watch)
        before = self._controls.get(control.row.name)
        if before is not None:
            before.cut(REPLACED, "the same agent connected again from elsewhere")
        self._controls[control.row.name] = control
        AGENTS.set(len(self._controls))

    def left(self, control: Control) -> None:
        """Its control connection is over. What it carries goes on for as long as it does."""
        if self._controls.get(control.row.name) is control:
            del self._controls[control.row.name]
            AGENTS.set(len(self._controls))
            for pending in self._pending.values():
                if pending.agent == control.row.name:
                    pending.failed(f"the agent {pending.agent} was lost")

    def heard(self, agent: str) -> None:
        """An agent has said something, late or not: it is asked in its turn again."""
        control = self._controls.get(agent)
        if control is not None:
            control.unanswered = 0

    def leading_to(self, target: str) -> list[Control]:
        """Give the agents that lead to a target: those that answer first, and of them the least busy."""
        found = [each for each in self._controls.values() if target in each.row.targets]
        return sorted(found, key=lambda each: (each.unanswered, self.carried(each.row.name), each.used))

    def carried(self, name: str) -> int:
        """How many connections an agent carries."""
        return sum(each.agent == name for each in self._bridges)

    # -- what they are asked for -------------------------------------------------------------------------

    def ask(
        self, control: Control, make: Callable[[str], Dial], session: Session | None
    ) -> tuple[str, Pending]:
        """Ask an agent for a connection, by a new id. Raises `trio.WouldBlock` when it has too much to do."""
        name = control.row.name
        waiting = sum(each.agent == name for each in self._pending.values())
        if waiting >= MAX_WAITING or self.carried(name) + waiting >= MAX_STREAMS:
            raise trio.WouldBlock
        stream = encoded(secrets.token_bytes(32))
        order = make(stream)
        control.orders.send_nowait(order.as_bytes())
        self._turn += 1
        control.used = self._turn
        pending = Pending(name, order.target, session)
        self._pending[stream] = pending
        return stream, pending

    def forget(self, stream: str) -> None:
        """Nobody waits for it any more: the id is good for nothing from now on."""
        self._pending.pop(stream, None)

    def asked(self, stream: str, agent: str) -> Pending | None:
        """Give what an agent was asked for under an id. Another agent's is nothing to it."""
        pending = self._pending.get(stream)
        if pending is None or pending.agent != agent or pending.answered.is_set():
            return None
        return pending

    async def carry(self, bridge: Bridge) -> None:
        """Run a bridge, and let a revocation find it."""
        self._bridges.add(bridge)
        try:
            await bridge.run()
        finally:
            self._bridges.discard(bridge)


_ONLINE: Final[WeakKeyDictionary[Gateway, Online]] = WeakKeyDictionary()
