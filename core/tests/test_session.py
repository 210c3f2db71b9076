"""Every frame passes through a session: decide, stage, record, and only then hand back."""

from __future__ import annotations

import cbor2
import pytest
import trio
import trio.testing

from recgate.decisions import ALLOW, Alert, Decision, Effect
from recgate.errors import LocalProtocolError, RecordingFailed
from recgate.model import ConnectionInfo, Principal, TargetInfo
from recgate.sansio.asks import Denied
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Request
from recgate.session import Session
from recgate.testing.fakes import MemoryRecorder
from recgate.testing.lineproto import LineTarget


def make(decide=lambda request: ALLOW, forward: tuple[str, ...] = ()) -> tuple[Session, MemoryRecorder]:
    recorder = MemoryRecorder()
    session = Session(
        id="0" * 26,
        principal=Principal("local", "1", "alice"),
        target=TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget(forward=forward)),
        connection=ConnectionInfo("line", "127.0.0.1:7", "127.0.0.1:5"),
        recorder=recorder,  # pyright: ignore[reportArgumentType] - has the methods that sessions use
        decide=decide,
    )
    return session, recorder


def ask(kind: str = "shell", text: str = "it") -> Frame:
    return Frame(CLIENT, "line", b"ASK it\n", request=Request(kind, text))


async def test_a_frame_is_recorded_before_it_is_handed_back() -> None:
    session, recorder = make()
    frame = await session.submit(ask())
    assert isinstance(frame, Frame)
    assert [(f.side, f.kind, f.data) for f in recorder.frames] == [(0, "line", b"ASK it\n")]


async def test_a_recorder_that_cannot_take_it_keeps_it_from_going_on() -> None:
    session, recorder = make()
    recorder.broken = True
    with pytest.raises(RecordingFailed):
        await session.submit(ask())
    with pytest.raises(RecordingFailed):
        session.submit_now(Frame(UPSTREAM, "line", b"x"))


async def test_a_deny_is_recorded_with_its_reason_and_the_frame_is_not() -> None:
    session, recorder = make(lambda request: Decision.deny("no", rule="r"))
    assert await session.submit(ask()) == Decision.deny("no", rule="r")
    (frame,) = recorder.frames
    assert frame.kind == "decision"
    body = cbor2.loads(frame.data)
    assert (body["effect"], body["rule"], body["reason"], body["text"]) == ("deny", "r", "no", "it")
    assert session.denied_requests == 1


@pytest.mark.parametrize("kind", ["agent", "forward", "replication", "x11", "anything-new"])
async def test_what_leads_past_the_protocol_needs_an_allow_of_its_own(kind: str) -> None:
    session, _ = make()
    refused = await session.submit(ask(kind))
    assert isinstance(refused, Decision)
    assert refused.effect is Effect.DENY


async def test_the_operator_may_open_a_door_and_a_policy_still_has_its_say() -> None:
    opened, _ = make(forward=("db:5432",))
    assert isinstance(await opened.submit(ask("forward", "db:5432")), Frame)
    denied, _ = make(lambda request: Decision.deny("no"), forward=("db:5432",))
    assert isinstance(await denied.submit(ask("forward", "db:5432")), Decision)


async def test_an_obligation_that_nobody_enforces_is_a_no() -> None:
    session, _ = make(lambda request: Decision(Effect.ALLOW, "r", obligations={"row_limit": 10}))
    refused = await session.submit(ask())
    assert isinstance(refused, Decision)
    assert "row_limit" in refused.reason


async def test_a_hold_waits_and_its_answer_counts() -> None:
    answered = trio.Event()

    async def wait() -> Decision:
        await answered.wait()
        return ALLOW

    session, recorder = make(lambda request: Decision(Effect.HOLD, "h", "ask bob", wait=wait))
    results: list[Frame | Decision] = []
    async with trio.open_nursery() as nursery:

        async def submit() -> None:
            results.append(await session.submit(ask()))

        nursery.start_soon(submit)
        await trio.testing.wait_all_tasks_blocked()
        assert [f.kind for f in recorder.frames] == ["held"], "not forwarded while held"
        answered.set()
    assert isinstance(results[0], Frame)
    assert [f.kind for f in recorder.frames] == ["held", "decision", "line"]


async def test_a_hold_that_its_client_withdraws_is_a_no_with_a_code_of_its_own() -> None:
    withdrawn: list[bool] = []

    async def wait() -> Decision:
        try:
            await trio.sleep_forever()
        finally:
            withdrawn.append(True)

    session, recorder = make(lambda request: Decision(Effect.HOLD, "h", "ask bob", wait=wait))
    assert not session.withdraw("too early")
    results: list[Frame | Decision] = []
    for _ in range(2):  # the session goes on, and may be held again
        async with trio.open_nursery() as nursery:

            async def submit() -> None:
                results.append(await session.submit(ask()))

            nursery.start_soon(submit)
            await trio.testing.wait_all_tasks_blocked()
            assert session.holding
            assert session.withdraw("cancelled by the client")
        assert not session.holding
    assert withdrawn == [True, True]
    for refused in results:
        assert isinstance(refused, Decision)
        assert (refused.effect, refused.code, refused.reason) == (
            Effect.DENY,
            "cancelled",
            "cancelled by the client",
        )
    assert [f.kind for f in recorder.frames] == ["held", "decision"] * 2


