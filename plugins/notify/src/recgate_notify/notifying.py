"""One receiver's observer: a bounded queue, and a task of its own that tries again and gives up in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final

import structlog
import trio

from recgate.audit import AuditEvent, AuditTrail
from recgate_notify.receivers import Failed, Receiver, new_delivery

__all__ = ["Notifier"]

QUEUE: Final = 1_000  # notifications that wait for one receiver; what comes beyond is dropped and counted
TRIES: Final = 6
FIRST_PAUSE: Final = 1.0  # seconds; twice as long after each try, and up to half as long again
LONGEST_PAUSE: Final = 60.0

log = structlog.get_logger("recgate.notify")


class Notifier:
    """An `Observer` that is `Working`: observing puts into the queue, working empties it."""

    def __init__(
        self,
        receiver: Receiver,
        events: Sequence[str],
        pause: Callable[[float], Awaitable[None]] = trio.sleep,
    ) -> None:
        self.name = f"notify-{receiver.name}"
        self._receiver = receiver
        self._events = tuple(events)
        self._pause = pause
        self._send, self._receive = trio.open_memory_channel[AuditEvent](QUEUE)
        self._dropped = 0

    async def observe(self, event: AuditEvent) -> None:
        """Take an event, if it is one to tell of. Waits for nobody."""
        if event.kind.startswith("notification.") or not any(
            fnmatchcase(event.kind, each) for each in self._events
        ):
            return
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self._dropped += 1
            log.warning("notify.dropped", receiver=self.name, event_kind=event.kind, dropped=self._dropped)

    async def work(self, trail: AuditTrail) -> None:
        """Deliver until cancelled; what waits then is not delivered. What became of it is told there."""
        async for event in self._receive:
            await self._deliver(event, trail)

    async def _deliver(self, event: AuditEvent, trail: AuditTrail) -> None:
        delivery, pause, failed = new_delivery(), FIRST_PAUSE, Failed("nothing was tried")
        facts = {
            "about": event.kind,
            "approval": event.fields.get("approval", ""),
            "receiver": self._receiver.name,
            "delivery": delivery,
        }
        for number in range(1, TRIES + 1):
            if _is_over(event):
                failed = Failed("it is over by now, so nobody needs to hear that it waits")
                break
            try:
                await self._receiver.deliver(event, delivery)
            except Failed as exc:
                failed = exc
                if not exc.again:
                    break
            else:
                trail.emit("notification.sent", **facts, tries=number)
                return
            if number < TRIES:
                await self._pause(min(pause, LONGEST_PAUSE) * random.uniform(1.0, 1.5))  # noqa: S311 - no secret
                pause *= 2
        trail.emit("notification.failed", **facts, reason=str(failed))


def _is_over(event: AuditEvent) -> bool:
    until = event.fields.get("until")
    return isinstance(until, (int, float)) and until <= time.time()
