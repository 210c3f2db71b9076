"""A catalog as real servers give it, to a role that owns nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from plugins.postgres.tests.surveying import answers, snapshot
from recgate_postgres.origin.model import Catalog, Relation
from recgate_postgres.origin.snapshot import Snapshot, UnreadableCatalog
from tests.peers.postgres import PASSWORD, Cluster

FIRST = """
create function public.twice_of(text, text) returns text language sql as 'select $1 || $2';
create function public.seen(text) returns bool language plpgsql as 'begin return true; end';
create type public.pair as (a int, b text);
create function public.told(public.pair) returns text language sql as 'select ($1).b';
"""
SCHEMA = r"""
create schema "Häuser";
create table "Häuser"."Be""wohner" (id int primary key, "E-Mail" text, gone int, ssn text);
alter table "Häuser"."Be""wohner" drop column gone;
create view public.people as select b."E-Mail" as mail, lower(ssn) from "Häuser"."Be""wohner" b;
create materialized view public.kept as select * from public.people;
create table public.logs (at date, what text) partition by range (at);
create table public.logs_now partition of public.logs for values from ('2026-01-01') to ('2027-01-01');
create table public.shown (ssn text, last text generated always as (right(ssn, 4)) stored);
create function public.twice(text) returns text language sql as 'select $1 || $1';
create function public.twice(int) returns int language sql immutable begin atomic return $1 * 2; end;
create function public.hidden(text) returns setof text language plpgsql as 'begin return next $1; end';
create aggregate public.glued(text) (sfunc = textcat, stype = text);
create operator public.||| (leftarg = text, rightarg = text, function = public.twice_of);
create domain public.plain as text check (value <> '');
create domain public.leaky as text check (public.seen(value));
create type public.mood as enum ('good', 'bad');
create cast (public.pair as text) with function public.told(public.pair);
create function public.noted() returns trigger language plpgsql as 'begin return new; end';
create table public.watched (a int);
create trigger t after insert on public.watched execute function public.noted();
create table public.ruled (a int);
create rule r as on delete to public.ruled do instead nothing;
create table public.fenced (a text);
alter table public.fenced enable row level security;
create policy p on public.fenced using (public.seen(a));
create policy q on public.ruled using (a > 1);
"""


@pytest.fixture(scope="module", params=["debian", "wheel"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server with a database `surveyed` that holds one of everything."""
    server: Cluster = request.getfixturevalue(request.param)
    server.psql("create database surveyed")
    server.psql(FIRST + SCHEMA, database="surveyed")
    yield server
    server.psql("drop database surveyed with (force)")


@pytest.fixture(scope="module")
def catalog(cluster: Cluster) -> Snapshot:
    return snapshot(cluster, "surveyed")


def found(catalog: Catalog, name: str, schema: str = "public") -> Relation:
    relation = catalog.relation(schema, name)
    assert relation is not None
    assert catalog.relation_of(relation.oid) is relation
    return relation


def test_the_server_and_its_own_things(cluster: Cluster, catalog: Snapshot) -> None:
    assert catalog.version in (15, 18)
    assert catalog.version == int(cluster.psql("show server_version_num")) // 10_000
    lower = catalog.functions("pg_catalog", "lower")
    assert lower
    assert all(each.built_in for each in lower)
    assert found(catalog, "pg_class", "pg_catalog").columns[:2] == ("oid", "relname")
    assert "pg_statistic" in found(catalog, "pg_stats", "pg_catalog").definition
    text = catalog.type_named("pg_catalog", "text")
    assert text is not None
    assert (text.kind, text.active) == ("b", False)
    assert not any(name[0] == "pg_toast" for name in catalog._relations)


def test_columns_are_those_that_are_left_with_their_numbers(catalog: Snapshot) -> None:
    table = found(catalog, 'Be"wohner', "Häuser")
    assert (table.kind, table.columns, table.numbers) == ("r", ("id", "E-Mail", "ssn"), (1, 2, 4))
    assert [catalog.type_of(oid).name for oid in table.types] == ["int4", "text", "text"]  # type: ignore[union-attr]


def test_a_view_says_its_query_with_every_schema(catalog: Snapshot) -> None:
    view = found(catalog, "people")
    assert (view.kind, view.columns) == ("v", ("mail", "lower"))
    assert '"Häuser"."Be""wohner"' in view.definition
    assert "public.people" in found(catalog, "kept").definition


def test_partitions_generated_columns_and_what_runs_by_itself(catalog: Snapshot) -> None:
    logs = found(catalog, "logs")
    assert [each.name for each in catalog.children(logs.oid)] == ["logs_now"]
    assert found(catalog, "logs_now").parents == (logs.oid,)
    assert found(catalog, "shown").generated == (("last", '"right"(ssn, 4)'),)
    active = {name for name in ("watched", "ruled", "shown", "people") if found(catalog, name).active}
    assert active == {"watched", "ruled"}
    assert [found(catalog, name).guarded for name in ("fenced", "ruled")] == [True, False]


def test_functions_that_are_not_the_servers(catalog: Snapshot) -> None:
    twice = catalog.functions("public", "twice")
    assert [(each.kind, each.language, each.built_in) for each in twice] == [("f", "sql", False)] * 2
    assert "CREATE OR REPLACE FUNCTION public.twice(text)" in twice[0].definition
    assert "select $1 || $1" in twice[0].definition
    assert "RETURN ($1 * 2)" in twice[1].definition
    (hidden,) = catalog.functions("public", "hidden")
    assert (hidden.language, hidden.set_returning, hidden.definition) == ("plpgsql", True, "")
    assert catalog.functions("public", "glued")[0].kind == "a"
    assert catalog.functions("public", "lower") == ()


