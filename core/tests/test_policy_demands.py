"""What an allow demands is met, or what it would allow is refused."""

from __future__ import annotations

import pytest

from core.tests.test_session import make
from recgate.decisions import ALLOW, Decision, Effect, stricter
from recgate.mask.masking import Mask, Masking
from recgate.mask.replacing import Becomes, Replacer
from recgate.policy.braking import NEVER, Brake
from recgate.policy.demands import unmet
from recgate.policy.obligations import MASKS, MAX_ROWS, READ_ONLY
from recgate.sansio.frames import Request
from recgate.session import Session

OPENING, ASKING = Request("session", "prod"), Request("sql", "select 1")


def able() -> Session:
    session, _ = make()
    session.met.enforces = frozenset((MAX_ROWS, READ_ONLY, MASKS))
    session.brake = Brake()
    return session


@pytest.mark.parametrize("demand", [{MAX_ROWS: 5}, {READ_ONLY: True}, {MASKS: ("pii",)}, {"sing": True}])
def test_what_a_protocol_cannot_meet_refuses(demand: dict[str, object]) -> None:
    session, _ = make()
    session.brake = Brake()
    for request in (OPENING, ASKING):
        assert unmet(session, request, demand, "r") == f"this gateway cannot enforce {next(iter(demand))}"
    assert (session.met.read_only, session.met.masks, session.brake.max_rows) == (False, frozenset(), NEVER)


def test_rows_of_a_whole_session_are_the_fewest_that_were_demanded() -> None:
    session = able()
    assert session.brake is not None
    assert unmet(session, OPENING, {MAX_ROWS: 50}, "fifty") == ""
    assert unmet(session, OPENING, {MAX_ROWS: 70}, "seventy") == ""
    assert (session.brake.max_rows, session.brake.rule) == (50, "fifty")
    assert unmet(session, ASKING, {MAX_ROWS: 5}, "five") == ""
    assert session.brake.max_rows == 50


def test_rows_cannot_be_counted_without_a_brake() -> None:
    session = able()
    session.brake = None
    assert unmet(session, ASKING, {MAX_ROWS: 5}, "five") != ""


def test_reading_alone_begins_with_the_session() -> None:
    session = able()
    assert "read-only from its opening" in unmet(session, ASKING, {READ_ONLY: True}, "r")
    assert unmet(session, OPENING, {READ_ONLY: True}, "r") == ""
    assert session.met.read_only
    assert unmet(session, ASKING, {READ_ONLY: True}, "r") == ""


def test_masks_begin_with_the_session() -> None:
    session = able()
    assert unmet(session, OPENING, {MASKS: ("pii", "keys")}, "r") == ""
    assert session.met.masks == {"pii", "keys"}
    assert "masked from its opening" in unmet(session, ASKING, {MASKS: ("pii",)}, "r")
    session.masking = Masking([Mask("pii", (), Replacer(Becomes.REDACT))], lambda: 0.0)
    assert unmet(session, ASKING, {MASKS: ("pii",)}, "r") == ""
    assert "masked from its opening" in unmet(session, ASKING, {MASKS: ("pii", "keys")}, "r")


def test_of_several_demands_the_strictest_count() -> None:
    joined = stricter(
        {"session_time": 60.0, MAX_ROWS: 7, MASKS: ("a",)},
        {"session_time": 30.0, MAX_ROWS: 9, MASKS: ("b", "a"), READ_ONLY: True},
    )
    assert joined == {"session_time": 30.0, MAX_ROWS: 7, MASKS: ("a", "b"), READ_ONLY: True}


async def test_a_held_request_has_the_demands_of_its_hold_and_of_who_approves() -> None:
    async def approve() -> Decision:
        return Decision(Effect.ALLOW, "by bob", obligations={MAX_ROWS: 9})

    hold = Decision(Effect.HOLD, "h", "wait", {MAX_ROWS: 4}, wait=approve)
    session, _ = make(lambda request: hold)
    session.met.enforces, session.brake = frozenset((MAX_ROWS,)), Brake()
    assert session.decide(ASKING) is hold
    final = await session.held(ASKING, hold)
    assert (final.effect, final.obligations) == (Effect.ALLOW, {})
    assert session.brake.next_decided(ASKING).max_rows == 4
    session.met.enforces = frozenset()
    session.decide(ASKING)
    final = await session.held(ASKING, hold)
    assert (final.effect, final.reason) == (Effect.DENY, "this gateway cannot enforce max_rows")


def test_what_is_let_through_is_noted_with_the_counters_that_it_was_judged_by() -> None:
    session, _ = make(lambda request: ALLOW)
    session.brake = Brake()
    session.brake.passed(3, 30)
    session.decide(ASKING)
    session.brake.passed(5, 50)
    assert session.brake.next_decided(ASKING).seen.rows == 3
