"""What a text's form says of the search path: nothing that may turn it is taken for something that cannot."""

from __future__ import annotations

import pytest

from recgate_postgres.origin.effects import Effect, alters, steps_of


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("", ""),
        ("begin; start transaction isolation level serializable; savepoint s; release s", "aside " * 4),
        (
            "set application_name = 'x'; set local work_mem = '1MB'; set transaction read only; show all",
            "aside " * 4,
        ),
        ("set search_path = a", "turns"),
        ("set SEARCH_PATH to default", "turns"),
        ("set local search_path = a", "turns"),
        ("set schema 'a'", "turns"),
        ("reset search_path", "turns"),
        ("reset all", "turns"),
        ("discard all", "turns"),
        ("discard temp", "turns"),
        (
            "set role alice; reset role; set session authorization alice; reset session authorization",
            "turns " * 4,
        ),
        (
            "commit; end; rollback; abort; rollback to s; prepare transaction 'x'; commit prepared 'x'",
            "ends " * 7,
        ),
        ("create temp table t (a int); create temporary table u as select 1", "temporary " * 2),
        ("create table t (a int); create table u as select 1; select 1 into temp v", "runs " * 3),
        ("select 1; insert into t values (1); do $$begin end$$; call p(); execute q; fetch c", "runs " * 6),
        (
            "create temp view v as select 1; create schema s; drop table t; truncate t; copy t to stdout",
            "runs " * 5,
        ),
        ("create function pg_temp.f() returns int language sql as 'select 1'", "runs"),
        ("no statement", "runs"),
        ("begin; no statement", "runs"),
        ("begin\0", "runs"),
    ],
)
def test_each_statement_has_its_effect(text: str, effects: str) -> None:
    assert [step.effect for step in steps_of(text)] == [Effect(word) for word in effects.split()]


def test_a_long_text_is_read_and_not_kept() -> None:
    text = "set search_path = a" + " " * 20_000
    assert steps_of(text)[0].effect is Effect.TURNS
    assert steps_of(text) is not steps_of(text)


@pytest.mark.parametrize(
    "text", ["create table t (a int)", "drop view v", "select 1 into t", "do $$begin end$$", "?"]
)
def test_what_may_alter_what_names_mean(text: str) -> None:
    assert alters(steps_of(text)[0])


@pytest.mark.parametrize(
    "text", ["select 1", "insert into t values (1)", "begin", "set role x", "create temp table t ()"]
)
def test_what_alters_nothing_by_itself(text: str) -> None:
    assert not alters(steps_of(text)[0])
