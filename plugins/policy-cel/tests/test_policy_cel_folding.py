"""What is known is settled, and what a condition could be at most never misses what it is."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate_policy_cel.checking import check
from recgate_policy_cel.evaluation import Program
from recgate_policy_cel.folding import fold, upper
from recgate_policy_cel.model import Nature
from recgate_policy_cel.tree import FALSE, TRUE, Constant, reads

STATIC = {"target_name": "db", "principal_groups": ("dba",), "label_656e76": "prod", "has_656e76": True}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('target.labels.env == "prod"', TRUE),
        ('target.labels.env == "test" && request.verb == "DROP"', FALSE),
        ('"dba" in principal.groups || request.verb == "DROP"', TRUE),
        ('!("dba" in principal.groups) && request.has_where', FALSE),
        ('target.name == "db" ? request.has_where : request.has_limit', check("request.has_where")),
        ('target.labels.env == "prod" && request.verb == "DROP"', check('request.verb == "DROP"')),
        ("request.verb == target.name", check('request.verb == "db"')),
        ("request.verb in principal.groups", check('request.verb in ["dba"]')),
        ("has(target.labels.env) && session.hour > 3", check("session.hour > 3")),
    ],
)
def test_what_is_known_is_settled(text, left):
    assert fold(check(text), STATIC) == left


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ('request.verb == "DROP"', TRUE),
        ('!(request.verb == "DROP")', TRUE),
        ('request.kind == "sql" && request.verb == "DROP"', check('request.kind == "sql"')),
        ('request.kind == "sql" || request.verb == "DROP"', TRUE),
        ('!(request.kind == "sql" || request.has_where)', check('!(request.kind == "sql")')),
        (
            'request.has_where ? request.text == "a" : request.text == "b"',
            check('request.text == "a" || request.text == "b"'),
        ),
        ('request.tables.exists(t, t == "a") && request.opaque', check("request.opaque")),
        ('request.tables.all(t, t == "a")', TRUE),
        ('request.text == "a"', check('request.text == "a"')),
    ],
)
def test_facts_that_are_not_known_are_the_worst_that_they_could_be(text, most):
    found = upper(check(text))
    assert found == most
    assert not reads(found, Nature.FACT)


ATOMS = [
    'request.verb == "A"',
    "request.has_where",
    'request.text == "x"',
    'request.kind == "sql"',
    "request.opaque",
]


def conditions():
    atoms = st.sampled_from(ATOMS)
    return st.recursive(
        atoms,
        lambda below: st.one_of(
            st.tuples(below, below).map(lambda two: f"({two[0]} && {two[1]})"),
            st.tuples(below, below).map(lambda two: f"({two[0]} || {two[1]})"),
            below.map(lambda one: f"!({one})"),
            st.tuples(below, below, below).map(lambda three: f"({three[0]} ? {three[1]} : {three[2]})"),
        ),
        max_leaves=8,
    )


def holds(condition, values):
    return condition.value if isinstance(condition, Constant) else Program.of(condition)(values)


@given(conditions())
def test_the_most_is_never_less_than_what_is(text):
    condition = check(text)
    most = upper(condition)
    names = ("request_verb", "request_has_where", "request_text", "request_kind", "request_opaque")
    for row in product(("A", "B"), (True, False), ("x", "y"), ("sql", "shell"), (True, False)):
        values = dict(zip(names, row, strict=True))
        said = holds(condition, values)
        assert not said or holds(most, values)
        assert holds(fold(condition, {name: values[name] for name in names[2:4]}), values) is said
