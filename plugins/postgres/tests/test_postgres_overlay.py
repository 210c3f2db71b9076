"""A session's temporary objects in front of everybody's: seen by name, and followed nowhere."""

from __future__ import annotations

from recgate_postgres.origin.model import Function, Relation, Type
from recgate_postgres.origin.overlay import HERE, TEMPORARY, Overlay
from recgate_postgres.origin.snapshot import Snapshot

TABLE = Relation(20_000, "public", "people", "r", ("id",), (1,), (23,))
CHILD = Relation(20_001, "public", "more", "r", ("id",), (1,), (23,), parents=(20_000,))
FUNCTION = Function(20_002, "public", "f", "f", "sql", built_in=False)
TYPE = Type(23, "pg_catalog", "int4", "b")
UNDER = Snapshot(18, 7, (TABLE, CHILD), (FUNCTION,), (("public", "+++", FUNCTION),), (TYPE,))
PATH = ("pg_temp_3", "pg_catalog", "public")


def over(*relations: str, types: tuple[str, ...] = ()) -> Overlay:
    return Overlay(UNDER, PATH, (frozenset(relations), frozenset(types)))


def test_what_everybody_sees_shows_through() -> None:
    seen = over()
    assert seen.relation("public", "people") is seen.relation_of(20_000) is TABLE
    assert seen.children(20_000) == (CHILD,)
    assert seen.functions("public", "f") == seen.operators("public", "+++") == (FUNCTION,)
    assert seen.operator("+++")
    assert seen.type_named("pg_catalog", "int4") is seen.type_of(23) is TYPE
    assert (seen.version, seen.generation) == (18, 7)


def test_temporary_ones_are_in_their_own_schema_by_each_of_its_names() -> None:
    seen = over("people", types=("people", "word"))
    for schema in (HERE, "pg_temp", "pg_temp_3"):
        found = seen.relation(schema, "people")
        assert found is not None
        assert found.kind == TEMPORARY
        assert seen.relation(schema, "more") is None
        kind = seen.type_named(schema, "word")
        assert kind is not None
        assert kind.active
        assert seen.type_named(schema, "int4") is None
    assert seen.relation("public", "people") is TABLE
    assert seen.relation("pg_temp_4", "people") is None


def test_what_was_traced_with_others_is_not_taken_for_this() -> None:
    assert (
        len({over().generation, over("a").generation, over("b").generation, over(types=("a",)).generation})
        == 4
    )
    assert over("a").generation == over("a").generation
