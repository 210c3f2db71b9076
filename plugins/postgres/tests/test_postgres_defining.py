"""Statements that make, alter or drop something."""

from __future__ import annotations

import pytest
from postgast.pg_query_pb2 import Node

from plugins.postgres.tests.handmade import PATH, TRACER, escapes, traced
from recgate_postgres.origin.defining import DEFINING
from recgate_postgres.origin.model import Untraceable

ESCAPES = {
    "alter table customers rename ssn to x": "ALTER TABLE public.customers RENAME: customers.ssn",
    "alter index customers rename to x": (
        "ALTER TABLE public.customers RENAME: customers.id customers.name customers.ssn"
    ),
    "alter index some_index rename to x": "",
    "alter table customers rename to x": (
        "ALTER TABLE public.customers RENAME: customers.id customers.name customers.ssn"
    ),
    "alter table customers set schema other": (
        "ALTER TABLE public.customers SET SCHEMA: customers.id customers.name customers.ssn"
    ),
    "alter table customers add column y text generated always as (ssn) stored": (
        "ALTER TABLE public.customers: customers.id customers.name customers.ssn"
    ),
    "alter table customers alter ssn type text using reverse(ssn)": (
        "ALTER TABLE public.customers: customers.id customers.name customers.ssn"
    ),
    "alter table customers inherit orders": (
        "ALTER TABLE public.customers: customers.id customers.name customers.ssn"
    ),
    "alter table customers add column y text, alter name set not null, owner to x": "",
    "alter view shown rename who to y": "",
    "alter table orders add check (pg_notify('c', note) is null)": "function pg_notify: orders.note",
    "create table x (ssn text check (pg_notify('c', ssn) is null))": "function pg_notify: *.*",
    "create table x (a int default 1, b text check (b > 'a'), c text generated always as (upper(b)) stored)": "",
    "create table x (a int default nextval('s'), b timestamp default now())": "",
    "alter table orders alter note set default upper('x'), add column q int default 1": "",
    "alter table orders add check (note > 'a'), add foreign key (id) references customers (id)": "",
    "alter schema public rename to y": "ALTER SCHEMA RENAME: *.*",
    "create publication p for all tables": "PUBLICATION: *.*",
    "create publication p for table customers": "PUBLICATION: customers.id customers.name customers.ssn",
    "drop table customers": "",
}
REFUSED = {
    "do $$begin end$$": "Do is a statement that can do what nobody here can read",
    "create function f() returns int language plpgsql as 'begin end'": "CreateFunction is a statement",
    "create trigger t before insert on orders for each row execute function opaque()": (
        "CreateTrig is a statement"
    ),
    "create rule r as on insert to orders do also select 1": "Rule is a statement",
    "create extension dblink": "CreateExtension is a statement",
    "create operator ==== (leftarg = int, rightarg = int, function = opaque)": "what a new operator does",
    "create aggregate a (int) (sfunc = opaque, stype = int)": "what a new aggregate does",
    "create cast (int as text) with function opaque(int)": "CreateCast is a statement",
    "create foreign table f (a int) server s": "CreateForeignTable is a statement",
    "create subscription s connection 'x' publication p": "CreateSubscription is a statement",
    "alter system set archive_command = 'x'": "AlterSystem is a statement",
    "load 'x'": "Load is a statement",
    "alter function opaque() rename to safe": "what a function of another name is used for",
    "create table t (a text default opaque())": "public.opaque is not the server's own",
    "create index on customers (opaque(name))": "the function",
    "alter table orders alter note set default opaque()": "public.opaque is not the server's own",
    "alter view shown alter who set default opaque()": "public.opaque is not the server's own",
    "alter domain d set default opaque()": "public.opaque is not the server's own",
    "alter domain d add check (opaque() = value)": "public.opaque is not the server's own",
    "create table p partition of orders for values from (opaque()) to (maxvalue)": "public.opaque",
    "alter table orders attach partition p for values in (opaque())": "public.opaque is not the server's own",
    "create publication p for table orders where (opaque() = note)": "public.opaque is not the server's own",
    "create policy p on customers using (opaque() = ssn)": "the function",
    "create table x (a int); select * from x": "a statement before it changes what names mean",
}


@pytest.mark.parametrize("text", ESCAPES)
def test_what_leaves_otherwise_than_by_a_result(text):
    assert escapes(text) == ESCAPES[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_followed(text):
    with pytest.raises(Untraceable) as raised:
        TRACER.trace(text, PATH)
    assert REFUSED[text] in str(raised.value)


def test_what_changes_names_says_so():
    for text in (
        "create view v as select 1",
        "drop table customers",
        "select 1 as a into x",
        "grant select on orders to x",
    ):
        assert traced(text).changes, text
    for text in ("select 1", "insert into orders values (1)", "vacuum", "set a.b = 1", "truncate orders"):
        assert not traced(text).changes, text


def test_the_kinds_are_the_grammars():
    kinds = {field.message_type.name for field in Node.DESCRIPTOR.fields if field.message_type is not None}
    assert DEFINING.keys() <= kinds
