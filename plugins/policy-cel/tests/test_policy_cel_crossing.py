"""Rules about what flows: where they must be asked, and which of them a row makes match."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recgate.decisions import Effect
from recgate.policy import Act
from recgate.policy.braking import Brake, Counted, Decided
from recgate.policy.narrowing import ORDINARY
from recgate.sansio.frames import Request
from recgate.session import Session
from recgate_policy_cel.policy import CelPolicy
from tests.rulehouse import alice, policy, rule, session, sql

COPY = Act("COPY"), Act("WRITE", ("file /x",), kind="file")


def opened(*rules: object) -> Session:
    of = session()
    of.narrow([policy(*rules)])  # pyright: ignore[reportArgumentType] - rules or their conditions
    return of


def crossing(of: Session, rows: int, before: int = 0, request: Request | None = None, nbytes: int = 0):
    """Judge a row that comes when so many have gone out."""
    assert of.brake is not None
    of.brake.rows = of.brake.tally.rows = rows
    decided = Decided(request or sql(), Counted(before, 0, before, 0))
    return of.judge(of.brake.cross(decided, 1, nbytes))


@pytest.mark.parametrize(
    ("when", "values"),
    [
        ("session.rows > 10", {"rows": [11]}),
        ("session.rows >= 10 || session.rows < 3", {"rows": [3, 10]}),
        ("session.rows <= 10", {"rows": [11]}),
        ("session.rows == 10", {"rows": [10, 11]}),
        ("session.rows in [1, 5] && session.rows != 7", {"rows": [1, 2, 5, 6, 7, 8]}),
        ("session.bytes > 5 || session.bytes_out > 9", {"bytes": [6, 10]}),
        ("principal.rows_today > 5 && principal.files_today > 1", {"rows_today": [6], "files_today": [2]}),
        ("session.statements > 5 && session.requests > 7", {"statements": [6]}),
        ('target.labels.env == "test" && session.rows > 10', None),
        ('request.kind == "session" && session.rows > 10', None),
        ("session.requests > 10 && session.seconds > 4", None),
    ],
)
def test_a_comparison_says_where_it_turns(when: str, values: dict[str, list[int]] | None) -> None:
    of = opened(when)
    assert (dict(of.brake.values) if of.brake is not None else None) == values


def test_no_rule_about_what_flows_costs_what_flows_nothing() -> None:
    for rules in ([], ['request.verb == "DROP"'], ["session.statements > 5"], ["session.requests > 5"]):
        of = opened(*rules)
        assert of.brake is None or not of.brake.flowing
    of = opened('"nobody" in principal.groups && session.rows > 5')
    assert (of.brake, of.free) == (None, ORDINARY)


def test_a_rule_matches_at_the_row_that_makes_it_match() -> None:
    of = opened("session.rows > 10")
    assert crossing(of, 9).effect is Effect.ALLOW
    decision = crossing(of, 10)
    assert (decision.effect, decision.rule) == (Effect.DENY, "r0")


def test_what_matched_before_is_not_asked_again() -> None:
    hold = {"hold": {"approvers": ["group:a"]}}
    of = opened(rule('request.verb == "SELECT"', hold, "first"), rule("session.rows > 10", hold, "second"))
    decision = crossing(of, 10)
    assert (decision.effect, decision.rule) == (Effect.HOLD, "second")
    assert "group:a" in decision.reason
    assert crossing(of, 50, before=11).effect is Effect.ALLOW


def test_a_request_is_judged_with_its_facts() -> None:
    of = opened('session.rows > 10 && "public.customers" in request.tables')
    assert crossing(of, 10, request=sql(Act("SELECT", tables=("public.others",)))).effect is Effect.ALLOW
    assert crossing(of, 10, request=sql(Act("SELECT", tables=("public.customers",)))).effect is Effect.DENY
    assert crossing(of, 10, request=sql(Act(opaque=True))).effect is Effect.DENY


def test_acts_of_another_kind_are_judged_by_their_rules() -> None:
    of = opened('request.kind == "file" && session.rows > 10')
    assert crossing(of, 10).effect is Effect.ALLOW
    assert crossing(of, 10, request=sql(*COPY)).effect is Effect.DENY


def test_deny_outweighs_hold_and_alerts_go_besides() -> None:
    of = opened(
        rule("session.rows > 10", "alert", "a"),
        rule("session.rows > 10", {"hold": {"approvers": ["group:a"]}}, "h"),
        rule("session.bytes > 100", "deny", "d"),
    )
    assert crossing(of, 10).rule == "h"
    assert crossing(of, 10, nbytes=101).rule == "d"
    recorder = of.recorder
    alerts = [frame for frame in recorder.frames if b"alert" in frame.data]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
    assert len(alerts) == 2  # pyright: ignore[reportUnknownArgumentType]


def test_an_allow_in_the_middle_may_demand_fewer_rows() -> None:
    of = opened(rule("session.rows > 10", {"allow": {"max_rows": 5}}, "few"))
    of.met.enforces = frozenset(("max_rows",))
    assert of.brake is not None
    assert of.brake.flowing
    assert (crossing(of, 10).effect, of.brake.crossing.decided.max_rows if of.brake.crossing else 0) == (
        Effect.ALLOW,
        5,
    )
    decided = Decided(sql(), Counted(), rows=5)
    decision = of.judge(of.brake.cross(decided, 1, 0))
    assert (decision.effect, decision.rule, decision.reason) == (
        Effect.DENY,
        "few",
        "one statement may give 5 rows here",
    )


def test_what_cannot_be_judged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    of = opened('session.rows > 10 && request.text.contains("x")')
    huge = Request("sql", "x" * (1 << 21), details={"acts": (Act("SELECT"),)})
    decision = crossing(of, 10, request=huge)
    assert (decision.effect, "longer than" in decision.reason) == (Effect.DENY, True)


def test_of_different_statements_every_one_is_counted_where_rules_ask() -> None:
    of = opened('request.kind == "file" && session.statements > 1')
    assert of.free == frozenset()  # or nobody would hear of statements
    assert of.brake is not None
    for text in ("a", "b", "a"):
        of.decide(sql(text=text))
    assert of.brake.count("statements") == 2
    assert of.decide(Request("file", "/x")).effect is Effect.DENY
    of = opened('request.kind == "sql" && session.statements > 1')
    assert [of.decide(sql(text=text)).effect for text in ("a", "a", "b")] == [
        Effect.ALLOW,
        Effect.ALLOW,
        Effect.DENY,
    ]


def test_rules_that_begin_to_count_in_mid_session_end_it() -> None:
    of = opened('"interns" in principal.groups && session.rows > 10')
    of.renewed(replace(alice, groups=frozenset({"interns"})))
    assert of.denied is not None
    assert "connect again" in of.denied.reason
    of = opened('"interns" in principal.groups || session.rows > 10')
    of.renewed(replace(alice, groups=frozenset({"ops"})))
    assert of.denied is None
    assert crossing(of, 10).effect is Effect.DENY


def test_the_whole_policy_names_every_counter() -> None:
    whole = CelPolicy(
        [rule('target.name == "x" && session.rows > 3'), rule("true", {"allow": {"max_rows": 3}}, "m")]
    )
    assert whole.counters() == {"rows": (4,), "max_rows": ()}
    assert isinstance(opened().brake, Brake) is False
