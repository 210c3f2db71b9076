"""INSERT, UPDATE, DELETE and MERGE."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.handmade import PATH, TRACER, escapes, said, traced
from recgate_postgres.origin.model import ANYTHING, Untraceable

ESCAPES = {
    "insert into orders (note) select ssn from customers": "INSERT into public.orders: customers.ssn",
    "insert into orders (note) values ((select ssn from customers))": (
        "INSERT into public.orders: customers.ssn"
    ),
    "update orders set note = ssn from customers": "UPDATE of public.orders: customers.ssn",
    "update customers set name = ssn": "UPDATE of public.customers: customers.ssn",
    "update customers set ssn = reverse(ssn)": "UPDATE of public.customers: customers.ssn",
    "update customers set ssn = ssn": "",
    "update customers set ssn = 'x', name = upper('y')": "",
    "insert into orders (id) values (1) on conflict (id) do update set note = orders.id": (
        "UPDATE of public.orders: orders.id"
    ),
    "insert into orders values (1, 2, 'x')": "",
    "merge into orders o using customers c on o.id = c.id when matched then update set note = c.ssn": (
        "UPDATE of public.orders: customers.ssn"
    ),
    "merge into orders o using customers c on o.id = c.id when not matched then insert (note) values (c.ssn)": (
        "INSERT into public.orders: customers.ssn"
    ),
    "with x as (insert into orders (note) select ssn from customers) select 1": (
        "INSERT into public.orders: customers.ssn"
    ),
    "update loud set note = 'x'": "a trigger or rule of public.loud: loud.id loud.note",
    "delete from loud": "a trigger or rule of public.loud: loud.id loud.note",
    "insert into loud (note) values ('x')": "",
}
REFUSED = {
    "update pg_statistic set stavalues1 = null": "is the catalog",
}


@pytest.mark.parametrize("text", ESCAPES)
def test_what_leaves_otherwise_than_by_a_result(text):
    assert escapes(text) == ESCAPES[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_followed(text):
    with pytest.raises(Untraceable) as raised:
        TRACER.trace(text, PATH)
    assert REFUSED[text] in str(raised.value)


def test_what_an_error_may_quote():
    assert said(traced("with x as (select ssn::int from customers) select 1").read) == "customers.ssn"
    assert (
        said(traced("update customers set name = null").read) == "customers.id customers.name customers.ssn"
    )
    for text in ("commit", "set constraints all immediate", "reindex table customers", "vacuum full"):
        assert traced(text).read == frozenset((ANYTHING,)), text
    assert said(traced("select * from customers").read) == "customers.id customers.name customers.ssn"
    assert (
        said(traced("select c.* from customers c, orders").read)
        == "customers.id customers.name customers.ssn"
    )
    assert said(traced("select name from customers").read) == "customers.name"
    assert (
        said(traced("create index on customers ((ssn::int))").read)
        == "customers.id customers.name customers.ssn"
    )
