"""Rules that cannot concern a session cost it nothing, and those that can are found again when its groups change."""

from dataclasses import replace

import pytest

from recgate.decisions import ALLOW, Effect
from recgate.policy import Act
from recgate.policy.narrowing import ORDINARY
from recgate.sansio.frames import Request
from recgate_policy_cel import policy as module
from tests.rulehouse import alice, ask, decide, policy, rule, session, sql

REST = ORDINARY - {"file", "session"}


@pytest.mark.parametrize(
    ("when", "free"),
    [
        ('target.labels.env == "test" && request.verb == "DROP"', ORDINARY),
        ('"interns" in principal.groups', ORDINARY),
        ('session.source == "1.1.1.1"', ORDINARY),
        ('request.kind == "session" && session.reason == ""', ORDINARY),
        ('request.kind == "sql" && request.verb == "DROP"', {"shell"}),
        ('request.kind in ["forward", "agent"]', REST),
        ('request.kind == "file"', frozenset()),
        ('request.verb == "DROP"', frozenset()),
        ("session.requests > 1000", frozenset()),
    ],
)
def test_a_session_is_as_free_as_what_is_left_for_it(when, free):
    of = session()
    of.narrow([policy(when)])
    assert of.free == free


def test_no_rules_are_no_policy():
    of = session()
    of.narrow([])
    assert of.free == ORDINARY
    assert of.decide(sql()) is ALLOW


def test_other_policies_judge_everything():
    class Other:
        name = "other"

        def decide(self, request):
            return ALLOW

    of = session()
    of.narrow([policy('request.kind == "shell"'), Other()])
    assert of.free == frozenset()


def test_groups_that_change_bring_rules_back():
    of = session()
    of.narrow([policy('"interns" in principal.groups && request.verb == "DROP"')])
    assert of.decide(sql(Act("DROP"))) is ALLOW
    of.renewed(replace(alice))
    assert of.free == ORDINARY
    of.renewed(replace(alice, groups=frozenset({"interns"})))
    assert of.free == frozenset()
    assert of.decide(sql(Act("DROP"))).effect is Effect.DENY
    of.renewed(alice)
    assert of.decide(sql(Act("DROP"))) is ALLOW


def test_sessions_alike_share_what_is_left_and_others_do_not():
    rules = policy('target.labels.env == "prod" && request.verb == "DROP"')
    one, other = session(), session(replace(alice, name="bob"))
    assert rules._for(one) is rules._for(other)
    test = session(labels={"env": "test"})
    assert rules._for(test) is not rules._for(one)
    assert rules.decide(ask(sql(Act("DROP")), one)).effect is Effect.DENY
    assert rules.decide(ask(sql(Act("DROP")), test)) is ALLOW


def test_what_is_kept_for_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_SETTLED", 5)
    monkeypatch.setattr(module, "MAX_KINDS", 3)
    rules = policy('principal.name == "alice"')
    for number in range(50):
        assert rules.decide(ask(sql(), session(replace(alice, name=f"u{number}")))) is ALLOW
    assert len(rules._settled) == 5
    for number in range(50):
        rules.decide(ask(Request(f"kind{number}", "")))
    assert len(rules._for(session())._kinds) <= 3


def test_a_kind_that_nobody_foresaw_is_judged_too():
    assert policy("true").decide(ask(Request("telepathy", ""))).effect is Effect.DENY


def test_opening_a_session_is_judged_with_what_the_door_knows():
    rules = policy(rule('request.kind == "session" && request.database == "hr" && session.reason == ""'))
    request = Request("session", "prod-db", details={"database": "hr"})
    assert rules.decide(ask(request)).effect is Effect.DENY
    assert rules.decide(ask(request, session(reason="INC-1"))) is ALLOW


READS = Act("READ", ("file /etc/passwd",), kind="file")


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ('request.kind == "file" && request.verb == "READ"', True),
        ('request.kind == "file" && request.verb == "WRITE"', False),
        ('request.kind == "sql" && request.verb == "READ"', False),
        ('request.kind == "sql" && request.verb == "COPY"', True),
        ('request.kind == "shell"', False),
    ],
)
def test_acts_of_another_kind_are_judged_by_the_rules_of_theirs(when, matches):
    assert (decide(when, sql(Act("COPY"), READS)) is not ALLOW) is matches


def test_the_strictest_of_both_kinds_counts():
    held = rule('request.kind == "file"', {"hold": {"approvers": ["group:a"]}}, "held")
    denied = rule('request.kind == "sql" && request.verb == "COPY"', "deny", "denied")
    assert decide(policy(held), sql(Act("COPY"), READS)).effect is Effect.HOLD
    assert decide(policy(held, denied), sql(Act("COPY"), READS)).rule == "denied"
    assert decide(policy(held, denied), sql(Act("SELECT"), READS)).rule == "held"
