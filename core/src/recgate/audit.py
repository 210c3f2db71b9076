"""Audit events: what happened at the door and to sessions, told to observers that can neither block nor break.

Each observer has a bounded queue and a task of its own. What a full queue drops is counted and said in the
log; the recording, not the observer, is the evidence.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import trio

from recgate.dispatch import broadcast
from recgate.metrics import AUDIT_DROPPED, AUDIT_FAILED
from recgate.observing import Working
from recgate.providers import Observer

__all__ = ["AuditEvent", "AuditTrail", "JsonlObserver"]

QUEUE: Final = 10_000  # events waiting for one observer
CLOSING: Final = 5.0  # seconds that observers get to take what is queued when the gateway stops

log = structlog.get_logger("recgate.audit")


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event: a dotted `kind` (`session.opened`, `login.failed`, …), wall-clock seconds, and its facts.

    `fields` holds names, addresses, ids and reasons; never a secret and never protocol bytes.
    """

    kind: str
    time: float
    fields: Mapping[str, object] = field(default_factory=dict[str, object])

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {"time": self.time, "event": self.kind, **self.fields}, default=str, ensure_ascii=False
        )


class AuditTrail:
    """Where the gateway says what happened. `emit` is synchronous and never fails."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._channels: list[
            tuple[Observer, trio.MemorySendChannel[AuditEvent], trio.MemoryReceiveChannel[AuditEvent]]
        ]
        self._channels = []
        for observer in observers:
            self.attend(observer)

    def attend(self, observer: Observer) -> None:
        """Tell one more observer from now on. Before `run`, which feeds those that are there."""
        send, receive = trio.open_memory_channel[AuditEvent](QUEUE)
        self._channels.append((observer, send, receive))

    def emit(self, kind: str, **fields: object) -> None:
        """Log an event and queue it for every observer; a full queue drops it there and counts that."""
        event = AuditEvent(kind, time.time(), fields)
        log.info(kind, **fields)
        for observer, send, _ in self._channels:
            try:
                send.send_nowait(event)
            except (trio.WouldBlock, trio.BrokenResourceError):
                AUDIT_DROPPED.labels(observer.name).inc()

    async def run(self) -> None:
        """Feed the observers until cancelled; what is queued then is still delivered, within `CLOSING` seconds."""
        async with trio.open_nursery() as nursery:
            for observer, _, receive in self._channels:
                nursery.start_soon(self._feed, observer, receive)
                if isinstance(observer, Working):
                    nursery.start_soon(self._work, observer, observer)

    async def _feed(self, observer: Observer, receive: trio.MemoryReceiveChannel[AuditEvent]) -> None:
        try:
            async for event in receive:
                await self._tell(observer, event)
        finally:
            with trio.move_on_after(CLOSING, shield=True):
                while receive.statistics().current_buffer_used:
                    await self._tell(observer, receive.receive_nowait())

    async def _work(self, observer: Observer, working: Working) -> None:
        await broadcast((observer,), lambda _: working.work(self), self._failed)

    async def _tell(self, observer: Observer, event: AuditEvent) -> None:
        await broadcast((observer,), lambda each: each.observe(event), self._failed)

    def _failed(self, broken: Observer, exc: Exception) -> None:
        AUDIT_FAILED.labels(broken.name).inc()
        log.warning("observer.failed", observer=broken.name, error=type(exc).__name__, detail=str(exc)[:200])


class JsonlObserver:
    """Appends events to a file, one JSON object a line, mode 0600."""

    name = "jsonl"

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def observe(self, event: AuditEvent) -> None:
        """Append the event. One `write` a line, so that lines of two processes never mix."""
        os.write(self._file, (event.as_json() + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
