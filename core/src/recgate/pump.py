"""The pump: reads a side, asks the relay what came, has it decided and recorded, and only then lets it on.

One task a side. A turn of the usual kind (read, frames, one journal write, send) is plain calls without an
await; what needs waiting (an ask, a hold, a slow peer, a full backlog) is done between turns, on the task of
the side that it stops. So a stuck recorder or a slow receiver stops reading from the side that feeds it, and
nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Final, cast

import trio

from recgate.cancelling import cancel_upstream
from recgate.decisions import Decision, Effect
from recgate.door import Door
from recgate.errors import RecgateError, RecordingFailed, RemoteProtocolError
from recgate.lane import Drain, Durable, Step, Undecided, lane
from recgate.policy.braking import Crossing
from recgate.sansio.asks import NEED_DATA, PAUSED, Ask, Denied, Event, NeedData, Paused, PeerClosed
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Side
from recgate.sansio.relay import Braking, Relay
from recgate.session import Session
from recgate.switchboard import Switchboard
from recgate.telling import code_of, for_client
from recgate.wire import Wire, WireClosed

__all__ = ["Pump"]

LINGER: Final = 10.0  # seconds that one side may go on after the other has closed
FAREWELL: Final = 3.0  # seconds for the client to take the last words
LOOK: Final = (
    0.5  # seconds between looks at a client that waits for approval: has it left, can it be told now
)
LEFT: Final = "the client left while it waited"


class Pump:
    """Drives one relay between one client and one target. `run` returns when both sides are done.

    Cancelled, it leaves both wires for its caller to close, and every forwarded frame recorded.
    """

    def __init__(self, relay: Relay, client: Wire, door: Door, deadline: trio.CancelScope) -> None:
        self.relay = relay
        self.door = door
        self.wires: dict[Side, Wire] = {CLIENT: client}
        self.session: Session | None = None
        self.reason = ""
        self.switchboard = Switchboard(self, deadline)
        self._closed: set[Side] = set()
        self.paused: dict[Side, trio.Event] = {}
        self._lanes: dict[Side, Step] = {}
        self._failure: Denied | None = None
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Pump until both sides are closed, the session is ended from outside, or something fails.

        Failures that are part of the protocol's life end here, in its own words; anything else is raised to
        the session boundary.
        """
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._side, CLIENT)
        session = self.session
        if self._failure is not None:
            await self._farewell(self._failure)
        elif session is not None and session.denied is not None:
            self.reason = session.denied.code
            await self._farewell(session.denied)

    def denied_by(self, exc: RecgateError) -> Denied:
        """Word a failure for the client. Why a login failed is not the client's to know."""
        return Denied(for_client(exc), code_of(exc), self._session_id)

    def attach(self, session: Session) -> None:
        """The session is open: from now on it can be ended from outside, also while its target is dialled."""
        self.session = session
        session.relay = self.relay
        session.on_end(self._scope.cancel)

    def opened(self, upstream: Wire) -> None:
        """The target answers: from now on there are two sides."""
        assert self._nursery is not None
        self.wires[UPSTREAM] = upstream
        self._nursery.start_soon(self._side, UPSTREAM)

    def stop(self, reason: str) -> None:
        """End the connection without a word of the protocol; TLS is closed in its own way, or it looks cut off."""
        self.reason = reason
        self.wires[CLIENT].half_close()
        self._scope.cancel()

    # -- one side's task -------------------------------------------------------------------------------

    async def _side(self, side: Side) -> None:
        """Pump one side; what ends the connection in its own words is kept for `run`, anything else is raised."""
        try:
            await self._read(side)
        except (RecgateError, WireClosed) as exc:
            self._fail(exc)

    def _fail(self, exc: RecgateError | WireClosed) -> None:
        if self._failure is None:
            self._failure = self._worded(exc)
        self._scope.cancel()

    def _worded(self, exc: RecgateError | WireClosed) -> Denied:
        if isinstance(exc, RemoteProtocolError):
            self.reason = f"protocol-error: {exc}"
            return Denied(str(exc), exc.hint or "protocol", self._session_id)
        if isinstance(exc, WireClosed):
            self.reason = self.reason or f"connection-lost: {exc}"
            return Denied(f"connection lost: {exc}", "upstream", self._session_id)
        self.reason = f"{code_of(exc)}: {exc}"
        return self.denied_by(exc)

    @property
    def _session_id(self) -> str:
        return self.session.id if self.session is not None else ""

    async def _read(self, side: Side) -> None:
        wire, relay = self.wires[side], self.relay

        def first(data: bytes, /) -> object:
            """One read while there is no session yet; None while nothing needs waiting for."""
            relay.receive_data(side, data)
            rest = self.turn(side, relay.next_event(side), [])
            if rest is NEED_DATA:
                return None if data else PeerClosed(side)
            return rest

        step: Step = first
        rest = self.turn(side, relay.next_event(side), [])
        while side not in self._closed:
            if rest is NEED_DATA:
                if self.session is not None:
                    step = self._lanes.get(side) or self._lanes.setdefault(
                        side, lane(self, self.session, side)
                    )
                    await self.session.room()
                rest = await self.door.readiness.read(wire, step)
                if rest is PAUSED:
                    # Said where reads are made, before this task ran: what it waits for may have come by now.
                    rest = self.turn(side, relay.next_event(side), [])
            if rest is not NEED_DATA:
                await self._between(side, rest)
                rest = self.turn(side, relay.next_event(side), [])
        if len(self._closed) < len(self.wires):
            self._scope.deadline = trio.current_time() + LINGER
        else:
            self._scope.cancel()

    def turn(self, side: Side, event: Event | NeedData | Paused, batch: list[Frame]) -> object:
        """Handle what the relay has of `side`, without waiting, from `event` on; `batch` is decided on already.

        Gives NEED_DATA, or what must be waited for.
        """
        next_event = self.relay.next_event
        rest: object
        while True:
            if not isinstance(event, Frame):
                rest = event
                break
            if event.request is not None:
                decision = self._decide(event)
                if decision is not None:
                    rest = Undecided(event, decision)
                    break
            batch.append(event)
            event = next_event(side)
        if batch:
            session = self.session
            assert session is not None
            if self.switchboard.connecting:
                self.switchboard.connected()
            if session.stages is not None:
                batch = [session.stages(frame) for frame in batch]
            session.record_frames(batch)
            if session.waits:
                return Durable(batch, rest)
            self._forward(session, batch)
        behind = self.flush()
        return Drain(behind, rest) if behind else rest

    def _decide(self, frame: Frame) -> Decision | None:
        """Decide on a frame's request; None is a plain allow."""
        session, request = self.session, frame.request
        assert session is not None
        assert request is not None
        if frame.side is UPSTREAM:
            decision = session.judge(_crossing(session))
        else:
            decision = session.decide(request)
        return None if decision.effect is Effect.ALLOW else decision

    def _forward(self, session: Session, batch: list[Frame]) -> None:
        send, frames, data = self.relay.send, session.wire.frames, session.wire.data
        for frame in batch:
            send(frame)
            frames[frame.side] += 1
            data[frame.side] += len(frame.data)

    def flush(self) -> list[Wire]:
        """Write what the relay has for both sides; gives the wires whose peers are behind."""
        behind: list[Wire] = []
        for receiver, wire in self.wires.items():
            chunks = self.relay.data_to_send(receiver)
            if chunks and not wire.send_now(chunks):
                behind.append(wire)
        if self.paused:
            for event in self.paused.values():
                event.set()
        return behind

    async def settle(self) -> None:
        """Write what the relay has, and wait for the peers that are behind with it."""
        for wire in self.flush():
            await wire.drain()

    # -- between turns ---------------------------------------------------------------------------------

    async def _between(self, side: Side, rest: object) -> None:
        if isinstance(rest, Durable):
            session = self.session
            assert session is not None
            await session.recorder.durable()
            self._forward(session, rest.batch)
            await self.settle()
            rest = rest.then
            if rest is PAUSED:
                return  # that was before the wait: the relay may have been let go meanwhile, so it is asked again
        elif isinstance(rest, Drain):
            for wire in rest.behind:
                await wire.drain()
            rest = rest.then
            if rest is PAUSED:
                return
        if rest is NEED_DATA:
            return
        if rest is PAUSED:
            waiting = self.paused.setdefault(side, trio.Event())
            await waiting.wait()
            self.paused.pop(side, None)
        elif isinstance(rest, Undecided):
            await self._refuse_or_hold(rest.frame, rest.decision)
        elif isinstance(rest, PeerClosed):
            await self._peer_closed(rest.side)
        else:
            await self.switchboard.connect(cast("Ask", rest))  # the asks are what is left
            await self.settle()

    async def _refuse_or_hold(self, frame: Frame, decision: Decision) -> None:
        """Carry out a decision that is not a plain allow: what came before is recorded and sent already."""
        session, request = self.session, frame.request
        assert session is not None
        assert request is not None
        answer = frame.side is UPSTREAM  # and not a request: what waits is the rest of what answers one
        crossing = _crossing(session) if answer else None
        if decision.effect is Effect.HOLD:
            told = await self._notice(session, decision.reason)
            with self.beside(session, "" if told else decision.reason):
                decision = await session.held(request, decision, crossing)
        else:
            session.note_decision(request, decision)
        frames = [frame] if decision.effect is Effect.ALLOW else list(self.relay.refuse(frame, decision))
        if session.stages is not None:
            frames = [session.stages(each) for each in frames]
        session.record_frames(frames)
        await session.recorder.durable()
        self._forward(session, frames)
        await self.settle()
        if answer and decision.effect is not Effect.ALLOW:
            assert self._nursery is not None
            self._nursery.start_soon(self._cancel, session)

    async def _cancel(self, session: Session) -> None:
        """Have the target stop what it was answering. Until that is over, its answer's end is kept back."""
        await cancel_upstream(self.door, session)
        cast("Braking", self.relay).cancelled()
        for event in self.paused.values():
            event.set()

    async def _notice(self, session: Session, text: str) -> bool:
        """Tell the client something, unless it is in the middle of a message: False."""
        frame = self.relay.notice(text)
        if frame is None:
            return False
        session.record_frames([frame])
        await session.recorder.durable()
        self._forward(session, [frame])
        self.flush()  # best effort: whoever does not read its notices need not get them at once
        return True

    # -- while somebody approves -----------------------------------------------------------------------

    @contextlib.contextmanager
    def beside(self, session: Session, untold: str = "") -> Generator[None]:
        """While the block waits for somebody: tell the client what is `untold` yet, and withdraw if it leaves.

        Nothing is read from the client meanwhile, so its end is not found by reading.
        """
        assert self._nursery is not None
        scope = trio.CancelScope()
        self._nursery.start_soon(self._attend, scope, session, untold)
        try:
            yield
        finally:
            scope.cancel()

    async def _attend(self, scope: trio.CancelScope, session: Session, untold: str) -> None:
        with scope:
            try:
                while not self.wires[CLIENT].departed:
                    if untold and await self._notice(session, untold):
                        untold = ""
                    await trio.sleep(LOOK)
            except (RecgateError, WireClosed) as exc:
                self._fail(exc)
            else:
                session.withdraw(LEFT)

    async def _peer_closed(self, side: Side) -> None:
        self._closed.add(side)
        self.reason = self.reason or ("client-closed" if side is CLIENT else "upstream-closed")
        for event in self.paused.values():
            event.set()
        other = UPSTREAM if side is CLIENT else CLIENT
        wire = self.wires.get(other)
        if wire is None:
            self._scope.cancel()  # the client went before there was a target
            return
        await wire.drain()
        wire.half_close()

    # -- last words --------------------------------------------------------------------------------------

    async def _farewell(self, denied: Denied) -> None:
        """Tell the client why, recorded first; what cannot be recorded any more is not protocol bytes of the target."""
        words = self.relay.farewell(denied)
        if words is None:
            return
        with trio.move_on_after(FAREWELL, shield=True):
            if isinstance(words, Frame):
                words = await self._last_frame(words)
            wire = self.wires[CLIENT]
            try:
                # Before a session a refusal may have a mechanism's own words in front of it (RFC 7628 §3.2.2).
                before = self.relay.data_to_send(CLIENT) if self.session is None else ()
                if not wire.send_now([*before, words]):
                    await wire.drain()
                wire.half_close()
            except WireClosed:
                return

    async def _last_frame(self, words: Frame) -> bytes:
        """Record the last frame; gives what may be sent of it."""
        session = self.session
        if session is not None:
            # Where recording itself failed, this refusal is the one thing said without a record: silence
            # would hide the reason from the client, and nothing of the target is in it.
            with contextlib.suppress(RecordingFailed):
                session.record_frames([words])
                await session.recorder.durable()
            session.sent(words.side, len(words.data))
        return words.data


def _crossing(session: Session) -> Crossing:
    """Give what the relay's last frame of the target's is about to cross."""
    assert session.brake is not None
    assert session.brake.crossing is not None
    return session.brake.crossing
