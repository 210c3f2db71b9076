"""Deny over hold over allow, alerts besides; doubt is a deny that names the rule; remembered, and bounded."""

import pytest

from recgate.decisions import ALLOW, Alert, Decision, Effect
from recgate.policy import Act
from recgate.sansio.frames import Request
from recgate_policy_cel import judging
from recgate_policy_cel.evaluation import Program
from recgate_policy_cel.judging import MAX_ACTS, MAX_FACTS, MAX_JUDGED
from tests.rulehouse import ask, decide, policy, rule, session, sql

HOLD = {"hold": {"approvers": ["group:leads"], "timeout": "10m"}}
DROP = 'request.kind == "sql" && request.verb == "DROP"'


def test_deny_over_hold_over_allow_whatever_their_order():
    rules = [rule("true", "allow", "a"), rule("true", HOLD, "h"), rule("true", "deny", "d", message="No.")]
    for order in (rules, rules[::-1]):
        assert decide(policy(*order), sql()) == Decision(Effect.DENY, "d", "No.")
    held = decide(policy(rules[1], rules[0]), sql())
    assert (held.effect, held.rule) == (Effect.HOLD, "h")
    assert held.reason == "waits for approval by group:leads, for at most 10 min"
    assert decide(policy(rules[0]), sql()) is ALLOW


def test_alerts_go_with_every_effect():
    alert = rule("true", "alert", "seen", message="Look.")
    for effect in ("allow", "deny", HOLD):
        assert decide(policy(rule("true", effect), alert), sql()).alerts == (Alert("seen", "Look."),)


def test_a_verb_is_found_wherever_in_a_batch_it_stands():
    batch = sql(Act("SELECT"), Act("SELECT"), Act("DROP"))
    assert decide(DROP, batch).effect is Effect.DENY
    assert decide(DROP, sql(Act("SELECT"), Act("SELECT"))) is ALLOW


def test_facts_of_one_act_are_not_mixed_with_anothers():
    when = 'request.verb == "DELETE" && !request.has_where'
    assert decide(when, sql(Act("DELETE", has_where=True), Act("SELECT", has_where=False))) is ALLOW
    assert (
        decide(when, sql(Act("DELETE", has_where=True), Act("DELETE", has_where=False))).effect is Effect.DENY
    )


def test_facts_that_one_rule_looked_at_are_not_anothers():
    unbounded = rule('request.verb == "DELETE" && !request.has_where', "deny", "b")
    batch = sql(Act("DELETE", has_where=False), Act("SELECT", has_where=True))
    for others in (
        [rule(DROP, "deny", "a")],
        [rule('request.verb == "X" && request.has_where', "deny", "a")],
    ):
        assert decide(policy(*others, unbounded), batch).rule == "b"


@pytest.mark.parametrize(
    ("when", "then", "opaque", "matches"),
    [
        (DROP, "deny", None, True),
        (DROP, HOLD, None, True),
        (DROP, {"allow": {"session_time": "1h"}}, None, True),
        (DROP, "alert", None, False),
        (DROP, "alert", "match", True),
        (DROP, "deny", "ignore", False),
        ('request.kind == "shell" && request.verb == "rm"', "deny", None, False),
        ('target.labels.env == "test" && request.verb == "DROP"', "deny", None, False),
        ('!(request.verb == "SELECT")', "deny", None, True),
        ('request.verb == "SELECT" && request.text.contains("x")', "deny", None, False),
        ("request.opaque", "deny", "ignore", True),
    ],
)
def test_what_does_not_tell_is_taken_for_the_worst(when, then, opaque, matches):
    rules = policy(rule(when, then, **({"opaque": opaque} if opaque else {})))
    for request in (Request("sql", "do $$ $$"), sql(Act("SELECT"), Act("DO", opaque=True))):
        assert (decide(rules, request) is not ALLOW) is matches


