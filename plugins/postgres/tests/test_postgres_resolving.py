"""Names of an act with their schemas: both forms where it is certain, else every one that may be meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recgate.policy import Act
from recgate_postgres.acts import read
from recgate_postgres.origin.model import Relation
from recgate_postgres.origin.resolving import resolved
from recgate_postgres.origin.snapshot import Snapshot


def table(oid: int, schema: str, name: str) -> Relation:
    return Relation(oid, schema, name, "r", ("id",), (1,), (23,))


CATALOG = Snapshot(
    18,
    7,
    (
        table(1, "public", "customers"),
        table(2, "alt", "customers"),
        table(3, "public", "a.b"),
        table(4, "alt", "own"),
    ),
    (),
)
PATH = ("pg_catalog", "public")


def facts(text: str, path: tuple[str, ...] | None = PATH) -> Act:
    (act,) = resolved(read(text).acts, CATALOG, path)
    return act


@pytest.mark.parametrize(
    ("text", "path", "tables"),
    [
        ("delete from customers", PATH, ("customers", "public.customers")),
        ("delete from public.customers", PATH, ("public.customers", "customers")),
        ("delete from alt.customers", PATH, ("alt.customers",)),
        ("delete from customers", ("alt", *PATH), ("customers", "alt.customers")),
        ("delete from customers", None, ("customers", "public.customers", "alt.customers")),
        ("delete from alt.customers", None, ("alt.customers",)),
        ("delete from own", PATH, ("own",)),
        ("delete from own", None, ("own", "alt.own")),
        ('delete from "a.b"', PATH, ('"a.b"', 'public."a.b"')),
        ('delete from public."a.b"', PATH, ('public."a.b"', '"a.b"')),
        ("delete from nowhere", PATH, ("nowhere",)),
    ],
)
def test_tables(text: str, path: tuple[str, ...] | None, tables: tuple[str, ...]) -> None:
    assert facts(text, path).tables == tables


def test_columns_and_objects_go_with_their_tables() -> None:
    act = facts("update customers set id = 2 where id = 1")
    assert set(act.columns_written) == {"customers.id", "public.customers.id"}
    assert set(act.columns_read) == {"customers.id", "public.customers.id"}
    assert facts("drop table customers").objects == ("table customers", "table public.customers")
    assert facts("select * from customers").columns_read == ("customers.*", "public.customers.*")


def test_without_a_catalog_what_names_a_table_is_opaque() -> None:
    acts = read("select 1; delete from customers").acts
    assert [act.opaque for act in resolved(acts, None, None)] == [False, True]


def test_an_act_of_too_many_names_is_opaque() -> None:
    many = Snapshot(18, 7, (table(n, f"s{n}", "t") for n in range(1, 2_000)), ())
    (act,) = resolved((replace(Act("DELETE"), tables=("t",)),), many, None)
    assert act.opaque
    assert len(act.tables) == 1_024
