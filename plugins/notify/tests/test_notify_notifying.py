"""A dead receiver blocks nobody: what waits is bounded, tries have an end, and all of it is told of."""

from __future__ import annotations

import trio
import trio.testing

from recgate.audit import AuditEvent, AuditTrail
from recgate_notify.notifying import QUEUE, TRIES, Notifier
from recgate_notify.receivers import Failed

ASKED = AuditEvent("approval.asked", 1.0, {"approval": "01J", "until": 4e9})


class Receiver:
    name = "test"

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.got: list[tuple[str, str]] = []
        self.hangs = False

    async def deliver(self, event: AuditEvent, delivery: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.hangs:
            await trio.sleep_forever()
        self.got.append((event.kind, delivery))
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure


class Work:
    """A notifier at work; `told` is the audit trail, `pauses` how long it waited between tries."""

    def __init__(self, receiver: Receiver, *events: str) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        self.pauses: list[float] = []
        self.notifier = Notifier(receiver, events or ("approval.*",), self._pause)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await trio.lowlevel.checkpoint()

    def emit(self, kind: str, **facts: object) -> None:
        self.told.append((kind, facts))

    async def run(self, *events: AuditEvent) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.notifier.work, self)  # pyright: ignore[reportArgumentType]
            for event in events:
                await self.notifier.observe(event)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_it_is_told_once_and_that_is_audited() -> None:
    receiver = Receiver()
    work = Work(receiver)
    await work.run(ASKED, AuditEvent("session.opened", 1.0), AuditEvent("notification.sent", 1.0))
    assert [kind for kind, _ in receiver.got] == ["approval.asked"]
    ((kind, facts),) = work.told
    assert (kind, facts["approval"], facts["receiver"], facts["tries"]) == (
        "notification.sent",
        "01J",
        "test",
        1,
    )


async def test_it_is_tried_again_with_longer_and_longer_pauses_as_one_delivery() -> None:
    receiver = Receiver(Failed("away"), Failed("away"))
    work = Work(receiver)
    await work.run(ASKED)
    assert len({delivery for _, delivery in receiver.got}) == 1
    assert work.told[0][1]["tries"] == 3
    assert 1 <= work.pauses[0] <= 1.5
    assert 2 <= work.pauses[1] <= 3


async def test_it_gives_up_in_the_end_and_goes_on_with_the_next() -> None:
    receiver = Receiver(*[Failed("away")] * TRIES)
    work = Work(receiver)
    await work.run(ASKED, AuditEvent("approval.denied", 1.0, {"approval": "01K"}))
    assert [kind for kind, _ in work.told] == ["notification.failed", "notification.sent"]
    assert work.told[0][1]["reason"] == "away"


async def test_what_no_other_try_helps_is_not_tried_again() -> None:
    receiver = Receiver(Failed("gone", again=False))
    work = Work(receiver)
    await work.run(ASKED)
    assert len(receiver.got) == 1
    assert work.told[0][0] == "notification.failed"


async def test_what_is_over_is_not_told_late() -> None:
    receiver = Receiver()
    work = Work(receiver)
    await work.run(AuditEvent("approval.asked", 1.0, {"approval": "01J", "until": 2.0}))
    assert receiver.got == []
    assert work.told[0][0] == "notification.failed"


async def test_a_receiver_that_hangs_blocks_nobody_and_fills_no_memory() -> None:
    receiver = Receiver()
    receiver.hangs = True
    work = Work(receiver)
    await work.run(*[ASKED] * (QUEUE + 50))
    assert work.notifier._dropped >= 40


async def test_the_audit_trail_lets_it_work_and_hears_of_it() -> None:
    receiver = Receiver()
    heard: list[str] = []

    class Ear:
        name = "ear"

        async def observe(self, event: AuditEvent) -> None:
            heard.append(event.kind)

    trail = AuditTrail([Notifier(receiver, ("approval.*",)), Ear()])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trail.run)
        trail.emit("approval.asked", approval="01J", until=4e9)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert heard == ["approval.asked", "notification.sent"]


async def test_work_that_breaks_ends_no_gateway() -> None:
    class Broken:
        name = "broken"

        async def observe(self, event: AuditEvent) -> None:
            """Hear nothing."""

        async def work(self, trail: AuditTrail) -> None:
            raise ZeroDivisionError

    trail = AuditTrail([Broken()])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trail.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
