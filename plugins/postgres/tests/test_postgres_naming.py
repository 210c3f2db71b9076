"""Columns that nobody has named are called what the server calls them, or nobody says."""

from __future__ import annotations

import psycopg
import pytest

from plugins.postgres.tests.test_postgres_origin_truth import entries
from recgate_postgres.grammar import syntax
from recgate_postgres.origin.naming import column_name

FEATURES = [
    "array[1]",
    "coalesce(1,2)",
    "row(1,2)",
    "case_when",
    "(select_one)",
    "exists(select",
    "1)",
    "array(select",
    "1)",
    "(select",
    "1)",
    "1+1",
    "'x'",
    "1=1",
    "null::int",
    "(array[1])[1]",
    "nullif(1,2)",
    "greatest(1,2)",
    "least(1,2)",
    "count(*)",
    "lower('X')",
    "'x'::text",
    "cast(1",
    "as",
    "numeric(3,1))",
    "current_date",
    "localtimestamp",
    "current_user",
    "'a'||'b'",
    "not(true)",
    "1is_null",
    "(row(1,2)).f1",
    "'x'collate\"C\"",
    "'x'::\"char\"",
    "current_timestamp(2)",
    "case(when)1",
    "position('a'in'b')",
    "extract(year)from",
    "date_trunc('day',now())",
    "interval'1day'",
    "date'2020-01-01'",
    "1in(1,2)",
    "1=any(array[1])",
    "(1,2)<(2,3)",
    "json_build_object('a',1)",
    "'{}'::jsonb->'a'",
    "trim('x')",
    "substring('abc',1,2)",
    "1.5",
    "true",
    "$$x$$",
]


def called(text: str) -> list[str | None]:
    (statement,) = syntax(text) or []
    return [
        each["ResTarget"].get("name", column_name(each["ResTarget"]["val"]))
        for each in statement["stmt"]["SelectStmt"]["targetList"]
    ]


def test_names_are_the_servers(wheel):
    with psycopg.connect(
        host=str(wheel.socket), port=wheel.port, user="postgres", dbname="postgres"
    ) as connection:
        certain = 0
        for text in [*FEATURES, *(each for query, _ in entries() for each in expressions(query))]:
            try:
                with connection.transaction(force_rollback=True):
                    cursor = connection.execute(f"select {text}".encode())
            except psycopg.Error:
                continue
            (name,) = called(f"select {text}")
            if name is not None:
                assert [name] == [each.name for each in cursor.description or []], text
                certain += 1
        assert certain > 40


def expressions(query: str) -> list[str]:
    """Give a query as an expression: its name is that of its own column."""
    return [f"exists ({query})", f"array ({query})"] if query.startswith("select") else []


@pytest.mark.parametrize(
    "text", ["select (select 1)", "select xmlelement(name a)", "select json_value('1', '$')"]
)
def test_a_name_that_is_not_certain_may_be_any(text):
    assert called(text) == [None]
