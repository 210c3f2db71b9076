"""Conditions are checked against the model when they are read: names with the nearest, types, patterns."""

import pytest

from recgate_policy_cel.checking import check
from recgate_policy_cel.model import FIELDS, Nature
from recgate_policy_cel.syntax import ConditionError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("request.verbb == 'DROP'", "Did you mean `request.verb`?"),
        ("reqest.verb == 'DROP'", "Did you mean `request`?"),
        ("target.label == 'x'", "Did you mean `target.labels`?"),
        ("principal.Groups == []", "Did you mean `principal.groups`?"),
        ("session.statement > 1", "Did you mean `session.statements`?"),
        ("principal.rows_today", "can only be compared with a number"),
        ("request", "is not a value"),
        ("request.verb", "true or false, this is of type string"),
        ("request.verb == 1", "string and int are never equal"),
        ("request.has_where < true", "bool has no order"),
        ("request.tables < request.tables", "no order"),
        ("request.verb in request.text", "`in` looks into lists"),
        ("1 in request.tables", "int is never in list(string)"),
        ("request.verb in []", "empty list"),
        ('request.verb in ["A", 1]', "string and int in it"),
        ("request.has_where in [true]", "no lists of bool"),
        ("!request.verb", "`!` wants bool"),
        ("request.verb && true", "`&&` wants bool"),
        ("true ? request.verb : 'a'", "true or false only"),
        ("request.verb ? true : false", "`?` wants bool"),
        ("request.tables.contains('a')", "list.exists(x, x.contains(…))"),
        ("request.verb.startswith('a')", "Did you mean `startsWith`?"),
        ("request.verb.lowerAscii() == 'a'", "(?i)"),
        ("sise(request.verb) > 1", "Did you mean `size`?"),
        ("request.verb.contains()", "takes 1 argument"),
        ("request.verb.matches('(')", "the pattern is not right"),
        ("request.verb.matches(request.text)", "a pattern is a string in the rule itself"),
        ("request.verb.matches('" + "a" * 1_001 + "')", "longer than 1000"),
        ("request.verb.matches('((((x{100}){100}){100}){100})')", "the pattern is not right"),
        ("request.tables.exists(t, request.tables.exists(u, t == u))", "cannot stand in another"),
        ("request.tables.exists(request, true)", "name of its variable"),
        ("request.verb.exists(x, true)", "of a list of strings"),
        ("request.tables.exists(t, t)", "`exists` wants bool"),
        ("request.tables.map(t, t) == []", "there is no function `map`"),
        ("target.labels == target.labels", "labels"),
        ("target.labels[request.verb] == 'a'", "named by a string"),
        ("target.labels.exists(l, true)", "labels"),
        ("has(request.verb)", "`has` asks for labels"),
        ("request.tables[0] == 'a'", "only labels are looked up"),
        ("session.requests == session.denied", "only be compared with a number"),
        ("size(request.text) > session.bytes_in", "only be compared with a number"),
        ("session.hour in request.tables", "only be compared with a number"),
        ("session.requests > '1'", "only be compared with a number"),
        ("request.kind == 'sqll'", "Did you mean `sql`?"),
        ("request.kind in ['sql', 'SQL']", "there is no kind of request `SQL`"),
        ("request.kind == 'ѕql'", "there is no kind of request"),  # noqa: RUF001 - Cyrillic
    ],
)
def test_what_is_wrong_is_said_with_what_was_meant(text, words):
    with pytest.raises(ConditionError, match=r"column [0-9]+: ") as refused:
        check(text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        'target.labels.env == "prod" && request.kind == "sql" && request.verb in ["DROP", "TRUNCATE"]',
        '"dba" in principal.groups && !("oncall" in principal.groups)',
        'request.tables.exists(t, t.startsWith("public.")) || request.tables.all(t, t != "a")',
        'has(target.labels.env) && "env" in target.labels && target.labels["data-class"] == ""',
        "session.hour >= 22 || session.hour < 6 || session.weekday in [6, 7] || 9 < session.hour",
        "size(request.text) > 10000 || request.tables.size() > 3",
        r'request.text.matches(r"(?i)\bpg_sleep\b") || matches(request.text, "a")',
        'request.has_where ? request.verb == "A" : request.verb == "B"',
        'request.verb < "M" && request.port >= 1024',
        "true",
    ],
)
def test_what_is_right_is_taken(text):
    check(text)


def test_every_field_of_the_model_can_be_asked_for():
    of = {"string": "{0} == 'session'", "int": "{0} > 1", "bool": "{0}", "list(string)": "'a' in {0}"}
    for field in FIELDS.values():
        check(of.get(field.type, "{0}.a == 'x'").format(field.path))
    assert {field.nature for field in FIELDS.values()} == set(Nature)
