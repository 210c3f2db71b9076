"""`via: agent`: a target is reached by an agent that was enrolled for it, or by the next if that does not answer."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import trio

from recgate.errors import UpstreamFailed
from recgate.metrics import AGENT_DIALS
from recgate_agent.messages import MAX_WITHIN, Dial
from recgate_agent.roster import RosterFailed

if TYPE_CHECKING:
    from recgate.model import TargetInfo
    from recgate.session import Session
    from recgate_agent.online import Control, Online

__all__ = ["AgentWay"]

LONGEST: Final = 30.0  # seconds that all agents together may take where the caller has no deadline
SHORTEST: Final = 1.0  # seconds that one agent has, however many there are
ANSWER: Final = 0.95  # of its time is waited for: the caller's own deadline has words that say less
MARGIN: Final = 0.8  # of its time an agent may spend on connecting: it must still say how that went


class AgentWay:
    """The way of that name."""

    def __init__(self, online: Online) -> None:
        self.name = "agent"
        self._online = online

    async def dial(self, target: TargetInfo, session: Session | None) -> socket.socket:
        """Have an agent connect to a target, and give the gateway's end.

        Each agent has an even share of what is left of the caller's time. Cancelled, it leaves nothing behind: an agent
        that comes for it later is turned away.
        """
        try:
            await self._online.refresh()  # who was revoked a moment ago is asked no more
        except RosterFailed:
            raise UpstreamFailed(f"{target.name}: the gateway cannot tell which agents lead there") from None
        candidates = self._online.leading_to(target.name)
        why = "no agent that leads there is connected"
        end = min(trio.current_effective_deadline(), trio.current_time() + LONGEST)
        for left, control in zip(range(len(candidates), 0, -1), candidates, strict=True):
            patience = max(SHORTEST, min(MAX_WITHIN, (end - trio.current_time()) / left))
            found = await self._ask(control, target, session, patience)
            if isinstance(found, socket.socket):
                return found
            why = found
        raise UpstreamFailed(f"{target.name}: {why}")

    async def _ask(
        self, control: Control, target: TargetInfo, session: Session | None, patience: float
    ) -> socket.socket | str:
        """Ask one agent; gives the socket, or why there is none."""

        def order(stream: str) -> Dial:
            return Dial(stream, target.name, target.host, target.port, round(patience * MARGIN, 3))

        name = control.row.name
        try:
            stream, pending = self._online.ask(control, order, session)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            AGENT_DIALS.labels("busy").inc()
            return f"the agent {name} has too much to do"
        try:
            with trio.move_on_after(patience * ANSWER):
                await pending.answered.wait()
        except trio.Cancelled:
            if pending.far is not None:
                pending.far.close()
            raise
        finally:
            pending.over = True
            self._online.forget(stream)
        if pending.far is not None:
            control.unanswered = 0
            AGENT_DIALS.labels("connected").inc()
            return pending.far
        if pending.why:
            control.unanswered = 0
            AGENT_DIALS.labels("refused").inc()
            return pending.why
        control.unanswered += 1
        AGENT_DIALS.labels("unanswered").inc()
        return f"the agent {name} does not answer"
