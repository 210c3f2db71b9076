"""The agent itself: one control connection out to the gateway, and one more for each connection that it is asked for.

It decides nothing but whether a target is on its own list. The bytes that it carries mean nothing to it.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import trio

from recgate.carrying import Parted, inward, outward
from recgate.errors import RecgateError, RemoteProtocolError
from recgate.transcript.neutral import neutralise
from recgate.websocketclient import ClientMessages, gateway_context, open_messages
from recgate_agent.enrolment import Enrolment
from recgate_agent.messages import REFUSED, REPLACED, Challenge, Dial, Failed, Proof, is_welcome
from recgate_agent.proof import CONTROL, STREAM, encoded, signed

__all__ = ["MAX_STREAMS", "Agent", "TurnedAway", "pauses"]

MAX_STREAMS: Final = 256  # connections carried at a time
PROVE: Final = 15.0  # seconds for the gateway to let the agent in
FIRST_PAUSE: Final = 1.0  # seconds before the first attempt to connect again
LONGEST_PAUSE: Final = 60.0
STEADY: Final = 60.0  # seconds after which a connection counts as having worked
CLOSING: Final = 10.0  # seconds for the gateway to close a stream whose directions have both ended
_LAST: Final = (REFUSED, REPLACED)


class TurnedAway(RecgateError):
    """The gateway does not know this agent, or not any more: there is no sense in trying again."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a control connection ended; `for_good` is when there is no sense in another."""

    why: str
    for_good: bool = False


def pauses(random: Callable[[float, float], float], last: float) -> float:
    """Give how long to wait after a wait of `last` seconds: twice as long, and never as long as other agents."""
    longest = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * last))
    return random(longest / 2, longest)


class Agent:
    """One enrolment, run. `say` is told what happens, in words for its log."""

    def __init__(self, enrolment: Enrolment, say: Callable[[str], None]) -> None:
        self._enrolment = enrolment
        self._tell = say
        self._context: ssl.SSLContext = gateway_context(enrolment.ca)
        self._random = secrets.SystemRandom().uniform
        self._streams = 0

    def _say(self, words: str) -> None:
        self._tell(neutralise(words))  # whatever a gateway or a peer has put into them

    async def run(self) -> None:
        """Stay connected until cancelled. Raises `TurnedAway`.

        Connections that it carries outlive the control connection: each has its own way to the gateway.
        """
        pause = 0.0
        async with trio.open_nursery() as streams:
            while True:
                began = trio.current_time()
                ended = await self._connected(streams)
                if ended.for_good:
                    break
                if trio.current_time() - began > STEADY:
                    pause = 0.0
                pause = pauses(self._random, pause)
                self._say(f"{self._enrolment.url}: {ended.why}; trying again in {pause:.0f} s")
                await trio.sleep(pause)
            streams.cancel_scope.cancel()
        raise TurnedAway(neutralise(ended.why))

    async def _connected(self, streams: trio.Nursery) -> _Ended:
        """Connect, and do as asked until the connection ends."""
        ended: list[_Ended] = []
        try:
            async with open_messages(f"{self._enrolment.url}/api/v1/agent/control", self._context) as control:
                with trio.fail_after(PROVE):
                    await self._prove(control)
                leads = ", ".join(self._enrolment.targets)
                self._say(f"connected to {self._enrolment.gateway} as {self._enrolment.agent}: {leads}")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(control.keep_alive)
                    await self._serve(control, streams)
        except* trio.TooSlowError:
            ended.append(_Ended("the gateway did not answer in time"))
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            ended.append(_Ended("the connection broke"))
        except* RecgateError as group:
            for exc in _inside(group):
                final = isinstance(exc, TurnedAway) or (isinstance(exc, Parted) and exc.code in _LAST)
                ended.append(_Ended(str(exc), final))
        # Of several reasons the one that settles it: the others are what it brought about.
        return next((each for each in ended if each.for_good), ended[0] if ended else _Ended("it ended"))

    async def _prove(self, control: ClientMessages) -> None:
        """Sign what this gateway asks to be signed. Raises `TurnedAway` where another gateway asks."""
        mine = self._enrolment
        challenge = Challenge.parse(await control.receive())
        if challenge.gateway != mine.gateway:
            named = challenge.gateway[:80]
            raise TurnedAway(f"{mine.url} is {named} now, and this agent was enrolled at {mine.gateway}")
        signature = signed(mine.key, CONTROL, mine.gateway, mine.agent, challenge.nonce)
        await control.send(Proof(mine.agent, signature).as_bytes())
        if not is_welcome(await control.receive()):
            raise RemoteProtocolError("the gateway did not let the agent in")

    async def _serve(self, control: ClientMessages, streams: trio.Nursery) -> None:
        while True:
            order = Dial.parse(await control.receive())
            if self._streams >= MAX_STREAMS:
                await control.send(Failed(order.stream, "the agent has too much to do").as_bytes())
                continue
            self._streams += 1
            streams.start_soon(self._carry_out, control, order)

    async def _carry_out(self, control: ClientMessages, order: Dial) -> None:
        """Do what was asked, or say why not. The boundary: whatever goes wrong ends this connection alone."""
        try:
            try:
                stream = await self._dial(order)
            except RecgateError as exc:
                self._say(str(exc))
                await control.send(Failed(order.stream, str(exc)).as_bytes())
                return
            async with stream:
                await self._carry(order, stream)
        except* RecgateError as group:
            self._say(f"{order.target}: {_inside(group)[0]}")
        except* Exception as group:  # noqa: BLE001 - the boundary of one connection (law 7): the others go on
            self._say(f"{order.target}: {', '.join(type(each).__name__ for each in _inside(group))}")
        finally:
            self._streams -= 1

    async def _dial(self, order: Dial) -> trio.SocketStream:
        """Connect to the target, if it is on the agent's own list, and there at the address that is asked for."""
        asked = f"[{order.host}]:{order.port}" if ":" in order.host else f"{order.host}:{order.port}"
        allowed = self._enrolment.targets.get(order.target)
        if allowed is None:
            raise RecgateError(f"the agent was not enrolled for {order.target}")
        if allowed != asked:
            raise RecgateError(
                f"the agent was enrolled for {order.target} at another address: enrol it again"
            )
        try:
            with trio.fail_after(order.within):
                stream = await trio.open_tcp_stream(order.host, order.port)
        except trio.TooSlowError:
            raise RecgateError(f"no answer from {asked} in {order.within:.0f} s") from None
        except OSError as exc:
            raise RecgateError(f"cannot connect to {asked}: {exc.strerror or exc}") from None
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, True)
        return stream

    async def _carry(self, order: Dial, stream: trio.SocketStream) -> None:
        """Carry one connection to its end. Raises `RecgateError`, alone or in groups."""
        mine = self._enrolment
        signature = signed(mine.key, STREAM, mine.gateway, mine.agent, order.stream.encode())
        proof = f"Recgate-Agent {mine.agent}:{encoded(signature)}".encode()
        url = f"{mine.url}/api/v1/agent/stream/{order.stream}"
        async with (
            open_messages(url, self._context, headers=[(b"authorization", proof)]) as messages,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(messages.keep_alive)
            async with trio.open_nursery() as both:
                both.start_soon(outward, stream, messages)
                both.start_soon(inward, stream, messages)
            # Both directions are over: this is how it ends.
            with trio.move_on_after(CLOSING), contextlib.suppress(Parted):
                await messages.receive()
            nursery.cancel_scope.cancel()


def _inside(exc: BaseException) -> list[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        return [one for each in group.exceptions for one in _inside(each)]
    return [exc]
