"""Functions in SQL: their bodies are followed, where it is certain what they mean."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.handmade import RELATIONS, columns, said
from recgate_postgres.origin.calling import MAX_CALLS, shape
from recgate_postgres.origin.model import Function, Traced, Type, Untraceable
from recgate_postgres.origin.snapshot import Snapshot
from recgate_postgres.origin.tracing import Tracer

PATH = ("pg_catalog", "public")


def function(oid: int, name: str, rest: str) -> Function:
    head, _, returns = name.partition(" RETURNS ")
    definition = f"CREATE OR REPLACE FUNCTION public.{head} RETURNS {returns} LANGUAGE sql {rest}"
    return Function(oid, "public", name.partition("(")[0], "f", "sql", built_in=False, definition=definition)


FUNCTIONS = (
    function(50, "ssn_of(n int) RETURNS text", "AS 'select ssn from customers where id = n'"),
    function(51, "atomic() RETURNS text", "BEGIN ATOMIC SELECT ssn FROM public.customers; END"),
    function(52, "elsewhere() RETURNS text", "SET search_path TO 'other' AS 'select secret from customers'"),
    function(53, "mine() RETURNS text", "SET search_path TO '$user' AS 'select ssn from customers'"),
    function(54, "loop(n int) RETURNS int", "BEGIN ATOMIC SELECT public.loop(n); END"),
    function(55, "writes(t text) RETURNS void", "AS 'insert into orders (note) values (t)'"),
    function(56, "shows(t text) RETURNS text", "AS 'select set_config(''a.b'', $1, false)'"),
    function(57, "makes() RETURNS void", "AS 'create table x (a int)'"),
    function(58, "outer_of() RETURNS text", "BEGIN ATOMIC SELECT public.ssn_of(1); END"),
    function(59, "broken() RETURNS text", "AS 'selec 1'"),
    function(60, "temporary() RETURNS text", "SET search_path TO 'public', 'pg_temp' AS 'table customers'"),
    function(61, "twice(t text) RETURNS text", "AS 'select ssn from customers'"),
    function(63, "of_row(o orders) RETURNS text", "AS 'select max(ssn) from customers'"),
    function(64, "defaulted(t text DEFAULT public.atomic()) RETURNS text", "AS 'select t'"),
    Function(62, "other", "twice", "f", "c", built_in=False),
)
TYPES = (Type(25, "pg_catalog", "text", "b"), Type(26, "public", "customers", "c", relation=1))
TRACER = Tracer(Snapshot(18, 1, RELATIONS, FUNCTIONS, (), TYPES))


def traced(text: str, path: tuple[str, ...] = PATH) -> Traced:
    (found,) = TRACER.trace(text, path)
    return found


def test_a_body_says_what_a_call_gives():
    assert columns(traced("select ssn_of(1)")) == ["customers.id customers.ssn"]
    assert columns(traced("select atomic() || 'x'")) == ["customers.ssn"]
    found = traced("select x from ssn_of((select max(id) from orders)) x")
    assert columns(found) == ["customers.id customers.ssn orders.id"]


def test_a_path_of_its_own_says_what_its_names_mean():
    found = traced("select elsewhere()").columns or ()
    assert [{each.schema for each in origins} for origins in found] == [{"other"}]


def test_temporary_tables_go_first_unless_they_are_said_to_go_last():
    with pytest.raises(Untraceable, match="temporary"):
        traced("select elsewhere()", ("pg_temp_3", *PATH))
    assert "customers.ssn" in columns(traced("select temporary()", ("pg_temp_3", *PATH)))[0]


def test_defaults_of_parameters_and_of_columns():
    assert columns(traced("select defaulted()")) == ["customers.ssn"]
    (escape,) = traced("alter table orders alter note set default ssn_of(1)").escapes
    assert (escape.way, said(escape.origins)) == ("what a definition keeps", "customers.id customers.ssn")


def test_what_a_body_writes_leaves():
    (escape,) = traced("select writes(ssn) from customers").escapes
    assert (escape.way, said(escape.origins)) == ("INSERT into public.orders", "customers.ssn")
    (escape,) = traced("select shows(name) from customers").escapes
    assert (escape.way, said(escape.origins)) == ("function set_config", "customers.name")
    assert traced("select writes('x')").escapes == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select mine()", "hangs on who calls it"),
        ("select loop(1)", "goes too deep"),
        ("select makes()", "Create cannot be followed"),
        ("select outer_of()", "hangs on where it is called"),
        ("execute p(ssn_of(1))", "EXECUTE is given values of columns"),
        ("select broken()", "the body of public.broken cannot be read"),
        ("create function f() returns int language sql as 'select 1'", "CreateFunction is a statement"),
    ],
)
def test_what_is_not_followed(text, words):
    with pytest.raises(Untraceable, match=words):
        traced(text)


def test_one_of_several_that_is_not_followed_is_enough():
    with pytest.raises(Untraceable, match=r"other\.twice"):
        traced("select twice('x')", (*PATH, "other"))
    tracer = Tracer(TRACER.catalog, frozenset(("public.twice",)))
    with pytest.raises(Untraceable, match=r"other\.twice"):
        tracer.trace("select twice('x')", (*PATH, "other"))


@pytest.mark.parametrize(
    ("returns", "columns"),
    [
        ("f() RETURNS text", ()),
        ("f(OUT a int, OUT b int) RETURNS record", ("a", "b")),
        ("f() RETURNS TABLE (a int)", ("a",)),
        ("f() RETURNS SETOF public.customers", ("id", "name", "ssn")),
        ("f() RETURNS record", None),
        ("f() RETURNS public.nothing", None),
    ],
)
def test_shapes(returns, columns):
    assert shape(TRACER.catalog, function(1, returns, "AS 'select 1'")) == columns


def test_behind_a_row_it_is_called_as_well():
    assert columns(traced("select o.of_row from orders o")) == [
        "customers.ssn orders.customer_id orders.id orders.note"
    ]
    assert "customers.ssn" in columns(traced("select (o).of_row from orders o"))[0]


def test_calls_inside_of_calls_end():
    chain = [
        function(100 + n, f"f{n}() RETURNS int", f"BEGIN ATOMIC SELECT public.f{n + 1}(); END")
        for n in range(MAX_CALLS + 1)
    ]
    catalog = Snapshot(18, 1, RELATIONS, [*chain, function(200, "last() RETURNS int", "AS 'select 1'")])
    with pytest.raises(Untraceable, match="too deep"):
        Tracer(catalog).trace("select f0()", PATH)
