"""Functions of somebody's own: what their bodies do is what the request does, as two real servers know them."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.acting import said
from plugins.postgres.tests.surveying import snapshot
from recgate.policy import Act
from recgate_postgres.acts import read
from recgate_postgres.origin.following import MAX_FOLLOWED, Following
from recgate_postgres.origin.model import Function
from recgate_postgres.origin.snapshot import Snapshot
from tests.peers.postgres import Cluster

PATH = ("pg_catalog", "public")
DATABASE = "following"

SCHEMA = f"""
create schema other;
create table victim (id int primary key, n int);
create table other.victim (id int);
create type mood as enum ('calm');
create type pair as (a int, b mood);
create domain small as int check (value < 9);
create function computes(a int, b int) returns int language sql as 'select a + b';
create function reads() returns bigint language sql as 'select count(*) from victim where n > 1';
create function nuke() returns int language sql as 'delete from victim; select 1';
create function atomic() returns int begin atomic delete from other.victim; select 1; end;
create function outer_nuke() returns int language sql as 'select public.nuke()';
create function loops(n int) returns int language sql as 'select 1';
create or replace function loops(n int) returns int language sql as 'select public.loops(n - 1) + public.nuke()';
create function fixed() returns int language sql set search_path = other as 'delete from victim; select 1';
create function empty_path() returns int language sql set search_path = '' as 'delete from other.victim; select 1';
create function lent() returns int language sql security definer as 'delete from victim; select 1';
create function escapes() returns text language sql as $$select 'a\\b'$$;
create function defaulted(a int default nuke()) returns int language sql as 'select a';
create function drops() returns void language sql as 'drop table if exists victim';
create function sends() returns void language sql as 'copy (select 1) to program ''true''';
create function does() returns void language sql as 'do ''begin delete from victim; end''';
create function runs(t text) returns xml language sql as 'select query_to_xml(t, true, true, '''')';
create function runs_known() returns xml
  language sql as 'select query_to_xml(''delete from victim returning 1'', true, true, '''')';
