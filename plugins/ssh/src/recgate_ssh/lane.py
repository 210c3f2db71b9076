"""One direction of one channel: everything in order, and recorded before it is passed on (law 1).

Data takes the short way, one call from the read to the other leg. What must be decided on, made durable first,
or let wait for room goes into a queue that one task empties, and then whatever follows queues behind it while
the source is not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import trio

from recgate.decisions import Decision
from recgate.errors import RecordingFailed
from recgate.sansio.frames import Frame, Request
from recgate.session import Session

__all__ = ["MAX_QUEUED", "Lane", "Traffic"]

MAX_QUEUED: Final = 1024  # items behind one that waits; data among them is bounded by the channel's window

Deliver = Callable[[Frame], None]
Deny = Callable[[Decision], None]
Item = tuple[Frame, Deliver, Deny | None, tuple[Request, ...]]


class Traffic(Protocol):
    """What lanes share: the open session, tasks, and the way to end it."""

    @property
    def session(self) -> Session:
        """The open session."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether nothing may be passed on any more."""
        ...

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task for as long as the session lives."""
        ...

    def recording_failed(self, exc: RecordingFailed) -> None:
        """End the session: the recorder could not take a frame."""
        ...

    def overrun(self, what: str) -> None:
        """End the session: a peer sent more than it may."""
        ...


class Lane:
    """Frames of one side of one channel. `pause` stops the source while something waits, and lets it go on."""

    __slots__ = ("_asking", "_held", "_pause", "_queue", "_running", "_session", "_traffic", "notice")

    def __init__(self, traffic: Traffic, pause: Callable[[bool], None]) -> None:
        self._traffic = traffic
        self._session = traffic.session
        self._pause = pause
        self._queue: deque[Item] | None = None  # made when something waits: most channels never do
        self._running = False
        self._held = False
        self._asking: trio.CancelScope | None = None
        self.notice: Callable[[str], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._running and not self._queue

    def push(
        self,
        frame: Frame,
        deliver: Deliver,
        deny: Deny | None = None,
        also: tuple[Request, ...] = (),
    ) -> None:
        """Pass a frame on: `deliver` is called with what was recorded, or `deny` with the decision that refused it.

        `also` is what must be allowed besides the frame's own request.
        """
        traffic = self._traffic
        if traffic.stopped:
            return
        session = self._session
        asks = frame.request is not None or also
        if self._running or self._held or asks or session.waits or session.recorder.full:
            self._enqueue((frame, deliver, deny, also))
            return
        try:
            frame = session.submit_now(frame)
        except RecordingFailed as exc:
            traffic.recording_failed(exc)
            return
        deliver(frame)
        session.sent(frame.side, len(frame.data))

    def _enqueue(self, item: Item) -> None:
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= MAX_QUEUED:
            self._traffic.overrun("too many requests behind one that waits")
            return
        self._queue.append(item)
        if not self._running and not self._held:
            self._running = True
            self._pause(True)
            self._traffic.spawn(self._run)

    def hold(self) -> None:
        """Let everything wait from now on, until `release`."""
        self._held = True
        self._pause(True)

    def release(self) -> None:
        """Go on."""
        if not self._held:
            return
        self._held = False
        if self._running:
            return
        if self._queue:
            self._running = True
            self._traffic.spawn(self._run)
        else:
            self._pause(False)

    async def _asked(self, frame: Frame, also: tuple[Request, ...]) -> Decision | None:
        """Ask about everything that a frame asks for, where that is more than one thing."""
        if not also:
            return None
        asks = also if frame.request is None else (frame.request, *also)
        frame.request = None
        for request in asks:
            if (denied := await self._session.ask(request)) is not None:
                return denied
        return None

    def give_up(self) -> None:
        """Wait no longer for whoever decides on a request: its channel is gone."""
        if self._asking is not None:
            self._asking.cancel()

    async def _submitted(self, frame: Frame, also: tuple[Request, ...]) -> Frame | Decision | None:
        """Have a frame decided on and recorded; None if it was given up meanwhile."""
        if frame.request is None and not also:
            return await self._session.submit(frame)
        with trio.CancelScope() as self._asking:
            try:
                return await self._asked(frame, also) or await self._session.submit(frame)
            finally:
                self._asking = None
        return None

    async def _run(self) -> None:
        """Empty the queue. Cancelled, what was not delivered is dropped with the session."""
        traffic = self._traffic
        session = self._session
        try:
            while self._queue and not self._held and not traffic.stopped:
                frame, deliver, deny, also = self._queue.popleft()
                await session.room()
                session.notice = self.notice
                outcome = await self._submitted(frame, also)
                if traffic.stopped:
                    return
                if outcome is None:
                    continue
                if isinstance(outcome, Decision):
                    if deny is not None:
                        deny(outcome)
                    continue
                deliver(outcome)
                session.sent(outcome.side, len(outcome.data))
        except RecordingFailed as exc:
            traffic.recording_failed(exc)
        finally:
            self._running = False
            self._queue = self._queue or None
        if not self._held:
            self._pause(False)
