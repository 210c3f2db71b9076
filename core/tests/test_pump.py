"""The six invariants of a relay, with the smallest protocol there is."""

from __future__ import annotations

from typing import ClassVar

import pytest
import trio
import trio.testing

from recgate.decisions import ALLOW, Decision, Effect
from recgate.errors import RemoteProtocolError
from recgate.model import TargetInfo
from recgate.sansio.frames import CLIENT, UPSTREAM
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

    async def test_a_refusal_in_a_pipeline_stands_where_its_request_stood(self) -> None:
        async with self._running() as run:
            await run.say(Say(CLIENT, b"ASK one\nFORWARD evil:1\nASK two\n"))
            await run.until(UPSTREAM, len(b"ASK one\nASK two\n"))
            await run.until_contains(CLIENT, b"DENIED")
            kinds = [(frame.kind, frame.data[:7]) for frame in run.door.recorder.frames]
            assert [kind for kind, _ in kinds] == ["line", "decision", "line", "line"]
            assert [data for kind, data in kinds if kind == "line"] == [b"ASK one", b"DENIED ", b"ASK two"]

    async def test_a_hold_lets_the_other_side_go_on_and_then_forwards_once(self) -> None:
        answered = trio.Event()

        async def wait() -> Decision:
            await answered.wait()
            return ALLOW

        async with self._running(decision=Decision(Effect.HOLD, "h", "bob can approve", wait=wait)) as run:
            await run.say(Say(CLIENT, b"ASK it\nplain\n"))
            await run.until_contains(CLIENT, b"NOTICE bob can approve\n")
            await run.say(Say(UPSTREAM, b"news\n"))
            await run.until_contains(CLIENT, b"news\n")
            assert run.received(UPSTREAM) == b"", "nothing overtakes what is held"
            answered.set()
            await run.until(UPSTREAM, len(b"ASK it\nplain\n"))
            assert run.received(UPSTREAM) == b"ASK it\nplain\n"

    async def test_a_client_that_does_not_read_can_still_be_heard(self) -> None:
        async with self._running() as run:
            flood = b"x" * 5_000_000 + b"\n"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.say, Say(UPSTREAM, flood))
                await trio.testing.wait_all_tasks_blocked(0.01)
                await run.say(Say(CLIENT, b"ASK stop\n"))
                await run.until(UPSTREAM, len(b"ASK stop\n"))
                await run.until(CLIENT, len(flood))

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
