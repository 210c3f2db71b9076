"""Conditions that leave something out, and those that only look like it."""

from __future__ import annotations

import pytest

from recgate_postgres.grammar import Json, syntax
from recgate_postgres.narrowing import bounds, narrows


def select(rest: str) -> Json:
    parsed = syntax("select * from t " + rest)  # noqa: S608 - nothing runs it
    assert parsed is not None
    return parsed[0]["stmt"]["SelectStmt"]


@pytest.mark.parametrize(
    ("condition", "narrowed"),
    [
        ("a = 1", True),
        ("a = b", True),
        ("a is not null", True),
        ("a in (1, 2)", True),
        ("exists (select 1 from u)", True),
        ("a = 1 and true", True),
        ("not (a = 1)", True),
        ("a = 1 or b = 2", True),
        ("true", False),
        ("1 = 1", False),
        ("'a' like 'a'", False),
        ("$1", False),
        ("now() > '2000-01-01'", False),
        ("a = a", False),
        ("t.a = t.a and 1 < 2", False),
        ("a = 1 or true", False),
        ("a = 1 or b = b", False),
        ("not false", False),
        ("true and (true or a = 1)", False),
        ("a is null or a is not null", False),
        ("a is null or b is not null", True),
        ("a = 1 or not a = 1", False),
        ("a between a and a", False),
        ("a between 1 and a", True),
        ("a in (1, a)", False),
        ("a not in (1, a)", True),
        ("a = any (array[a])", False),
        ("a <> any (array[a])", True),
        ("a = any (array[b])", True),
        ("t.a = public.t.a", False),
        ("a = t.a", False),
        ("t.a = u.a", True),
        ("exists (select 1)", False),
        ("(select true)", False),
        ("a = (select 1)", True),
        ("a in (select b from u)", True),
        ("(a = 1) is not null", False),
        ("(a = 1) is null", True),
        ("lower(a) is not null", True),
        ("coalesce(true, a = 1)", False),
        ("coalesce(a = 1, true)", True),
        ("case when true then true else a = 1 end", False),
        ("case when a = 1 then true else false end", True),
        ("case a when 1 then true end", True),
    ],
)
def test_a_condition(condition, narrowed):
    assert narrows(select("where " + condition)["whereClause"]) is narrowed


def test_no_condition_narrows_nothing():
    assert not narrows(None)
    assert not narrows({})


@pytest.mark.parametrize(
    ("limit", "bounded"),
    [
        ("limit 1", True),
        ("limit $1", True),
        ("fetch first row only", True),
        ("limit all", False),
        ("limit null", False),
        ("limit null::int::bigint", False),
        ("offset 1", False),
    ],
)
def test_a_limit(limit, bounded):
    assert bounds(select(limit).get("limitCount")) is bounded
