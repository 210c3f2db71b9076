"""One connection to a target that an agent carries: a socket for the session, a WebSocket to the agent."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Callable
from typing import Final

import trio

from recgate.carrying import AcceptedMessages, Parted, inward, outward
from recgate.errors import RecordingFailed
from recgate.metrics import AGENT_STREAMS
from recgate.sansio.asks import Denied
from recgate.session import Session

__all__ = ["ERRAND", "LEAVING", "Bridge"]

ERRAND: Final = 60.0  # seconds for a connection that belongs to no session, such as a cancel request
LEAVING: Final = 5.0  # seconds, after the session's end, to pass on its last bytes and hear the target close
PARTING: Final = 2.0  # seconds more, after which the connection is dropped
NORMAL: Final = 1000  # RFC 6455 §7.4.1
GONE: Final = 1001


class Bridge:
    """Carries until both directions have ended. `far` is the session's end: non-blocking, and its to close.

    An agent that is lost in between ends the session, with words for its client; a target that closes is the end of
    its direction, as it would be on a connection of the gateway's own.
    """

    def __init__(
        self,
        agent: str,
        target: str,
        session: Session | None,
        messages: AcceptedMessages,
        drop: Callable[[], None],
    ) -> None:
        self.agent = agent
        self.far, near = socket.socketpair()
        self.far.setblocking(False)
        near.setblocking(False)
        self._target = target
        self._session = session
        self._messages = messages
        self._drop = drop
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(near))
        self._scope = trio.CancelScope()
        self._ending = trio.Event()
        self._lost = ""

    def cut(self, why: str) -> None:
        """End it now, and its session with it: `why` is told to the session's client."""
        self._end(why)
        self._ending.set()
        self._scope.cancel()

    async def run(self) -> None:
        """Carry. Cancelled, it closes its end of the socket and leaves the WebSocket for the server to close."""
        if self._session is not None:
            self._session.on_finish(self._leave)
        else:
            self._scope.deadline = trio.current_time() + ERRAND
        AGENT_STREAMS.inc()
        try:
            async with trio.open_nursery() as outer:
                outer.start_soon(self._drop_late)
                with self._scope:
                    async with trio.open_nursery() as both:
                        both.start_soon(self._give)
                        both.start_soon(self._take)
                outer.cancel_scope.cancel()
        finally:
            AGENT_STREAMS.dec()
            self._stream.socket.close()
        with contextlib.suppress(Parted):
            await self._messages.close(GONE if self._lost else NORMAL, self._lost)

    async def _drop_late(self) -> None:
        """End the connection of an agent that does not take what is being sent to it, when all is over."""
        with trio.move_on_after(ERRAND if self._session is None else math.inf):
            await self._ending.wait()
        await trio.sleep(LEAVING + PARTING)
        self._drop()

    async def _give(self) -> None:
        try:
            await outward(self._stream, self._messages)
        except Parted:
            self._agent_left()

    async def _take(self) -> None:
        try:
            await inward(self._stream, self._messages)
        except Parted:
            self._agent_left()

    def _agent_left(self) -> None:
        self.cut(f"the agent {self.agent}, which led to {self._target}, was lost")

    def _leave(self) -> None:
        """The session is over: what it said last may still be on its way."""
        self._ending.set()
        self._scope.deadline = trio.current_time() + LEAVING

    def _end(self, why: str) -> None:
        self._lost = self._lost or why
        session = self._session
        if session is None or session.denied is not None or self._ending.is_set():
            return  # it is over already, and its recording takes nothing more
        # Said before the socket closes: else the session would take it for the target's own end.
        with contextlib.suppress(RecordingFailed):
            session.record("note", {"text": "agent lost", "agent": self.agent, "reason": why})
        session.end(Denied(why, "upstream", session.id))