def test_an_exception_is_a_deny_that_names_the_rule(monkeypatch: pytest.MonkeyPatch):
    def fail(self: object, values: object) -> bool:
        raise ZeroDivisionError("secret detail")

    rules = policy(rule('request.verb == "A"', "alert", "broken"))
    rules.decide(ask(sql()))
    monkeypatch.setattr(Program, "__call__", fail)
    decision = rules.decide(ask(sql(Act("OTHER"))))
    assert (decision.effect, decision.rule) == (Effect.DENY, "broken")
    assert "secret" not in decision.reason


def test_a_rule_that_cannot_be_settled_denies_and_names_itself(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("recgate_policy_cel.policy.remaining", fail)
    decision = decide(policy(rule("true", "allow", "broken")), sql())
    assert (decision.effect, decision.rule) == (Effect.DENY, "broken")


def test_text_that_is_no_text_is_refused():
    assert decide('request.text == "a"', Request("shell", "\ud800")).effect is Effect.DENY


@pytest.mark.parametrize(
    ("when", "request_", "words"),
    [
        ('request.text.contains("x")', Request("shell", "a" * (MAX_JUDGED + 1)), "longer than"),
        ('request.verb == "DROP"', sql(*[Act("SELECT")] * (MAX_ACTS + 1)), "more than 1000 things at once"),
        ('"a" in request.tables', sql(Act("SELECT", tables=("t",) * (MAX_FACTS + 1))), "names more than"),
    ],
)
def test_more_than_rules_look_at_is_refused(when, request_, words):
    decision = decide(when, request_)
    assert decision.effect is Effect.DENY
    assert words in decision.reason


def test_a_request_like_one_before_is_not_evaluated_again(monkeypatch: pytest.MonkeyPatch):
    rules = policy(DROP, 'request.text.contains("secret")').narrowed(session())
    assert rules is not None
    assert rules.judges("sql")
    assert rules.judges("file")
    calls = []
    run = Program.__call__
    monkeypatch.setattr(Program, "__call__", lambda *given: calls.append(1) or run(*given))
    for _ in range(3):
        assert rules.decide(ask(sql(Act("SELECT", tables=("t",))))) is ALLOW
    first = len(calls)
    assert first == 2
    assert rules.decide(ask(sql(Act("DROP"), text="drop table t"))).rule == "r0"
    assert rules.decide(ask(sql(text="secret"))).rule == "r1"
    assert len(calls) > first


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judging, "MAX_REMEMBERED", 10)
    rules = policy('request.text == "5"')
    for number in range(100):
        assert (rules.decide(ask(sql(text=str(number)))) is ALLOW) is (number != 5)
    assert sum(map(len, rules._memory._kept)) <= 10
    rules.decide(ask(sql(text="x" * (judging.MAX_KEY + 1))))
    rules.decide(ask(sql(Act(tables=("t",) * (judging.MAX_KEY_FACTS + 1)))))
    assert all(len(str(key)) < judging.MAX_KEY for kept in rules._memory._kept for key in kept)


def test_of_two_demands_the_stricter_counts():
    rules = policy(
        rule("true", {"allow": {"session_time": "2h", "reason": "required"}}, "a"),
        rule("true", {"allow": {"session_time": "1h"}}, "b"),
    )
    assert decide(rules, sql()).obligations == {"session_time": 3_600.0, "reason": "required"}


def test_the_same_acts_are_known_again_and_others_are_not_taken_for_them(monkeypatch):
    monkeypatch.setattr(judging, "MAX_SAME", 2)
    of = session()
    of.narrow([policy('request.kind == "sql" && request.verb == "DROP"')])
    drop, select = (Act("DROP"),), (Act("SELECT"),)
    for _ in range(3):
        for acts, effect in ((drop, Effect.DENY), (select, Effect.ALLOW), ([Act("DROP")], Effect.DENY)):
            assert of.decide(Request("sql", "x", details={"acts": acts})).effect is effect
    listed = [Act("SELECT")]
    assert of.decide(Request("sql", "x", details={"acts": listed})).effect is Effect.ALLOW
    listed[0] = Act("DROP")
    assert of.decide(Request("sql", "x", details={"acts": listed})).effect is Effect.DENY
