"""What is odd about rules is found where it is certain, and nothing is said where it is not."""

import pytest

from recgate.model import TargetInfo
from recgate.testing.lineproto import LineTarget
from recgate_policy_cel.checking import check
from recgate_policy_cel.examining import examine
from recgate_policy_cel.policy import CelPolicy
from tests.rulehouse import rule

PROD = TargetInfo("prod-db", "postgres", "db", 5432, LineTarget(), {"env": "prod"})
HOLD = {"hold": {"approvers": ["group:a"]}}


def found(*rules, targets=(PROD,)):
    return [
        f"{each.rule}: {each.what}" for each in examine([(each, check(each.when)) for each in rules], targets)
    ]


@pytest.mark.parametrize(
    "when",
    [
        'request.kind == "sql" && request.kind == "shell"',
        'request.kind == "sql" && request.verb == "drop"',
        'request.kind == "sql" && request.verb in ["DRОP", "drop"]',  # noqa: RUF001 - Cyrillic
        'request.verb == "A" && request.verb == "B"',
        "session.requests > 10 && session.requests < 5",
        "session.hour > 23",
        "session.weekday == 0",
        "session.denied < 0",
        'target.labels.env == "prod" && target.labels.env == "test"',
        "request.has_where && !request.has_where",
        "target.port > 5 && target.port < 5",
        'request.text.matches("a") && !request.text.matches("a")',
        "false",
    ],
)
def test_a_rule_that_contradicts_itself_is_found(when):
    (said,) = found(rule(when))
    assert "can never match" in said
    assert ("upper-case ASCII" in said) is ('"drop"' in when)


@pytest.mark.parametrize(
    "when",
    [
        'request.kind == "sql" && request.verb == "DROP"',
        'request.kind == "shell" && request.verb == "rm"',
        "session.hour > 22 || session.hour < 6",
        "session.requests > 10 && session.requests < 12",
        'request.kind == "sql" && request.text.matches("a") && !request.text.matches("b")',
        'request.kind == "sql" && request.tables.exists(t, t == "a") && !request.tables.exists(t, t == "b")',
        'request.kind == "sql" && ' + " || ".join(f'request.verb == "V{n}"' for n in range(60)),
        " && ".join(f'request.text.contains("{n}")' for n in range(40)),
    ],
)
def test_nothing_is_said_of_a_rule_that_may_match(when):
    assert found(rule(when)) == []


def test_a_rule_for_targets_that_are_not_there_is_found():
    (said,) = found(rule('target.labels.env == "porduction"'))
    assert "matches no configured target" in said
    assert found(rule('target.labels.env == "porduction"'), targets=()) == []


def test_a_rule_that_another_one_hides_is_found():
    wide = rule('request.kind == "sql" && request.verb in ["DROP", "ALTER"]', name="wide")
    narrow = rule(
        'request.kind == "sql" && request.verb == "DROP" && target.labels.env == "prod"', name="narrow"
    )
    (said,) = found(wide, narrow)
    assert said == "narrow: is never heard of: wide denies whatever it matches"
    assert found(narrow, wide) == []
    held = rule(narrow.when, HOLD, "held")
    assert found(held, wide) == ["held: is never heard of: wide denies whatever it matches"]
    assert found(wide, rule(narrow.when, "alert", "seen")) == []
    assert found(rule(wide.when, "alert", "wide"), narrow) == []


def test_what_ignores_the_opaque_does_not_hide_what_matches_it():
    when = 'request.kind == "sql" && request.verb == "DROP"'
    assert found(rule(when, name="lax", opaque="ignore"), rule(when, name="strict")) == []
    assert found(rule(when, name="strict"), rule(when, name="lax", opaque="ignore")) != []


def test_a_rule_that_also_matches_what_it_says_nothing_of_is_found():
    (said,) = found(rule('request.verb != "SELECT"'))
    assert "also matches requests of the kind `session`" in said
    assert found(rule('request.verb == "DROP"')) == []
    assert found(rule('request.kind == "sql" && request.verb != "SELECT"')) == []
    assert found(rule("session.bytes_out > 10")) == []
    assert found(rule('request.verb != "SELECT"', "alert")) == []


def test_a_policy_looks_at_its_own_rules():
    assert [each.rule for each in CelPolicy([rule("false", name="never")]).findings([PROD])] == ["never"]
