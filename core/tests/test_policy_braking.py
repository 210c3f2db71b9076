"""Brakes: how much may pass before rules must be asked, what is counted, and what of a request is kept until then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from recgate.decisions import ALLOW, Decision, Effect
from recgate.policy import Act
from recgate.policy.acts import exact_of
from recgate.policy.braking import (
    MAX_DECIDED,
    MAX_DISTINCT,
    MAX_KEPT,
    NEVER,
    Brake,
    Counted,
    Distinct,
    Tally,
    counters_of,
    crossed,
)
from recgate.providers import PolicyRequest
from recgate.sansio.frames import Request


def sql(text: str = "select 1", *acts: Act) -> Request:
    return Request("sql", text, details={"acts": acts or (Act("SELECT"),), "binds": ["secret"]})


def decided(brake: Brake, max_rows: int | None = None, seen: Counted | None = None):
    brake.let_through(sql(), max_rows, "limit", seen or brake.now)
    return brake.next_decided(sql())


def test_up_to_the_next_value_everything_may_pass() -> None:
    brake = Brake(values={"rows": [11, 21], "bytes": [1_001]})
    one = decided(brake)
    assert brake.room(one) == (10, 1_000)
    brake.passed(4, 600, one)
    assert brake.room(one) == (6, 400)
    brake.passed(6, 100, one)
    assert (brake.rows, one.rows, brake.room(one)) == (10, 10, (0, 300))


def test_what_was_judged_lets_go_on_to_the_value_behind_it() -> None:
    brake = Brake(values={"rows": [11, 21]})
    one, piped = decided(brake), decided(brake)
    brake.passed(10, 0, one)
    crossing = brake.cross(one, 1, 50)
    assert (crossing.at, brake.rows) == (Counted(11, 50, 11, 50), 10)
    brake.settle(crossing)
    assert (brake.rows, brake.room(one)[0]) == (11, 9)
    # Another that was let through before it was judged by the counters of then, so it is asked about at its first row.
    assert brake.room(piped)[0] == 0
    assert brake.room(decided(brake))[0] == 9


def test_a_days_counters_are_shared_and_move_under_ones_feet() -> None:
    tally = Tally()
    one, other = Brake(tally, {"rows_today": [101]}), Brake(tally, {"rows_today": [101]})
    mine = decided(one)
    other.passed(60, 5)
    assert one.room(mine)[0] == 40
    assert (one.count("rows_today"), one.count("rows"), one.count("bytes_today")) == (60, 0, 5)
    assert tally.changed


def test_a_request_has_the_strictest_of_its_limits() -> None:
    brake = Brake(max_rows=5, rule="door")
    one = decided(brake, 9)
    assert (one.max_rows, one.rule) == (5, "door")
    two = decided(brake, 3)
    assert (two.max_rows, two.rule, brake.room(two)) == (3, "limit", (3, NEVER))
    assert brake.flowing
    assert brake.room(brake.unknown())[0] == 5


@pytest.mark.parametrize(
    ("values", "flows"),
    [
        ({}, False),
        ({"statements": [5]}, False),
        ({"rows": [5]}, True),
        ({"bytes_today": [1]}, True),
        ({"max_rows": []}, True),
    ],
)
def test_only_some_counters_need_what_flows_to_be_counted(values: dict[str, list[int]], flows: bool) -> None:
    assert Brake(values=values).flowing is flows


def test_different_statements_count_once_and_are_bounded() -> None:
    brake = Brake(values={"statements": [5]})
    for text in ("select 1", "select 2", "select 1"):
        brake.asked(sql(text))
    brake.asked(Request("file", "/x"))
    assert [brake.count(name) for name in ("statements", "statements_today", "files_today")] == [2, 2, 1]
    unasked = Brake(values={"rows": [5]})
    unasked.asked(sql())
    assert unasked.count("statements") == 0
    many = Distinct()
    for n in range(MAX_DISTINCT + 5):
        many.add(n.to_bytes(8))
    many.add((0).to_bytes(8))
    assert (len(many), len(many.seen)) == (MAX_DISTINCT + 5, MAX_DISTINCT)


def test_what_is_kept_of_a_request_is_what_rules_read() -> None:
    brake = Brake()
    brake.let_through(sql("select 2"), None, "", Counted())
    kept = brake.next_decided(sql()).request
    assert (kept.text, dict(kept.details)) == ("select 2", {"acts": (Act("SELECT"),), "exact": b"select 2"})
    brake.let_through(sql("x" * (MAX_KEPT + 1)), None, "", Counted())
    kept = brake.next_decided(sql()).request
    assert (len(kept.text), kept.details["acts"]) == (MAX_KEPT, (Act(opaque=True),))
    brake.let_through(sql("x" * MAX_KEPT + "y"), None, "", Counted())
    other = brake.next_decided(sql()).request
    assert (other.text, len(exact_of(other))) == (kept.text, 32)
    assert exact_of(other) != exact_of(kept)


def test_what_a_protocol_says_stays_true_is_kept_with_it() -> None:
    details = {"acts": (Act("SELECT"),), "binds": ["of now"], "kept": {"exact": b"all", "binds": ["7"]}}
    brake = Brake()
    brake.let_through(Request("sql", "select $1", details=details), None, "", Counted())
    kept = brake.next_decided(sql()).request
    assert (exact_of(kept), kept.details["binds"], kept.details["acts"]) == (b"all", ["7"], (Act("SELECT"),))


def test_acts_that_cannot_be_told_are_opaque() -> None:
    class Raises(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            raise ValueError

    brake = Brake()
    brake.let_through(Request("sql", "x", details=Raises()), None, "", Counted())
    assert brake.next_decided(sql()).request.details["acts"] == (Act(opaque=True),)


def test_a_request_that_nobody_noted_is_opaque_and_judged_from_zero() -> None:
    brake = Brake(values={"rows": [3]})
    brake.passed(7, 0)
    one = brake.next_decided(sql())
    assert (one.request.details["acts"], one.seen, brake.room(one)[0]) == ((Act(opaque=True),), Counted(), 0)
    for _ in range(MAX_DECIDED + 1):
        brake.let_through(sql(), None, "", brake.now)
    assert brake.next_decided(sql()).request.text == "select 1"
    assert brake.next_decided(sql()).request.text == ""  # all before were forgotten


class Rules:
    """A policy that goes by rows, and remembers how it was asked."""

    name = "rules"

    def __init__(self, says: Decision | Exception, values: Sequence[int] = (3,)) -> None:
        self.says, self.values = says, values
        self.asked: list[Counted] = []

    def decide(self, request: PolicyRequest) -> Decision:
        return Decision.deny("not asked so")

    def counters(self) -> Mapping[str, Sequence[int]]:
        return {"rows": self.values}

    def crossed(self, request: PolicyRequest, before: Counted) -> Decision:
        self.asked.append(before)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def test_a_crossing_is_judged_by_every_policy_that_counts_and_doubt_is_a_deny() -> None:
    request = cast("Any", SimpleNamespace())
    silent = cast("Any", SimpleNamespace(name="other", decide=lambda request: Decision.deny("never asked")))
    allows, denies = Rules(ALLOW), Rules(Decision.deny("enough"))
    assert crossed([allows, silent], request, Counted(2)).effect is Effect.ALLOW
    assert allows.asked == [Counted(2)]
    assert crossed([allows, denies], request, Counted()).reason == "enough"
    assert "failed (ValueError)" in crossed([Rules(ValueError("x"))], request, Counted()).reason
    assert counters_of([allows, silent, Rules(ALLOW, (1, 3))]) == {"rows": [1, 3]}
