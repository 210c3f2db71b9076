"""Names, level by level, as the server looks them up."""

from __future__ import annotations

import pytest

from recgate_postgres.origin.model import Origin, Untraceable
from recgate_postgres.origin.scope import (
    NOTHING,
    Columns,
    Item,
    Scope,
    Value,
    column_of,
    combined,
    either,
    worked_out,
)

A, B, C = (Value(frozenset((Origin("s", "t", name),)), plain=True) for name in "abc")


def test_the_innermost_level_decides():
    outer = Scope(None, [Item("o", Columns(("x", "y"), (A, B)))])
    inner = Scope(outer, [Item("i", Columns(("x",), (C,)))])
    assert inner.bare("x") == C
    assert inner.bare("y") == B
    assert inner.bare("z") is None
    assert inner.item("o") == outer.items[0]
    assert inner.item("nobody") is None


def test_a_column_without_a_certain_name_may_be_any():
    outer = Scope(None, [Item("o", Columns(("x",), (A,)))])
    inner = Scope(outer, [Item("i", Columns((None, "y"), (C, B)))])
    assert inner.bare("x") == Value(A.origins | C.origins, plain=True)
    assert inner.bare("y") == B


def test_so_may_columns_whose_number_is_not_known():
    loose = Columns(("x",), (A,), B)
    outer = Scope(None, [Item("o", Columns(("z",), (C,)))])
    assert Scope(outer, [Item("i", loose)]).bare("z") == Value(B.origins | C.origins, plain=True)
    assert column_of(Item("i", loose), "x") == A
    assert loose.renamed(["p", "q"]).values[0].origins == A.origins | B.origins


def test_columns_of_the_system_hold_nothing():
    scope = Scope(None, [Item("t", Columns(("x",), (A,)), table=True)])
    assert scope.bare("ctid") == NOTHING
    assert column_of(scope.items[0], "xmin") == NOTHING
    assert column_of(scope.items[0], "nothing") is None


def test_a_schema_tells_tables_of_one_name_apart():
    scope = Scope(None, [Item("t", Columns(("x",), (A,)), "one"), Item("t", Columns(("x",), (B,)), "two")])
    assert scope.item("t", "two") == scope.items[1]
    assert scope.item("t", "three") is None


def test_what_is_worked_out_is_no_columns_value():
    assert worked_out([A, B]) == Value(A.origins | B.origins)
    assert either([A, B]).plain
    assert not either([A, NOTHING]).plain
    assert worked_out([]) == NOTHING


def test_combining_is_by_place():
    both = combined(Columns(("x", "y"), (A, B)), Columns(("p", "q"), (C, B)))
    assert both.names == ("x", "y")
    assert both.values[0].origins == A.origins | C.origins
    uneven = combined(Columns(("x",), (A,)), Columns((), (), B))
    assert uneven.rest == Value(A.origins | B.origins)


def test_more_names_than_columns():
    with pytest.raises(Untraceable):
        Columns(("x",), (A,)).renamed(["p", "q"])
