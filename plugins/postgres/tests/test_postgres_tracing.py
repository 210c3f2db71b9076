"""Limits: what is too deep, too large or no statement at all is not followed, and raises nothing else."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.handmade import PATH, TRACER, columns, traced
from recgate_postgres.origin.model import Untraceable

DEEP = {
    "parentheses": ("select ", "(" * 3_000, "1", ")" * 3_000),
    "calls": ("select ", "abs(" * 900, "1", ")" * 900),
    "subqueries": ("select 1 from ", "(select 1 from " * 400, "customers", ") x" * 400),
    "with": ("with recursive ", ", ".join(f"t{n} as (table t{n + 1})" for n in range(400)), " select 1"),
    "stars": (
        "select ",
        ", ".join(["*"] * 5_000),
        " from customers a, customers b, customers c, customers d",
    ),
}


@pytest.mark.parametrize("form", DEEP)
def test_what_is_too_deep_or_too_large_is_not_followed(form):
    if form == "parentheses":  # the grammar drops them
        assert TRACER.trace("".join(DEEP[form]), PATH)
        return
    with pytest.raises(Untraceable):
        TRACER.trace("".join(DEEP[form]), PATH)


def test_a_long_chain_is_followed():
    chain = " || ".join(["ssn"] * 300)
    assert columns(traced(f"select {chain} from customers"))[0] == "customers.ssn"  # noqa: S608
    text = " union all ".join(["select ssn from customers"] * 150)
    assert columns(traced(text))[0] == "customers.ssn"


@pytest.mark.parametrize(
    "text", ["select 'x", "selec 1", "\0", "select \ud800", "(" * 70_000, "select t.* from x"]
)
def test_garbage_raises_nothing_else(text):
    with pytest.raises(Untraceable):
        TRACER.trace(text, PATH)
