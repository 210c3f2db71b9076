"""Acts of statements: a table of some hundred, and what must hold of any text at all."""

from __future__ import annotations

import re
import string
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plugins.postgres.tests.acting import said
from recgate.policy import Act
from recgate_postgres.acts import (
    MAX_ACTS,
    MAX_CACHED,
    MAX_CACHED_TEXT,
    MAX_QUICK,
    OPAQUE,
    Reading,
    Readings,
    read,
    read_strictly,
)
from recgate_postgres.grammar import MAX_OPERATORS, MAX_PARSED
from recgate_postgres.parts import MAX_NAMES


def table() -> list[tuple[str, list[str]]]:
    """Read `statements.txt`: a statement a line, its acts indented below it."""
    found: list[tuple[str, list[str]]] = []
    for line in Path(__file__).with_name("statements.txt").read_text().splitlines():
        if line.startswith("    "):
            found[-1][1].append(line.strip())
        elif line and not line.startswith("# "):
            found.append((line, []))
    return found


TABLE = table()
TEXTS = [text for text, _ in TABLE]


def test_the_table_is_long_enough():
    assert len(TABLE) > 300
    assert len(set(TEXTS)) == len(TEXTS)
    assert all(expected for _, expected in TABLE)


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=TEXTS)
def test_the_acts_of_a_statement(text, expected):
    assert [said(act) for act in read_strictly(text).acts] == expected


@pytest.mark.parametrize("text", ["", ";", " ;; ", "-- nothing", "/* nothing */"])
def test_a_text_that_says_nothing_does_nothing(text):
    assert read_strictly(text).acts == (Act(),)


def test_what_runs_besides_and_what_is_named():
    reading = read_strictly(
        "execute a; fetch from c; move c; prepare b as delete from t; declare d cursor for select 1"
    )
    assert reading.runs == (("statement", "a"), ("cursor", "c"))
    assert [(sort, name, [said(act) for act in acts]) for sort, name, acts in reading.made] == [
        ("statement", "b", ["DELETE | table t | t: t | no where"]),
        ("cursor", "d", ["SELECT"]),
    ]
    assert read_strictly("explain analyze execute a").runs == (("statement", "a"),)
    assert read_strictly("explain execute a").runs == ()
    assert read_strictly('execute "A b"').runs == (("statement", "A b"),)


def test_acts_are_said_once():
    assert len(read_strictly("delete from t; delete from t; delete from u").acts) == 2


def test_a_text_of_too_many_acts_is_opaque():
    assert len(read_strictly(";".join(f"drop table t{n}" for n in range(MAX_ACTS))).acts) == MAX_ACTS
    assert read(";".join(f"drop table t{n}" for n in range(MAX_ACTS + 1))).acts == OPAQUE


def test_an_act_of_too_many_names_is_opaque():
    calls = [f"t.c{n}" for n in range(MAX_NAMES + 1)]
    (fits,) = read_strictly(_select(calls[1:])).acts
    assert not fits.opaque
    (act,) = read_strictly(_select(calls)).acts
    assert act.opaque
    assert len(act.columns_read) == MAX_NAMES


def _select(columns: list[str], between: str = ",") -> str:
    return f"select {between.join(columns)} from t"  # noqa: S608 - nothing runs it


@pytest.mark.parametrize(
    "text",
    [
        "select 1" + " " * MAX_PARSED,
        "select 1" + "+1" * MAX_OPERATORS + "+1",
        "select 1\0; drop table t",
        "select '\ud800'",
        "select " + "(" * 5_000 + "1" + ")" * 5_000 + " + (select",
        "select " + "not " * 3_000 + "a",
        "select a" + " collate c" * 6_000,
        "select " + "case when " * 3_000 + "1" + " then 1 end" * 3_000,
        "select 1 " + "union select 1 " * 4_000,
        "select * from " + "(select * from " * 3_000 + "t" + ") s" * 3_000,
        "with a as (" * 4_000 + "select 1" + ") select 1" * 4_000,
        "/*" * 1_900,
    ],
    ids=lambda text: text[:20].strip() + f" ({len(text)})",
)
def test_what_is_too_long_or_too_deep_is_opaque_and_soon(text):
    started = time.perf_counter()
    assert read(text).acts == OPAQUE
    assert time.perf_counter() - started < 5


def test_a_deep_chain_that_people_write_is_read():
    (act,) = read_strictly(_select([f"c{n}" for n in range(200)], " || ")).acts
    assert len(act.columns_read) == 200
    (act,) = read_strictly(_select([f"(c{n} = {n})" for n in range(250)], " and ")).acts
    assert not act.opaque
    many = ",".join(f"(${2 * n + 1}, ${2 * n + 2})" for n in range(3_000))
    (act,) = read_strictly("insert into t (a, b) values " + many).acts  # noqa: S608 - nothing runs it
    assert said(act) == "INSERT | table t | t: t | w: t.a, t.b"


