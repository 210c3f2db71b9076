"""What is made to do harm later, and where the catalog of the target is read: functions whose bodies are known."""

# ruff: noqa: E501 - one attack a line

from __future__ import annotations

import pytest

from tests.evasion.house import Attack, House
from tests.evasion.wire import query

MADE = {
    "a cast of what is built in": "create cast (text as int) with function run(text); select 'truncate victim'::text::int",
    "a cast by itself": "create cast (text as int) with function run(text) as implicit; select pg_catalog.int4pl('truncate victim'::text, 1)",
    "a cast on its way into a column": "create cast (text as int) with function run(text) as assignment; insert into spare (id) values ('truncate victim'::text)",
    "an operator of a name that is built in": "create operator || (leftarg = int, rightarg = int, function = nuke2); select 1 || 2",
    "an operator before": "create operator @#@ (rightarg = text, function = run); select @#@ 'truncate victim'",
    "an aggregate of their own": "create aggregate boom (int) (sfunc = nuke2, stype = int, initcond = '0'); select boom(1)",
    "a function under a name that is built in": "alter function run(text) rename to upper; set search_path = public, pg_catalog; select upper('truncate victim')",
    "a routine likewise": "alter routine run(text) rename to initcap; set search_path = public, pg_catalog; select initcap('truncate victim')",
    "an aggregate likewise": "alter aggregate anuke(int) rename to max; set search_path = public, pg_catalog; select max(1)",
    "a function in another schema": "create schema z; alter function nuke() set schema z; select z.nuke()",
    "a body by hand": "update pg_proc set prosrc = 'delete from victim; select 1' where proname = 'harmless'; select harmless()",
    "a bound of a partition": "create table p (a int) partition by range (a); create table p1 partition of p for values from (nuke()) to (10)",
    "a constraint": "insert into spare values (1, 1); alter table spare add constraint c check (nuke() = 1)",
    "a default for what is there": "insert into spare values (1, 1); alter table spare add x int default nuke()",
    "a default of a domain": "create domain d as int default nuke(); create table made (a d, b int); insert into made (b) values (1)",
    "a view in a schema that is made": "create schema z create view w as select public.sqlnuke(); table z.w",
    "a table in a schema that is made": "create schema z create table zt (a int default public.nuke(), b int); insert into z.zt (b) values (1)",
    "a function that returns": "create function mine() returns int return sqlnuke(); select mine()",
    "a function in other words": "create function mine() returns int language 'sql' as E'dele\\x74e from victim; select 1'; select mine()",
    "a rule of several": "create rule r as on insert to spare do (select 1; delete from victim); insert into spare values (1)",
    "a constraint trigger": "create constraint trigger t after insert on spare for each row execute function wnuke(); insert into spare values (1)",
    "a program behind a foreign table": "create extension file_fdw; create server f foreign data wrapper file_fdw; create foreign table ft (a text) server f options (program 'touch {marker}; echo 1'); select * from ft",
    "a parameter of EXECUTE": "prepare p(int) as select $1; execute p(nuke())",
    "CREATE TABLE AS EXECUTE": "prepare p as select nuke(); create table made as execute p",
    "a held cursor": "begin; declare c binary cursor with hold for select nuke(); commit",
    "BETWEEN itself": "delete from victim where id between id and id",
    "in itself": "delete from victim where id in (1, id)",
    "equal to any of itself": "delete from victim where id = any (array[id])",
    "itself with its schema": "delete from victim where victim.id = public.victim.id",
    "null or not": "delete from victim where id is null or id is not null",
    "one thing or not": "delete from victim where id = 1 or not id = 1",
    "a comparison that is not null": "delete from victim where (id = 1) is not null",
    "a query of nothing": "delete from victim where exists (select 1)",
    "a query of true": "delete from victim where (select true)",
    "a case of true": "delete from victim where case when true then true else id = 1 end",
    "COALESCE of true": "delete from victim where coalesce(true, id = 1)",
}  # fmt: skip

SEVERAL = {
    "a body by hand, after it was known": (
        "select harmless()",
        "update pg_catalog.pg_proc set prosrc = 'delete from victim; select 1' where proname = 'harmless'",
        "select harmless()",
    ),
    "a body by hand in WITH": (
        "with u as (update pg_proc set prosrc = 'delete from victim; select 1' where proname = 'harmless' returning 1) table u",
        "select harmless()",
    ),
    "a name that was another's": (
        "select harmless()",
        "alter function harmless() rename to gentle; alter function sqlnuke() rename to harmless",
        "select harmless()",
    ),
    "a name that was another's, in a transaction": (
        "begin",
        "alter function harmless() rename to gentle",
        "alter function sqlnuke() rename to harmless",
        "select harmless()",
        "commit",
    ),
    "a path": (
        "set search_path = keep, public",
        "alter function sqlnuke() set schema keep",
        "alter function keep.sqlnuke() rename to harmless",
        "select harmless()",
    ),
}  # fmt: skip

KNOWN = {
    "a function in SQL": "select sqlnuke()",
    "a procedure": "call pnuke()",
    "a function in PL/pgSQL": "select nuke()",
    "an operator": "select 1 === 2",
    "a cast": "select cast('x'::text as evil)",
    "an aggregate": "select anuke(1)",
    "a runner": "select run('truncate victim')",
    "a function in a default": "alter table spare alter n set default sqlnuke(); insert into spare default values",
}


def check(house: House, attack: Attack, target: str) -> None:
    assert house.harm(attack), "it does no harm without the gateway either, so it proves nothing"
    heard, left = house.attempt(attack, target)
    rows = "[(1, 10), (2, 20), (3, 30)]"
    assert rows in left, f"got through; heard {heard.errors}"
    assert not house.marker.exists()
    assert b"(recgate session " in heard.data


def tries(table: dict[str, str]) -> list[Attack]:
    return [Attack(name, text) for name, text in table.items()]


@pytest.mark.parametrize("target", ["verbs", "verbs-known"])
@pytest.mark.parametrize("attack", tries(MADE), ids=str)
def test_what_does_harm_later_is_seen_when_it_is_made(house: House, attack: Attack, target: str) -> None:
    check(house, attack, target)


@pytest.mark.parametrize("name", SEVERAL)
def test_a_body_is_known_as_it_is_now(house: House, name: str) -> None:
    check(house, Attack(name, [query(text) for text in SEVERAL[name]]), "verbs-known")


@pytest.mark.parametrize("attack", tries(KNOWN), ids=str)
def test_what_a_function_does_is_seen_where_the_catalog_is_read(house: House, attack: Attack) -> None:
    check(house, attack, "verbs-known")
