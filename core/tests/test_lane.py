"""The usual read in one run gives what the pump's general way gives, and leaves everything unusual to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import trio.testing

from recgate.decisions import ALLOW, Decision
from recgate.model import TargetInfo
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame
from recgate.session import ORDINARY, Session
from recgate.testing.lineproto import LineRelay, LineTarget
from recgate.testing.playbook import Say
from recgate.testing.running import RunningRelay


class Script:
    opening: ClassVar[Sequence[Say]] = [Say(CLIENT, b"HELLO prod secret\n"), Say(UPSTREAM, b"OK\n")]

    def make_relay(self) -> LineRelay:
        return LineRelay()

    def target(self) -> TargetInfo:
        return TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget())


async def _said(**changes) -> tuple[bytes, bytes, list[tuple[int, str, bytes]]]:
    """A conversation's two ends and its record; `changes` decide which way the reads go."""
    async with RunningRelay(Script(), **changes) as run:
        for n in range(5):
            await run.say(Say(CLIENT, b"ASK %d\n" % n))
            await run.until_contains(UPSTREAM, b"ASK %d\n" % n)
            await run.say(Say(UPSTREAM, b"answer %d\n" % n))
            await run.until_contains(CLIENT, b"answer %d\n" % n)
        record = [(frame.side, frame.kind, frame.data) for frame in run.door.recorder.frames]
        session = run.door.session
        assert session is not None
        assert session.wire.frames == [5, 5, 0]
        assert session.wire.data == [len(run.received(UPSTREAM)), len(run.received(CLIENT)), 0]
        assert session.requests == 5
        return run.received(UPSTREAM), run.received(CLIENT), record


async def test_the_short_way_and_the_general_way_are_the_same() -> None:
    def unchanged(frame: Frame) -> Frame:
        return frame

    assert await _said() == await _said(stage=unchanged) == await _said(decision=ALLOW)


async def test_a_watcher_that_comes_later_sees_what_follows() -> None:
    async with RunningRelay(Script()) as run:
        await run.say(Say(UPSTREAM, b"before\n"))
        await run.until_contains(CLIENT, b"before\n")
        seen: list[bytes] = []
        session = run.door.session
        assert isinstance(session, Session)
        session.watch(lambda seq, t, frame: seen.append(frame.data))
        await run.say(Say(UPSTREAM, b"after\n"))
        await run.until_contains(CLIENT, b"after\n")
        assert seen == [b"after\n"]


async def test_no_kind_is_ordinary_by_being_unknown() -> None:
    assert {"forward", "agent", "x11", "replication"}.isdisjoint(ORDINARY)
    async with RunningRelay(Script()) as run:
        await run.say(Say(CLIENT, b"FORWARD anywhere:1\n"))
        await run.until_contains(CLIENT, b"DENIED target prod: forward is not allowed on prod")
        await trio.testing.wait_all_tasks_blocked()
        assert run.received(UPSTREAM) == b""


async def test_a_policy_is_asked_for_every_request() -> None:
    async with RunningRelay(Script(), decision=Decision.deny("no", rule="r")) as run:
        await run.say(Say(CLIENT, b"ASK it\n"))
        await run.until_contains(CLIENT, b"DENIED r: no\n")
