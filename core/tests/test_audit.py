"""Audit events reach observers, and observers reach nobody (law 7)."""

from __future__ import annotations

import json
import stat

import pytest
import trio
import trio.testing

from recgate import audit
from recgate.audit import AuditEvent, AuditTrail, JsonlObserver
from recgate.metrics import REGISTRY


class Keeps:
    def __init__(self, name: str = "keeps") -> None:
        self.name = name
        self.events: list[AuditEvent] = []

    async def observe(self, event: AuditEvent) -> None:
        self.events.append(event)


class Breaks(Keeps):
    async def observe(self, event: AuditEvent) -> None:
        raise ValueError("observer bug")


class Hangs(Keeps):
    async def observe(self, event: AuditEvent) -> None:
        await trio.sleep_forever()


async def test_events_arrive_in_order_and_a_broken_observer_is_counted() -> None:
    keeps, breaks = Keeps(), Breaks("breaks")
    before = REGISTRY.get_sample_value("recgate_audit_failed_total", {"observer": "breaks"}) or 0
    trail = AuditTrail([breaks, keeps])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trail.run)
        trail.emit("one", session="s")
        trail.emit("two")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [event.kind for event in keeps.events] == ["one", "two"]
    assert REGISTRY.get_sample_value("recgate_audit_failed_total", {"observer": "breaks"}) == before + 2


async def test_a_hanging_observer_neither_blocks_nor_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "QUEUE", 3)
    monkeypatch.setattr(audit, "CLOSING", 0.05)
    hangs, keeps = Hangs("hangs"), Keeps()
    before = REGISTRY.get_sample_value("recgate_audit_dropped_total", {"observer": "hangs"}) or 0
    trail = AuditTrail([hangs, keeps])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trail.run)
        for n in range(10):
            trail.emit(f"event-{n}")
            await trio.testing.wait_all_tasks_blocked()
        assert len(keeps.events) == 10
        nursery.cancel_scope.cancel()
    assert REGISTRY.get_sample_value("recgate_audit_dropped_total", {"observer": "hangs"}) == before + 6


async def test_what_is_queued_at_the_end_is_still_delivered() -> None:
    keeps = Keeps()
    trail = AuditTrail([keeps])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trail.run)
        await trio.testing.wait_all_tasks_blocked()
        trail.emit("last")
        nursery.cancel_scope.cancel()
    assert [event.kind for event in keeps.events] == ["last"]


async def test_jsonl_is_one_private_line_an_event_whatever_a_peer_chose(tmp_path) -> None:
    observer = JsonlObserver(tmp_path / "deep" / "audit.jsonl")
    await observer.observe(AuditEvent("login.failed", 1.0, {"claimed": 'a\n{"event":"forged"}\x1b[2J'}))
    observer.close()
    path = tmp_path / "deep" / "audit.jsonl"
    (line,) = path.read_bytes().splitlines()
    assert json.loads(line)["event"] == "login.failed"
    assert b"\x1b" not in line
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