async def test_a_hold_that_nobody_can_answer_is_a_no() -> None:
    async def never_decides() -> Decision:
        await trio.lowlevel.checkpoint()
        return Decision(Effect.HOLD)

    for wait in (None, never_decides):
        session, _ = make(lambda request, wait=wait: Decision(Effect.HOLD, "h", wait=wait))
        refused = await session.submit(ask())
        assert isinstance(refused, Decision)
        assert refused.effect is Effect.DENY


async def test_submit_now_is_for_what_asks_nothing_and_waits_for_nothing() -> None:
    session, _ = make()
    with pytest.raises(LocalProtocolError):
        session.submit_now(ask())
    session.waits = True
    with pytest.raises(LocalProtocolError):
        session.submit_now(Frame(UPSTREAM, "line", b"x"))


async def test_durability_that_waits_holds_the_frame_back() -> None:
    session, recorder = make()
    session.waits = recorder.waits = True
    results: list[Frame | Decision] = []
    async with trio.open_nursery() as nursery:

        async def submit() -> None:
            results.append(await session.submit(Frame(UPSTREAM, "line", b"x")))

        nursery.start_soon(submit)
        await trio.testing.wait_all_tasks_blocked()
        assert results == []
        recorder.on_disk.set()
    assert len(results) == 1


async def test_the_first_reason_to_end_stands_and_reaches_who_asked_later() -> None:
    session, _ = make()
    called: list[str] = []
    session.on_end(lambda: called.append("early"))
    session.end(Denied("one", "killed"))
    session.end(Denied("two", "expired"))
    session.on_end(lambda: called.append("late"))
    assert (await session.killed()).reason == "one"
    assert called == ["early", "late"]


async def test_watchers_see_frames_until_they_stop() -> None:
    session, _ = make()
    seen: list[tuple[int, bytes]] = []
    session.submit_now(Frame(UPSTREAM, "line", b"before"))
    stop = session.watch(lambda seq, t, frame: seen.append((seq, frame.data)))
    session.submit_now(Frame(UPSTREAM, "line", b"one"))
    session.record_frames([Frame(UPSTREAM, "line", b"two"), Frame(CLIENT, "line", b"three")])
    stop()
    session.submit_now(Frame(UPSTREAM, "line", b"after"))
    assert seen == [(1, b"one"), (2, b"two"), (3, b"three")], "with their numbers in the recording"


async def test_an_approval_with_an_obligation_that_nobody_enforces_is_a_no() -> None:
    async def approve() -> Decision:
        await trio.lowlevel.checkpoint()
        return Decision(Effect.ALLOW, "r", obligations={"read_only": True})

    session, _ = make(lambda request: Decision(Effect.HOLD, "h", wait=approve))
    refused = await session.submit(ask())
    assert isinstance(refused, Decision)
    assert "read_only" in refused.reason


async def test_alerts_are_recorded_counted_and_told_and_the_request_goes_on() -> None:
    session, recorder = make(lambda request: Decision(Effect.ALLOW, alerts=(Alert("seen", "look"),)))
    told: list[tuple[str, dict[str, object]]] = []
    session.emit = lambda kind, **facts: told.append((kind, facts))
    assert isinstance(await session.submit(ask(text="secret")), Frame)
    decision, line = recorder.frames
    body = cbor2.loads(decision.data)
    assert (body["effect"], body["rule"], body["reason"], body["text"]) == ("alert", "seen", "look", "secret")
    assert line.kind == "line"
    ((event, facts),) = told
    assert event == "policy.alert"
    assert (facts["rule"], facts["session"], facts["asks"], facts["request"]) == (
        "seen",
        session.id,
        "shell",
        1,
    )
    assert "secret" not in str(facts)


async def test_a_deny_is_told_without_the_text_of_the_request() -> None:
    session, _ = make(lambda request: Decision.deny("no", rule="r"))
    told: list[tuple[str, dict[str, object]]] = []
    session.emit = lambda kind, **facts: told.append((kind, facts))
    await session.submit(ask(text="secret"))
    ((event, facts),) = told
    assert (event, facts["rule"], facts["reason"]) == ("request.denied", "r", "no")
    assert "secret" not in str(facts)


async def test_an_allow_may_shorten_the_session_and_the_shortest_counts() -> None:
    demands = [{"session_time": 60.0}, {"session_time": 30.0}, {"session_time": 90.0}]
    session, _ = make(lambda request: Decision(Effect.ALLOW, obligations=demands.pop(0)))
    for lasts in (60.0, 30.0, 30.0):
        assert session.decide(Request("shell", "")).effect is Effect.ALLOW
        assert session.lasts == lasts


async def test_a_reason_that_is_demanded_must_be_there() -> None:
    session, _ = make(lambda request: Decision(Effect.ALLOW, "why", obligations={"reason": "required"}))
    assert session.decide(Request("shell", "")).reason == "say why you need it when you connect"
    session.reason = "INC-1"
    assert session.decide(Request("shell", "")).effect is Effect.ALLOW


async def test_what_an_approved_request_demands_is_met_or_refused() -> None:
    async def approve() -> Decision:
        await trio.lowlevel.checkpoint()
        return Decision(Effect.ALLOW, "h", obligations={"nobody-knows": 1})

    session, _ = make(lambda request: Decision(Effect.HOLD, "h", "wait", wait=approve))
    answer = await session.submit(ask())
    assert isinstance(answer, Decision)
    assert answer.reason == "this gateway cannot enforce nobody-knows"


async def test_files_are_counted_where_they_are_decided() -> None:
    session, _ = make()
    for kind in ("file", "shell", "file"):
        session.decide(Request(kind, ""))
    assert (session.files, session.requests) == (2, 3)