def test_operators_and_types_that_run_a_function_of_somebodys(catalog: Snapshot) -> None:
    (function,) = catalog.operators("public", "|||")
    assert (function.name, function.built_in) == ("twice_of", False)
    assert catalog.operators("pg_catalog", "||") == ()
    assert (catalog.operator("|||"), catalog.operator("||")) == (True, False)
    types = {name: catalog.type_named("public", name) for name in ("plain", "leaky", "pair", "mood")}
    assert {name: each.kind for name, each in types.items() if each} == {
        "plain": "d", "leaky": "d", "pair": "c", "mood": "e",
    }  # fmt: skip
    assert {name for name, each in types.items() if each and each.active} == {"leaky", "pair"}
    pair = types["pair"]
    assert pair is not None
    assert catalog.relation_of(pair.relation) is found(catalog, "pair")
    array = catalog.type_named("public", "_mood")
    assert array is not None
    assert array.element == types["mood"].oid  # type: ignore[union-attr]


def test_a_schema_of_a_user_shadows_nothing_that_is_asked(cluster: Cluster, catalog: Snapshot) -> None:
    """Not by the role's own path either, nor by an operator that would fit better than the server's."""
    cluster.psql(
        """
        create schema shadow;
        create function shadow.never() returns bool language plpgsql as $$ begin raise 'called'; end $$;
        create table shadow.pg_class (oid oid, relname name);
        create function shadow.pg_get_viewdef(oid) returns text language sql as $$ select 'forged' $$;
        create function shadow.le(name, text) returns bool language sql as 'select shadow.never()';
        create operator shadow.!~ (leftarg = name, rightarg = text, function = shadow.le);
        grant usage on schema shadow to public;
        create role shadowed login password :'password';
        alter role shadowed set search_path = shadow, pg_catalog;
        """,
        "-v",
        f"password={PASSWORD}",
        database="surveyed",
    )
    try:
        seen = snapshot(cluster, "surveyed", "shadowed")
        assert found(seen, "people") == found(catalog, "people")
        assert seen.operators("shadow", "!~")
    finally:
        cluster.psql("drop schema shadow cascade; drop role shadowed", database="surveyed")


def test_the_number_changes_with_what_is_there_and_with_nothing_else(cluster: Cluster) -> None:
    first = snapshot(cluster, "surveyed")
    assert snapshot(cluster, "surveyed").generation == first.generation
    cluster.psql("create view public.later as select 1 as one", database="surveyed")
    later = snapshot(cluster, "surveyed")
    cluster.psql("create or replace view public.later as select 2 as one", database="surveyed")
    assert len({first.generation, later.generation, snapshot(cluster, "surveyed").generation}) == 3
    cluster.psql("drop view public.later", database="surveyed")
    assert snapshot(cluster, "surveyed").generation == first.generation


def test_a_role_that_may_not_see_the_catalog_gives_none(cluster: Cluster) -> None:
    cluster.psql("revoke select on pg_catalog.pg_proc from public", database="surveyed")
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            answers(cluster, "surveyed")
    finally:
        cluster.psql("grant select on pg_catalog.pg_proc to public", database="surveyed")


def test_temporary_things_of_other_sessions_are_not_in_it(cluster: Cluster) -> None:
    with psycopg.connect(
        host=str(cluster.socket), port=cluster.port, user="postgres", dbname="surveyed"
    ) as other:
        other.execute("create temp table people (a int)")
        other.commit()
        assert not [
            name for name in snapshot(cluster, "surveyed")._relations if name[0].startswith("pg_temp")
        ]


SOUND = [
    [json.dumps([150018, "UTF8"])],
    [json.dumps([20000, "public", "t", "r", [["a", 1, 25]], None, None, False, None, False])],
    [json.dumps([20001, "public", "f", "f", "sql", False, False, "CREATE FUNCTION"])],
    [json.dumps(["public", "+++", 20001])],
    [json.dumps([25, "pg_catalog", "text", "b", 0, 0, 0, False])],
]


def test_what_is_sound_is_read() -> None:
    catalog = Snapshot.of(SOUND)
    assert catalog.relation("public", "t") == Relation(20000, "public", "t", "r", ("a",), (1,), (25,))


@pytest.mark.parametrize(
    ("section", "row"),
    [
        (0, "[]"),
        (0, '[120022, "UTF8"]'),
        (0, '["150018", "UTF8"]'),
        (1, "{"),
        (1, "[" * 100_000),
        (1, '[1, "public"]'),
        (1, '[1, null, "t", "r", null, null, null, false, null, false]'),
        (1, '[1, "public", "t", "r", [["a"]], null, null, false, null, false]'),
        (1, '[1, "public", "t", "r", [["a", 1, 25]], null, null, null, null, false]'),
        (2, '[true, "public", "f", "f", "sql", false, false, ""]'),
        (3, '["public", "+++", 5]'),
        (4, '[25, "pg_catalog", "text", "b", 0, 0, 0, 1]'),
    ],
)
def test_what_is_not_is_no_catalog(section: int, row: str) -> None:
    results = [list(rows) for rows in SOUND]
    results[section] = [row]
    with pytest.raises(UnreadableCatalog):
        Snapshot.of(results)


def test_a_section_short_is_no_catalog() -> None:
    with pytest.raises(UnreadableCatalog, match="4 answers"):
        Snapshot.of(SOUND[:4])
