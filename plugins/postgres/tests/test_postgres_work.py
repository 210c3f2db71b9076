"""Functions and operators that are not followed, and names that somebody answers for."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.handmade import CATALOG, PATH, TRACER, columns, said, traced
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.tracing import Tracer

REFUSED = {
    "select opaque()": "public.opaque is not the server's own",
    "select lower(name) from customers": "public.lower is not the server's own",
    "select 1 from orders where opaque() = note": "public.opaque is not the server's own",
    "select * from opaque()": "public.opaque is not the server's own",
    "select similarity(name, 'x') from customers": "public.similarity is not the server's own",
    "select (c).opaque from customers c": "public.opaque is not the server's own",
    "select c.opaque from customers c": "public.opaque is not the server's own",
    "select nowhere(1)": "the function nowhere is not known",
    "select dblink('x', 'y')": "the function dblink is not known",
    "select pg_read_file('x')": "the function pg_read_file gives out what cannot be followed",
    "select lo_import('/etc/passwd')": "the function lo_import gives out what cannot be followed",
    "select pg_logical_slot_get_changes('s', null, null)": "gives out what cannot be followed",
    "select 1 === 2": "the operator === is not the server's own",
    "select id between 1 and 2 from orders": "the operator >= is not the server's own",
    "select name < 'a' from customers": "the operator < is not the server's own",
    "select 1 + 2": "the operator + is not the server's own",
    "select name <%> name from customers": "the operator <%> is not the server's own",
    "select name::loaded from customers": "runs functions that are not the server's own",
    "call opaque()": "public.opaque is not the server's own",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_followed(text):
    with pytest.raises(Untraceable) as raised:
        TRACER.trace(text, PATH)
    assert REFUSED[text] in str(raised.value)


def test_names_that_somebody_answers_for():
    for trusted in ("opaque", "public.opaque"):
        tracer = Tracer(CATALOG, frozenset((trusted,)))
        (found,) = tracer.trace("select opaque(ssn) from customers", PATH)
        assert columns(found)[0] == "customers.ssn"
    with pytest.raises(Untraceable):
        Tracer(CATALOG, frozenset(("other.opaque",))).trace("select opaque()", PATH)


def test_an_extension_in_c_may_add_to_what_the_server_has():
    assert columns(traced("select upper(ssn) from customers"))[0] == "customers.ssn"
    assert columns(traced("select ssn %%% 'x' from customers"))[0] == "customers.ssn"
    assert said(traced("select 1 from customers where ssn::mood = 'x'").predicates) == "customers.ssn"
