"""What a driver is given, and what happens to one that does not end when its session does."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from recgate import driver
from recgate.driver import DriverSession
from recgate.model import PasswordEvidence, Secret, TargetInfo
from recgate.sansio.asks import Denied
from recgate.testing.fakes import FakeDoor
from recgate.testing.lineproto import LineListener, LineTarget


@pytest.fixture
def session():
    door = FakeDoor(TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget()))
    ours, theirs = socket.socketpair()
    deadline = trio.CancelScope()
    yield DriverSession(door, ours, LineListener(), deadline), door, deadline  # pyright: ignore[reportArgumentType]
    ours.close()
    theirs.close()
    door.close()


async def test_login_open_and_dial_come_from_the_door(session) -> None:
    given, door, deadline = session
    deadline.deadline = trio.current_time() + 5
    who = await given.login("prod", PasswordEvidence(Secret("x")))
    opened = await given.open(who, {})
    assert opened is door.session
    assert deadline.deadline == float("inf"), "the handshake is over"
    assert await given.dial() is door.near


class Slow:
    """A challenge that takes a moment to end when it is withdrawn."""

    text = ""

    def __init__(self) -> None:
        self.let_go = trio.Event()

    async def answer(self):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.let_go.wait()


async def test_challenges_leave_the_handshake_its_deadline(session, autojump_clock, monkeypatch) -> None:
    given, door, deadline = session
    monkeypatch.setattr(door, "answered", lambda name, challenge: challenge.answer(), raising=False)
    deadline.deadline = trio.current_time() + 100
    slow = [Slow(), Slow()]
    async with trio.open_nursery() as nursery:
        for each in slow:
            nursery.start_soon(given.answered, "prod", each)
        await trio.testing.wait_all_tasks_blocked()
        assert deadline.deadline == float("inf")
        nursery.cancel_scope.cancel()
        for each in slow:
            each.let_go.set()
    assert deadline.deadline <= trio.current_time() + 100


async def test_a_withdrawn_challenge_does_not_end_the_session_of_another_proof(session, monkeypatch) -> None:
    given, door, deadline = session
    monkeypatch.setattr(door, "answered", lambda name, challenge: challenge.answer(), raising=False)
    deadline.deadline = trio.current_time() + 100
    slow = Slow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given.answered, "prod", slow)
        await trio.testing.wait_all_tasks_blocked()
        await given.open(await given.login("prod", PasswordEvidence(Secret("x"))), {})
        nursery.cancel_scope.cancel()
        slow.let_go.set()
    assert deadline.deadline == float("inf")


async def test_the_first_reason_stands_and_facts_add_up(session) -> None:
    given, _, _ = session
    given.ended("client-closed", exit=0)
    given.ended("upstream-closed", signal="TERM")
    assert given.end_reason == "client-closed"
    assert given.facts == {"exit": 0, "signal": "TERM"}


async def test_a_driver_that_ignores_the_end_is_cancelled(session, monkeypatch) -> None:
    given, _, deadline = session
    monkeypatch.setattr(driver, "FAREWELL", 0.01)
    with deadline:
        opened = await given.open(await given.login("prod", PasswordEvidence(Secret("x"))), {})
        opened.end(Denied("enough", "killed"))
        with trio.fail_after(10):
            await trio.sleep_forever()
    assert deadline.cancelled_caught