def test_readings_are_kept_by_text_and_bounded():
    readings = Readings()
    first = readings.get("select 1")
    assert readings.get("select 1") is first
    for number in range(MAX_CACHED):
        readings._young[str(number)] = first
    readings.get("select 2")
    assert (len(readings._young), len(readings._old)) == (1, MAX_CACHED + 1)
    assert readings.get("select 1") is first, "what is asked for again stays"
    assert readings.get("x" * (MAX_CACHED_TEXT + 1)) == Reading(OPAQUE)
    assert len(readings._young) == 2, "long texts are not kept"


def test_numbers_make_no_entry_of_their_own_where_they_change_nothing():
    readings = Readings()
    first = readings.fixed(b"select a from t1 where b = 1 limit 5;")
    assert readings.fixed(b"select a from t1 where b = 22 limit 500;") is first
    assert readings.fixed(b"select a from t1 where b = 22 limit 500;") is first, "seen as it stands there"
    assert (len(readings._young), len(readings._numbered), len(readings.quick)) == (1, 1, 2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"select * from t1", b"select * from t2"),
        (b"select * from t_1", b"select * from t_2"),
        (b"copy t to '/a 1'", b"copy t to '/a 2'"),
        (b"copy t to $$/a 1$$", b"copy t to $$/a 2$$"),
        (b'select " 1" from t', b'select " 2" from t'),
    ],
)
def test_what_changes_something_makes_an_entry_of_its_own(one, other):
    readings = Readings()
    assert readings.fixed(one) != readings.fixed(other)
    assert readings.fixed(one) == read(one.decode()).acts
    assert readings.fixed(other) == read(other.decode()).acts


@pytest.mark.parametrize(
    "text", ["execute q", "prepare q as select 1", "select any_value(a) from t", "x" * 3_000]
)
def test_what_hangs_on_more_than_the_text_has_no_quick_answer(text):
    assert Readings().fixed(text.encode()) is None


def test_quick_answers_are_bounded():
    readings = Readings()
    for kept in (readings.quick, readings._numbered):
        kept.update((b"%d" % number, OPAQUE) for number in range(MAX_QUICK))
    readings.fixed(b"select 1")
    assert (len(readings.quick), len(readings._numbered)) == (1, 1)


@pytest.mark.parametrize("number", [1, 77, 10**12])
def test_no_number_changes_what_is_said_of_the_table(number):
    readings = Readings()
    for text in TEXTS:
        readings.fixed(text.encode())
        changed = re.sub(r"\d+", str(number), text)
        acts = readings.fixed(changed.encode())
        assert acts is None or acts == read(changed).acts, changed


@pytest.mark.parametrize(
    ("text", "version", "holds"),
    [
        ("select lower(a) from t", 0, True),
        ("select any_value(a) from t", 18, True),
        ("select any_value(a) from t", 19, True),
        ("select any_value(a) from t", 15, False),
        ("select any_value(a) from t", 0, False),
        ("select json_array(1)", 15, False),
        ("select json_array(1)", 18, True),
        ("select pg_read_file_old('x')", 15, True),
        ("select pg_read_file_old('x')", 18, False),
        ("merge into t using s on true when matched then delete returning merge_action()", 15, False),
    ],
)
def test_a_name_that_a_version_does_not_have_is_not_built_in_there(text, version, holds):
    assert read_strictly(text).holds_for(version) is holds


VOCABULARY = """
( ) , ; . * = + :: $1 ' " -- /* */ $$ \\ t a.b c "Q" 'text' 1 limit null lower( my_f( over ( row( array[ not and or
select insert update delete merge with recursive as from where into values set on using join in any case when then end
explain analyze prepare execute declare cursor for fetch copy to program stdout create function language sql returns
table do drop cascade returning exists union all lateral
"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n"])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(WORDS, max_size=40).map(" ".join))
def test_no_text_raises(text):
    _never_raises(text)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=200))
@example("select \x01")
@example("select 'ä' as \"ß\"")
def test_no_garbage_raises(text):
    _never_raises(text)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(TEXTS),
    st.integers(0, 200),
    st.sampled_from([*string.printable, "", ";", " union ", "(("]),
)
def test_no_text_of_the_table_raises_when_it_is_broken(text, place, wedge):
    cut = text[:place] + wedge + text[place + 1 :]
    _never_raises(cut)
    _never_raises(text[place:])


def _never_raises(text: str) -> None:
    """The strict reader must foresee every tree but those too deep."""
    try:
        reading = read_strictly(text)
    except RecursionError:
        reading = read(text)
    assert isinstance(reading, Reading)
    assert 0 < len(reading.acts) <= MAX_ACTS