create procedure clears() language sql as 'truncate victim';
create function plain() returns int language plpgsql as 'begin delete from victim; return 1; end';
create function calls_plain() returns int language sql as 'select plain()';
create function twice(a int) returns int language sql as 'select a';
create function twice(a text) returns int language plpgsql as 'begin return 1; end';
create function other.twice(a int) returns int language sql as 'delete from public.victim; select 1';
create function lower(a victim) returns text language sql as 'delete from victim; select ''x''';
create function upper(a victim) returns text language plpgsql as 'begin return 1; end';
create function gone(v victim) returns int language sql as 'delete from victim; select 1';
create function id(v text) returns int language plpgsql as 'begin return 1; end';
create function adds(a int, b int) returns int language sql as 'select a + b';
create operator ### (leftarg = int, rightarg = int, function = adds);
create function bad(a int, b int) returns int language plpgsql as 'begin return 1; end';
create operator #!# (leftarg = int, rightarg = int, function = bad);
create operator ~~~ (leftarg = tsquery, rightarg = text, function = ts_rewrite);
create function to_mood(a int) returns mood language sql as 'select ''calm''::mood';
create type cast_to as enum ('x');
create function to_cast(a int) returns cast_to language sql as 'select ''x''::cast_to';
create cast (int as cast_to) with function to_cast(int);
create aggregate many(int) (sfunc = adds, stype = int, initcond = '0');
create schema many;
{
    "".join(
        f"create function many.f{n}() returns int language sql as 'select many.f{n + 1}()';"
        for n in range(MAX_FOLLOWED, 0, -1)
    )
}
"""  # noqa: S608 - constants


@pytest.fixture(scope="module", params=["debian", "wheel"])
def catalog(request: pytest.FixtureRequest) -> Snapshot:
    server: Cluster = request.getfixturevalue(request.param)
    server.psql(f"drop database if exists {DATABASE}")
    server.psql(f"create database {DATABASE}")
    server.psql("set check_function_bodies = off;" + SCHEMA, database=DATABASE)
    return snapshot(server, DATABASE)


def acts(catalog: Snapshot, text: str, path: tuple[str, ...] | None = PATH) -> list[Act]:
    return list(Following(catalog).resolved(read(text).acts, path))


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("select computes(1, 2)", ["SELECT"]),
        ("select reads()", ["SELECT | t: victim, public.victim"]),
        ("select nuke()", ["DELETE | table victim, table public.victim", "SELECT"]),
        ("select public.nuke()", ["DELETE | table victim, table public.victim"]),
        ('select "nuke"()', ["DELETE | table victim"]),
        ("select atomic()", ["DELETE | table other.victim | t: other.victim"]),
        ("select outer_nuke()", ["DELETE | table victim"]),
        ("select loops(3)", ["DELETE | table victim"]),
        ("select fixed()", ["DELETE | table victim, table other.victim"]),
        ("select empty_path()", ["DELETE | table other.victim"]),
        ("select lent()", ["DELETE | table victim, table public.victim, table other.victim"]),
        ("select defaulted()", ["DELETE | table victim"]),
        ("select drops()", ["DROP | table victim"]),
        ("select sends()", ["WRITE (file) | program true"]),
        ("call clears()", ["TRUNCATE | table victim"]),
        ("select runs_known()", ["DELETE | table victim"]),
        ("select * from nuke()", ["DELETE | table victim"]),
        ("insert into victim values (nuke(), 1)", ["INSERT | table victim", "DELETE | table victim"]),
        ("create view v as select nuke()", ["CREATE | view v", "DELETE | table victim"]),
        ("select lower(v) from victim v", ["DELETE | table victim"]),
        ("select v.gone from victim v", ["DELETE | table victim"]),
        ("select (v).gone from victim v", ["DELETE | table victim"]),
        ("select gone(v) from victim v", ["DELETE | table victim"]),
        ("select v.id from victim v", ["SELECT | t: victim"]),
        ("select 1 ### 2", ["SELECT"]),
        ("select 1 operator(public.###) 2", ["SELECT"]),
        ("select array_agg(n)::mood[] from victim", ["SELECT"]),
        ("select n::text::mood from victim", ["SELECT"]),
        ("select row(1, 'calm')::pair", ["SELECT"]),
        ("select n::small from victim", ["SELECT"]),
        ("select to_mood(1)", ["SELECT"]),
    ],
)
def test_what_a_body_does_is_known(catalog: Snapshot, text: str, then: list[str]) -> None:
    found = acts(catalog, text)
    assert not any(act.opaque for act in found)
    for each in then:
        assert any(said(act).startswith(each) for act in found), [said(act) for act in found]


@pytest.mark.parametrize(
    "text",
    [
        "select plain()",
        "select calls_plain()",
        "select nothing_of_the_kind()",
        "select nowhere.nuke()",
        "select twice(1)",  # its other one is in another language
        "select upper(v) from victim v",
        "select does()",
        "select runs('delete from victim')",
        "select escapes()",  # a session may read it otherwise
        "select pg_temp.nuke()",
        "select 1 #!# 2",
        "select 1 operator(public.#!#) 2",
        "select 1 <~> 2",
        "select 'a'::tsquery ~~~ 'delete from victim'",
        "select n::cast_to from victim",
        "select n::nothing from victim",
        "select many(n) from victim",
        "select many.f1()",  # more than are followed
        "do 'begin end'",
        "create trigger t before insert on victim for each row execute function plain()",
    ],
)
def test_what_cannot_be_read_stays_opaque(catalog: Snapshot, text: str) -> None:
    assert any(act.opaque for act in acts(catalog, text))


@pytest.mark.parametrize("text", ["select nuke()", "select public.nuke()", "select 1 ### 2"])
def test_where_the_path_is_not_certain_nothing_is_followed(catalog: Snapshot, text: str) -> None:
    (act,) = acts(catalog, text, None)
    assert act.opaque


def test_the_path_says_which_function_it_is(catalog: Snapshot) -> None:
    known = acts(catalog, "select twice(1)", ("pg_catalog", "other"))
    assert [act.verb for act in known if not act.opaque] == ["SELECT", "DELETE", "SELECT"]
    assert any(act.opaque for act in acts(catalog, "select nuke()", ("pg_catalog", "other")))


def test_own_types_of_a_session_go_before_others(catalog: Snapshot) -> None:
    (act,) = acts(catalog, "select n::mood from victim", ("", *PATH))
    assert act.opaque
    (act,) = acts(catalog, "select n::public.mood from victim", ("", *PATH))
    assert not act.opaque


def test_a_name_that_one_version_alone_has_is_not_taken_for_built_in() -> None:
    body = "CREATE OR REPLACE FUNCTION public.f() RETURNS uuid LANGUAGE sql AS 'select uuidv7()'"
    function = Function(20_000, "public", "f", "f", "sql", built_in=False, definition=body)
    for version, opaque in ((15, True), (18, False)):
        found = Following(Snapshot(version, 1, (), (function,))).resolved(read("select f()").acts, PATH)
        assert any(act.opaque for act in found) is opaque
