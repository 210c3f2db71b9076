"""The usual read as one straight run: read, one frame, one journal write, send.

Nearly every read is of this kind, and what it costs is what the gateway costs. So it is one closure a side with
everything it needs at hand. It decides nothing by itself: whatever is not the plain case (a refusal, a hold, a
stage, somebody watching, several frames in one read) goes to the pump's own `turn`, which does the same in general.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from recgate.decisions import Decision, Effect
from recgate.errors import RecordingFailed
from recgate.readiness import Held, Later
from recgate.sansio.asks import NEED_DATA, PeerClosed
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Side
from recgate.session import Session

if TYPE_CHECKING:
    from recgate.pump import Pump
    from recgate.wire import Wire

__all__ = ["Drain", "Durable", "Step", "Undecided", "lane"]

Step = Callable[[bytes], object]

# Frames up to this are sent once everything that is ready has been recorded; longer ones at once, while the cache has
# them.
LEFT: Final = 8 * 1024


class Drain:
    """Receivers are behind: wait for them, then go on with `then`."""

    __slots__ = ("behind", "then")

    def __init__(self, behind: list[Wire], then: object) -> None:
        self.behind = behind
        self.then = then


class Undecided:
    """A request that is not plainly allowed: it is refused or waits, and the rest of the read behind it."""

    __slots__ = ("decision", "frame")

    def __init__(self, frame: Frame, decision: Decision) -> None:
        self.frame = frame
        self.decision = decision


class Durable:
    """These frames are written but not yet on the disk: wait, forward them, then go on with `then`."""

    __slots__ = ("batch", "then")

    def __init__(self, batch: list[Frame], then: object) -> None:
        self.batch = batch
        self.then = then


def lane(pump: Pump, session: Session, side: Side) -> Step:
    """Make what handles one read of `side`; the step gives None, `Later` or `Held` while its task need not wait."""
    relay, recorder = pump.relay, session.recorder
    receive, next_event, send = relay.receive_data, relay.next_event, relay.send
    append, turn = recorder.append, pump.turn
    frames, sizes, number = session.wire.frames, session.wire.data, int(side)
    paused, watchers, board = pump.paused, session.watchers, pump.switchboard
    plain, waits = session.stages is None, session.waits

    forward = _forwarding(pump, UPSTREAM if side is CLIENT else CLIENT)
    later = Later(forward)
    written, on_disk = _held(pump, session, side, forward)

    def step(read: bytes) -> object:
        receive(side, read)
        event = next_event(side)
        if plain and isinstance(event, Frame) and event.side is side and not (watchers or board.connecting):
            if (request := event.request) is not None:
                if side is UPSTREAM:
                    return turn(side, event, [])
                if request.kind in session.free:
                    session.requests += 1
                elif (decision := session.decide(request)).effect is not Effect.ALLOW:
                    return Undecided(event, decision)
            if event.last or (following := next_event(side)) is NEED_DATA:
                data = event.data
                append(number, event.kind, data, event.channel)
                if waits:
                    written.append(event)
                    return on_disk
                send(event)
                frames[number] += 1
                sizes[number] += len(data)
                if paused:
                    for waiting in paused.values():
                        waiting.set()
                if recorder.full:
                    return forward() or NEED_DATA
                return later if len(data) <= LEFT else forward()
            rest = turn(side, following, [event])
        else:
            rest = turn(side, event, [])
        if rest is not NEED_DATA:
            return rest
        if not read:
            return PeerClosed(side)  # a relay that has nothing to say to the end would be asked for ever
        return NEED_DATA if recorder.full else None

    return step


def _forwarding(pump: Pump, to: Side) -> Callable[[], object]:
    """Make what writes to one side whatever the relay has for it by then: nothing, if somebody has written it since."""
    receiver, taken = pump.wires[to], pump.relay.data_to_send
    send_now = receiver.send_now

    def forward() -> object:
        chunks = taken(to)
        return Drain([receiver], NEED_DATA) if chunks and not send_now(chunks) else None

    return forward


def _held(
    pump: Pump, session: Session, side: Side, forward: Callable[[], object]
) -> tuple[list[Frame], Held]:
    """Make what goes on with the frame that waits for the disk; nothing else of its side has been read meanwhile."""
    written: list[Frame] = []
    recorder, send, paused = session.recorder, pump.relay.send, pump.paused
    frames, sizes, number = session.wire.frames, session.wire.data, int(side)

    def finish() -> object:
        if recorder.failure:
            raise RecordingFailed(recorder.failure)
        event = written.pop()
        send(event)
        frames[number] += 1
        sizes[number] += len(event.data)
        for waiting in paused.values():
            waiting.set()
        rest = forward()
        return NEED_DATA if rest is None and recorder.full else rest

    return written, Held(recorder.when_durable, finish)
