"""A catalog made by hand, and what is traced through it in few words."""

from __future__ import annotations

from recgate_postgres.origin.model import Function, Origin, Relation, Traced, Type
from recgate_postgres.origin.snapshot import Snapshot
from recgate_postgres.origin.tracing import Tracer

__all__ = ["CATALOG", "PATH", "RELATIONS", "TRACER", "columns", "escapes", "relation", "said", "traced"]

PATH = ("pg_catalog", "public")


def relation(oid: int, name: str, columns: str, kind: str = "r", schema: str = "public", **more) -> Relation:
    names = tuple(columns.split())
    return Relation(
        oid, schema, name, kind, names, tuple(range(1, len(names) + 1)), (25,) * len(names), **more
    )


RELATIONS = (
    relation(1, "customers", "id name ssn"),
    relation(2, "orders", "id customer_id note"),
    relation(3, "loud", "id note", active=True),
    relation(
        4,
        "shown",
        "id who",
        "v",
        definition=" SELECT customers.id,\n    customers.ssn\n   FROM public.customers;",
    ),
    relation(5, "round", "a", "v", definition="SELECT a FROM public.round"),
    relation(6, "broken", "a", "v", definition="SELECT opaque()"),
    relation(7, "customers", "id secret", schema="other"),
    relation(8, "pg_statistic", "starelid stavalues1", schema="pg_catalog"),
    relation(9, "pair", "a b", "c"),
    relation(10, "serial", "last_value log_cnt is_called", "S"),
)
FUNCTIONS = (
    Function(20, "public", "opaque", "f", "plpgsql", built_in=False),
    Function(21, "public", "lower", "f", "plpgsql", built_in=False),
    Function(22, "public", "upper", "f", "c", built_in=False),
    Function(23, "pg_catalog", "generate_series", "f", "internal", built_in=True, set_returning=True),
    Function(24, "public", "similarity", "f", "c", built_in=False),
)
OPERATORS = (
    ("public", "===", FUNCTIONS[0]),
    ("public", "+", FUNCTIONS[0]),
    ("public", "<", FUNCTIONS[0]),
    ("public", ">=", FUNCTIONS[0]),
    ("public", "%%%", FUNCTIONS[4]),
)
TYPES = (Type(30, "public", "loaded", "d", active=True), Type(31, "public", "mood", "e"))
CATALOG = Snapshot(18, 1, RELATIONS, FUNCTIONS, OPERATORS, TYPES)
TRACER = Tracer(CATALOG)


def traced(text: str) -> Traced:
    (found,) = TRACER.trace(text, PATH)
    return found


def said(origins: frozenset[Origin]) -> str:
    return " ".join(sorted(f"{each.table}.{each.column}" for each in origins)) or "-"


def columns(found: Traced) -> list[str]:
    """Write the origins of each column of a result."""
    assert found.columns is not None
    return [said(each) for each in found.columns]


def escapes(text: str) -> str:
    """Write the ways on which values leave a statement: `way: origins | …`."""
    return " | ".join(f"{each.way}: {said(each.origins)}" for each in traced(text).escapes)
