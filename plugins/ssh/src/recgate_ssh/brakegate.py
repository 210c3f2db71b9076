"""Count what a target says on one channel, and stop it at the very byte where a rule says so.

What is refused ends the channel as a failed command ends: a line on stderr, exit status 1. What is held waits here, in
order, while the channel is not read: its window bounds how much that can be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from recgate.decisions import Decision, Effect
from recgate.errors import RecordingFailed
from recgate.policy.braking import Brake, Crossing, Decided
from recgate.sansio.frames import UPSTREAM

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["BrakeGate"]


class BrakeGate:
    """The brake of one channel: `feed` it what comes of the target, and what must not overtake that to `then`."""

    __slots__ = ("_brake", "_bridge", "_decided", "_push", "_stopped", "_waiting")

    def __init__(self, bridge: Bridge, brake: Brake, push: Callable[[bytes, bool], None]) -> None:
        """`push` takes what goes on: data, and whether it is stderr's."""
        self._bridge = bridge
        self._brake = brake
        self._push = push
        self._decided: Decided = brake.unknown("shell")
        self._waiting: deque[tuple[bytes, bool] | Callable[[], None]] | None = None  # behind what is held
        self._stopped = False

    def feed(self, data: bytes, ext: bool) -> None:
        """Take what the target says."""
        if self._stopped:
            return
        if self._waiting is not None:
            self._waiting.append((data, ext))
            return
        while (latest := self._brake.taken(self._bridge.number)) is not None:
            self._decided = latest
        self._count(data, ext)

    def then(self, what: Callable[[], None]) -> None:
        """Do something once everything before it has gone on."""
        if self._waiting is not None:
            self._waiting.append(what)
        else:
            what()

    def _count(self, data: bytes, ext: bool) -> None:
        brake, decided, session = self._brake, self._decided, self._bridge.crossing.session
        while data:
            _, space = brake.room(decided)
            piece, data = data[:space], data[space:]
            if piece:
                brake.passed(0, len(piece), decided)
                self._push(piece, ext)
            if not data:
                return
            crossing = brake.cross(decided, 0, 1)  # the next byte
            decision = session.judge(crossing)
            if decision.effect is Effect.HOLD:
                self._hold(crossing, decision, data, ext)
                return
            if decision.effect is Effect.DENY:
                self._refuse(crossing, decision)
                return
            decided.seen = crossing.at

    def _refuse(self, crossing: Crossing, decision: Decision) -> None:
        bridge = self._bridge
        try:
            bridge.crossing.session.note_decision(crossing.decided.request, decision)
        except RecordingFailed as exc:
            bridge.crossing.recording_failed(exc)
        self._stop(decision)

    def _stop(self, decision: Decision) -> None:
        self._stopped, self._waiting = True, None
        self._bridge.stop(decision)

    def _hold(self, crossing: Crossing, decision: Decision, data: bytes, ext: bool) -> None:
        self._waiting = deque([(data, ext)])
        self._bridge.ends[UPSTREAM].pause("brake", True)
        self._bridge.tell(decision.reason)
        self._bridge.crossing.spawn(lambda: self._wait(crossing, decision))

    async def _wait(self, crossing: Crossing, decision: Decision) -> None:
        bridge, session = self._bridge, self._bridge.crossing.session
        try:
            final = await session.held(crossing.decided.request, decision, crossing)
        except RecordingFailed as exc:
            bridge.crossing.recording_failed(exc)
            return
        if bridge.crossing.stopped:
            return
        if final.effect is not Effect.ALLOW:
            self._stop(final)
            return
        crossing.decided.seen = crossing.at
        waiting, self._waiting = self._waiting or deque(), None
        while waiting and self._waiting is None and not self._stopped:
            each = waiting.popleft()
            if callable(each):
                each()
            else:
                data, ext = each
                self._count(data, ext)
        if self._waiting is not None:
            self._waiting.extend(waiting)  # held again, at the next line
        else:
            bridge.ends[UPSTREAM].pause("brake", False)
