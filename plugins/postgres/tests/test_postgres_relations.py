"""What a name means, and what the relation behind it gives."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.handmade import PATH, TRACER, columns, relation, traced
from recgate_postgres.origin.model import ANYTHING, Untraceable
from recgate_postgres.origin.snapshot import Snapshot
from recgate_postgres.origin.tracing import trace


def test_the_path_decides():
    (found,) = TRACER.trace("select * from customers", ("pg_catalog", "other", "public"))
    assert columns(found) == ["customers.id", "customers.secret"]
    assert {each.schema for origins in found.columns or () for each in origins} == {"other"}
    with pytest.raises(Untraceable, match="may be a temporary table"):
        TRACER.trace("select * from customers", ("pg_temp_3", "pg_catalog", "public"))
    assert TRACER.trace("select * from public.customers", ("pg_temp_3", "pg_catalog"))
    with pytest.raises(Untraceable, match="not known"):
        TRACER.trace("select * from customers", ())


def test_statistics_may_be_anything():
    assert traced("select stavalues1 from pg_statistic").columns == (frozenset((ANYTHING,)),)


def test_views_that_read_views_are_read_once():
    views = [
        relation(100 + n, f"v{n}", "a", "v", definition=f"TABLE public.v{n + 1} UNION TABLE public.v{n + 1}")
        for n in range(40)
    ]
    catalog = Snapshot(18, 1, [*views, relation(140, "v40", "a")], ())
    (found,) = trace("select * from v0", catalog, PATH)
    assert columns(found)[0] == "v40.a"


def test_a_family_too_large_is_held_for_anything():
    children = [relation(1_000 + n, f"c{n}", "a", parents=(1,)) for n in range(2_100)]
    catalog = Snapshot(18, 1, [relation(1, "p", "a", "p"), *children], ())
    (found,) = trace("select a from p", catalog, PATH)
    assert found.columns == (frozenset((ANYTHING,)),)
