"""People decide on held requests: who may, how often, on what exactly, and what is said of it afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from plugins.approvals.tests.approvalhouse import DELETE, House, Limits, held, lead
from recgate.decisions import Effect
from recgate.httpauth import Problem
from recgate.sansio.asks import Denied
from recgate.sansio.frames import Request
from recgate_approvals.asking import digest_of
from tests.rulehouse import alice, ask, session

carol, dave = lead("carol"), lead("dave")


async def test_an_approval_lets_it_go_on_and_is_on_the_record(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding:
        (row,) = await house.call(carol, "ls")
        assert (row["status"], row["user"], row["may_decide"], row["facts"]) == (
            "pending",
            "alice",
            True,
            [{"verb": "DELETE", "has_where": False}],
        )
        said = await holding.approve(carol)
        await holding.over.wait()
    assert holding.decision is not None
    assert (holding.decision.effect, holding.decision.reason) == (Effect.ALLOW, "approved by carol")
    assert said["status"] == "approved"
    assert [each["step"] for each in holding.steps()] == ["asked", "approved"]
    assert holding.steps()[0]["digest"] == holding.digest
    assert house.kinds() == ["approval.asked", "approval.approved"]
    assert "DELETE FROM" not in repr(house.events)


async def test_a_denial_says_who_and_why(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding:
        await house.one(carol, "deny", request=holding.id, reason="not on a Friday")
        await holding.over.wait()
    assert holding.decision is not None
    assert (holding.decision.effect, holding.decision.reason) == (
        Effect.DENY,
        "carol denied it: not on a Friday",
    )
    assert (await house.one(carol, "show", request=holding.id))["why"] == "not on a Friday"
    assert house.kinds()[-1] == "approval.denied"


async def test_nobody_decides_in_time(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house, within=0.01) as holding:
        await holding.over.wait()
    assert holding.decision is not None
    assert holding.decision.effect is Effect.DENY
    assert (await house.one(carol, "show", request=holding.id))["status"] == "expired"
    assert [each["step"] for each in holding.steps()] == ["asked", "expired"]
    assert house.kinds()[-1] == "approval.expired"


async def test_a_client_that_leaves_withdraws_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding:
        holding.session.end(Denied("the gateway is shutting down", "shutdown"))
        holding.scope.cancel()
        await holding.over.wait()
        assert "409" in await house.refused(
            carol, "approve", request=holding.id, digest=holding.digest, reason="x"
        )
    row = await house.one(carol, "show", request=holding.id)
    assert (row["status"], row["why"]) == ("withdrawn", "its session ended: the gateway is shutting down")
    assert house.kinds()[-1] == "approval.withdrawn"


async def test_what_waited_when_the_gateway_died_is_over(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding:
        after = House(tmp_path)
        row = await after.one(carol, "show", request=holding.id)
        assert (row["status"], row["why"]) == ("withdrawn", "the gateway stopped while it waited")
        assert after.kinds() == ["approval.withdrawn"]


# -- who may -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "who",
    [
        replace(alice, groups=frozenset({"leads"})),
        lead("Alice", issuer="other"),
        lead("\uff41lice", issuer="other"),
        lead("corp:alice", issuer="other"),
        replace(lead("renamed"), subject=alice.subject),
    ],
    ids=["herself", "by letter case", "by width", "linked", "by another name"],
)
async def test_nobody_approves_their_own_request(tmp_path: Path, who) -> None:
    house = House(tmp_path, linked=(("alice", "corp:alice"),))
    async with held(house) as holding:
        words = await house.refused(who, "approve", request=holding.id, digest=holding.digest, reason="I may")
        assert words == "403 nobody decides on their own request, by whichever identity"
        assert not holding.over.is_set()


async def test_who_is_not_among_the_approvers_does_not_even_see_it(tmp_path: Path) -> None:
    house, erin = House(tmp_path), lead("erin", "devs")
    async with held(house) as holding:
        for call in ("show", "approve", "deny"):
            assert "404" in await house.refused(erin, call, request=holding.id, reason="x", digest="")
        assert await house.call(erin, "ls") == []
        assert "deciding acts as a person" in await house.refused(
            None, "approve", request=holding.id, digest=holding.digest, reason="root"
        )


async def test_a_group_that_was_left_in_the_meantime_counts_at_once(tmp_path: Path) -> None:
    """The token still says `leads`; who asks the identity source hears otherwise."""
    house = House(tmp_path)
    async with held(house) as holding:
        house.groups["carol"] = frozenset()
        assert "no longer" in await house.refused(
            carol, "approve", request=holding.id, digest=holding.digest, reason="x"
        )
        house.gone.add("dave")
        assert "sign in again" in await house.refused(
            dave, "approve", request=holding.id, digest=holding.digest, reason="x"
        )
        assert not holding.over.is_set()


async def test_of_two_who_must_approve_one_is_not_enough_however_often(tmp_path: Path) -> None:
    house = House(tmp_path, linked=(("carol", "corp:carol"),))
    async with held(house, of=2) as holding:
        assert (await holding.approve(carol))["status"] == "pending"
        for again in (carol, lead("corp:carol", issuer="other"), lead("CAROL", issuer="other")):
            words = await house.refused(
                again, "approve", request=holding.id, digest=holding.digest, reason="again"
            )
            assert words == "409 you have approved this already; it waits for somebody else"
        assert (await holding.approve(dave))["status"] == "approved"
        await holding.over.wait()
    assert holding.decision is not None
    assert holding.decision.reason == "approved by carol, dave"
    assert [each.get("by") for each in holding.steps()] == [None, "carol", "dave"]


async def test_an_earlier_approval_counts_no_longer_once_its_person_left(tmp_path: Path) -> None:
    house, frank = House(tmp_path), lead("frank")
    async with held(house, of=2) as holding:
        await holding.approve(carol)
        house.groups["carol"] = frozenset({"devs"})
        assert (await holding.approve(dave))["status"] == "pending"
        counts = {
            each["user"]: each["counts"]
            for each in (await house.one(dave, "show", request=holding.id))["decisions"]
        }
        assert counts == {"carol": False, "dave": True}
        assert (await holding.approve(frank))["status"] == "approved"


# -- on what exactly -----------------------------------------------------------------------------------------


async def test_a_decision_for_another_digest_is_none(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding, held(house, Request("sql", "DELETE FROM logs")) as other:
        assert other.digest != holding.digest
        for digest in ("", other.digest, holding.digest.upper(), holding.digest[:-1]):
            words = await house.refused(carol, "approve", request=holding.id, digest=digest, reason="x")
            assert words.startswith("409 that digest is another request's")
        assert not holding.over.is_set()


async def test_a_decision_that_is_played_again_decides_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding:
        await holding.approve(carol)
        await holding.over.wait()
        words = await house.refused(
            carol, "approve", request=holding.id, digest=holding.digest, reason="fine"
        )
        assert words == "409 this request is approved already"
        assert "409" in await house.refused(dave, "deny", request=holding.id, reason="late")
    async with held(house) as again:
        assert again.digest != holding.digest, "the same words in another session are another request"
        assert not again.over.is_set()


async def test_of_two_decisions_at_once_one_counts(tmp_path: Path) -> None:
    house = House(tmp_path)
    outcomes: list[str] = []

    async def say(who, call: str) -> None:
        try:
            row = await house.one(who, call, request=holding.id, digest=holding.digest, reason="now")
            outcomes.append(str(row["status"]))
        except Problem as exc:
            outcomes.append(str(exc))

    async with held(house) as holding:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, carol, "approve")
            nursery.start_soon(say, dave, "deny")
        await holding.over.wait()
    won = next(each for each in outcomes if each in ("approved", "denied"))
    assert sorted(outcomes) == sorted([won, f"this request is {won} already"])
    assert holding.decision is not None
    assert holding.decision.effect is (Effect.ALLOW if won == "approved" else Effect.DENY)


@pytest.mark.parametrize(
    "other",
    [
        replace(DELETE, text="DELETE FROM customers "),
        replace(DELETE, details={**DELETE.details, "binds": ["8"]}),
        replace(DELETE, details={**DELETE.details, "binds": ["7", ""]}),
        replace(DELETE, details={**DELETE.details, "binds": [7]}),
        replace(DELETE, details={**DELETE.details, "exact": b"\xff"}),
        replace(DELETE, kind="shell"),
    ],
)
def test_a_digest_is_of_every_byte_and_value(other: Request) -> None:
    of = session()
    assert digest_of(ask(DELETE, of)) == digest_of(ask(replace(DELETE), of))
    assert digest_of(ask(other, of)) != digest_of(ask(DELETE, of))
    of.requests += 1
    assert digest_of(ask(DELETE, of)) != digest_of(ask(DELETE, session()))


async def test_its_text_is_for_those_who_may_approve(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding:
        shown = await house.one(carol, "show", request=holding.id)
        assert (shown["text"], shown["binds"], shown["cut"]) == ("DELETE FROM customers", ["7"], False)
        for who in (alice, None):
            assert "text" not in await house.one(who, "show", request=holding.id)
        assert all("text" not in row for row in await house.call(carol, "ls"))
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())  # noqa: ASYNC240 - a test, and small
    assert b"DELETE FROM" not in stored


async def test_a_flood_of_requests_is_bounded_by_person(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house), held(house), held(house):
        async with held(house) as fourth:
            await fourth.over.wait()
            assert fourth.decision is not None
            assert fourth.decision.reason.startswith("3 requests of yours wait already")
        async with held(house, by=dave, approvers=("user:carol",)) as others:
            assert others.id, "somebody else may ask still"
    for _ in range(3):
        async with held(house) as more:
            assert more.id
    async with held(house) as seventh:
        await seventh.over.wait()
        assert seventh.decision is not None
        assert "6 times within an hour" in seventh.decision.reason


async def test_old_requests_go_when_there_are_too_many(tmp_path: Path) -> None:
    house = House(tmp_path, Limits(9, 99, 99, kept=3, keep=1e9))
    for _ in range(5):
        house.now += 1
        async with held(house):
            pass
    assert len(house.book.list()) == 3
    house = House(tmp_path, Limits(9, 99, 99, kept=3, keep=10.0))
    house.now += 1_000
    async with held(house) as last:
        assert [each.id for each in house.book.list()] == [last.id]


@pytest.mark.parametrize(
    "what",
    [
        {"call": "drop"}, {"call": 7}, {}, {"call": "ls", "status": "x"}, {"call": "new", "for": True},
        {"call": "new", "for": -1}, {"call": "new", "for": float("nan")}, {"call": "show", "request": "x" * 99},
        {"call": "deny", "reason": "x" * 501},
    ],
)  # fmt: skip
async def test_calls_are_read_strictly(tmp_path: Path, what) -> None:
    house = House(tmp_path)
    assert "400" in await house.refused(carol, what.pop("call", ""), **what)


async def test_a_word_needs_a_reason(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding:
        for call in ("approve", "deny"):
            words = await house.refused(carol, call, request=holding.id, digest=holding.digest, reason="  ")
            assert words.startswith("400 say why")


async def test_a_request_that_cannot_be_decrypted_is_not_shown(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with held(house) as holding, held(house, Request("sql", "select 1")) as other:
        with house.book._database.writing() as connection:
            connection.execute(
                "UPDATE requests SET sealed = (SELECT sealed FROM requests WHERE id = ?) WHERE id = ?",
                (other.id, holding.id),
            )
        assert "damaged" in await house.refused(carol, "show", request=holding.id)
