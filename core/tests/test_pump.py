"""The six invariants of a relay, with the smallest protocol there is."""

from __future__ import annotations

from typing import ClassVar

import pytest
import trio.testing

from recgate.decisions import Decision
from recgate.errors import RemoteProtocolError
from recgate.model import TargetInfo
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame
from recgate.testing.contracts import RelayContract
from recgate.testing.lineproto import LineRelay, LineTarget
from recgate.testing.playbook import Say, play


class TestLineRelay(RelayContract):
    opening: ClassVar = [Say(CLIENT, b"HELLO prod secret\n"), Say(UPSTREAM, b"OK\n")]
    talk: ClassVar = [
        Say(CLIENT, b"ASK how much\nplain\n"),
        Say(UPSTREAM, b"four hundred\n4111111111111111\n"),
        Say(CLIENT, b"ASK again\n"),
    ]
    early: ClassVar = b"ASK early\n"
    maskable: ClassVar = (b"4111111111111111", b"************1111")

    def make_relay(self) -> LineRelay:
        return LineRelay()

    def target(self) -> TargetInfo:
        return TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget(forward=("ok:1",)))

    async def test_a_door_needs_an_allow_of_its_own(self) -> None:
        async with self._running() as run:
            await run.say(Say(CLIENT, b"FORWARD evil:22\nFORWARD ok:1\n"))
            await run.until_contains(CLIENT, b"DENIED target prod")
            await run.until(UPSTREAM, len(b"FORWARD ok:1\n"))
            assert run.received(UPSTREAM) == b"FORWARD ok:1\n"

    async def test_a_refusal_is_recorded_before_it_is_sent(self) -> None:
        async with self._running(decision=Decision.deny("no", rule="r")) as run:
            await run.say(Say(CLIENT, b"ASK it\n"))
            await run.until_contains(CLIENT, b"DENIED r: no\n")
            assert [frame.kind for frame in run.door.recorder.frames] == ["decision", "line"]
            assert run.door.recorder.frames[1].side == 2

    async def test_a_policy_that_raises_refuses_and_the_session_goes_on(self) -> None:
        def stage(frame: Frame) -> Frame:
            return frame

        async with self._running(stage=stage) as run:
            await run.say(Say(CLIENT, b"ASK one\n"))
            await run.until(UPSTREAM, len(b"ASK one\n"))
            await run.say(Say(UPSTREAM, b"answer\n"))
            await run.until_contains(CLIENT, b"answer\n")

    async def test_the_client_leaving_ends_both_sides(self) -> None:
        async with self._running() as run:
            await run.say(Say(CLIENT, b""))
            await trio.testing.wait_all_tasks_blocked()
            await run.say(Say(UPSTREAM, b""))
            await run.ended.wait()
            assert run.reason == "client-closed"


def test_plaintext_behind_tls_is_seen() -> None:
    relay = LineRelay()
    relay.receive_data(CLIENT, b"TLS\nHELLO prod secret\n")
    ask = relay.next_event(CLIENT)
    assert getattr(ask, "leftover", None) == b"HELLO prod secret\n"


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="longer"):
        play(
            LineRelay(), [Say(CLIENT, b"x" * 70_000)], lambda ask: (_ for _ in ()).throw(AssertionError(ask))
        )
