"""A forbidden verb is not let through, however it is written and whatever it is wrapped in."""

# ruff: noqa: E501 - one attack a line

from __future__ import annotations

import pytest

from tests.evasion.house import Attack, House

WRITTEN = {
    "plainly": "drop table victim",
    "in capitals now and then": "DrOp TaBlE victim",
    "behind a comment": "/* hello */ drop table victim",
    "with comments inside": "drop/**/table/* x */victim",
    "behind a nested comment": "/* /* drop nothing */ select 1 */ drop table victim",
    "behind a line comment": "-- select 1\ndrop table victim",
    "before a line comment": "drop table victim -- select 1",
    "with a comment to the end": "drop table victim /* select 1 */",
    "with odd white space": "drop\t\n\r\ftable\fvictim",
    "behind semicolons": ";;; drop table victim",
    "with a semicolon": "drop table victim;",
    "behind a string that looks like a comment": "select '/*'; drop table victim; select '*/'",
    "behind a dollar quote": "select $$ -- $$; drop table victim",
    "behind a tagged dollar quote": "select $a$ $b$ $a$; drop table victim; select $b$ $b$",
    "behind an escape string": r"select e'\''; drop table victim; --'",
    "behind a quoted name": 'select 1 as "/*"; drop table victim; select 1 as "*/"',
    "by a quoted name": 'drop table "victim"',
    "by a Unicode name": r'drop table U&"\0076ictim"',
    "by a Unicode name with an escape of its own": """drop table U&"!0076ictim" uescape '!'""",
    "by schema": "drop table public.victim",
    "if it is there": "drop table if exists nothing, victim cascade",
    "with a string over lines": "select 'a'\n'b'; drop table victim",
    "after other statements": "begin; select 1; drop table victim; commit",
    "among many": "select 1;" * 50 + "drop table victim;" + "select 2;" * 50,
    "a view": "drop view seen",
    "a materialised view": "drop materialized view kept",
    "an index": "drop index concurrently victim_n",
    "a sequence": "drop sequence counter",
    "a type": "drop type mood",
    "a domain": "drop domain small",
    "a schema": "drop schema keep cascade",
    "a function": "drop function harmless()",
    "a routine": "drop routine harmless",
    "a role": "drop role keep_role",
    "a user": "drop user keep_role",
    "a group": "drop group keep_role",
    "a database": "drop database keepdb",
    "a database by force": "drop database if exists keepdb with (force)",
    "truncate": "truncate victim",
    "truncate with its words": "TRUNCATE TABLE ONLY victim, spare RESTART IDENTITY CASCADE",
    "truncate behind a transaction": "begin isolation level serializable; truncate victim; commit",
    "truncate two schemas": "truncate keep.inner, public.victim",
    "after a savepoint": "begin; savepoint a; drop table victim; release a; commit",
}

UNBOUNDED = {
    "delete": "delete from victim",
    "delete only": "delete from only victim",
    "delete with a star": "delete from victim *",
    "delete by an alias": "delete from victim as v",
    "delete using": "delete from victim using (values (1)) as x (y)",
    "delete where true": "delete from victim where true",
    "delete where one is one": "delete from victim where 1 = 1",
    "delete where not false": "delete from victim where not false",
    "delete where nothing is null": "delete from victim where null is null",
    "delete where or true": "delete from victim where id = 1 or true",
    "delete where casts": "delete from victim where 'yes'::bool",
    "update": "update victim set n = 0",
    "update with a list": "update victim set (id, n) = (id, 0)",
    "update where": "update victim set n = 0 where 2 > 1",
    "update from": "update victim set n = 0 from (values (1)) as x (y) where true",
    "delete returning": "delete from victim returning *",
    "delete in a query": "with gone as (delete from victim returning *) select count(*) from gone",
    "delete in a query of a query": "with a as (with b as (select 1) delete from victim returning 1) table a",
    "delete beside": "with a as (select 1), b as (delete from victim) select * from a",
    "delete in an insert": "with gone as (delete from victim returning id, n) insert into spare select * from gone",
    "update in a query": "with up as (update victim set n = 0 returning n) select n from up",
    "merge": "merge into victim v using (values (1)) as s (x) on true when matched then delete",
    "merge that updates": "merge into victim using (select 1) as s on true when matched then update set n = 0",
}

WRAPPED = {
    "explain analyze": "explain analyze delete from victim",
    "explain with options": "explain (format json, analyze true, costs off) delete from victim",
    "explain with a number": "explain (analyze 1) update victim set n = 0",
    "explain verbose": "explain analyze verbose with d as (delete from victim returning 1) select 1",
    "explain execute": "prepare p as delete from victim; explain analyze execute p",
    "prepare": "prepare p as delete from victim; execute p",
    "prepare with a parameter": "prepare p(int) as delete from victim where $1 = 1 or true; execute p(1)",
    "copy a query": "copy (delete from victim returning *) to stdout",
    "copy a query with options": "copy (with d as (delete from victim returning 1) table d) to stdout (format csv)",
    "do": "do $$ begin delete from victim; end $$",
    "do in a language": "do language plpgsql 'begin drop table victim cascade; end'",
    "do that executes": "do $$ begin execute 'dr' || 'op table ' || 'victim cascade'; end $$",
    "do by format": "do $$ begin execute format('%s %I', 'truncate', 'victim'); end $$",
    "do by characters": "do $$ begin execute chr(116) || 'runcate victim'; end $$",
    "a function of theirs": "select nuke()",
    "a function by schema": "select public.nuke()",
    "a quoted function": 'select "nuke"()',
    "a function in SQL": "select sqlnuke()",
    "a function in FROM": "select * from nuke()",
    "a function in FROM with rows": "select * from rows from (nuke(), generate_series(1, 2))",
    "a lateral function": "select * from spare right join lateral nuke() on true",
    "a function in WHERE": "select 1 where nuke() = 1",
    "a function in ORDER BY": "select 1 order by nuke()",
    "a function in LIMIT": "select 1 limit nuke()",
    "a function in VALUES": "values (nuke())",
    "a function in an insert": "insert into spare values (nuke(), 1)",
    "a function in a case": "select case when true then nuke() end",
    "a function in an array": "select array[nuke()]",
    "a function in a row": "select row(nuke(), 1)",
    "a function in a subquery": "select (select nuke())",
    "a function in RETURNING": "insert into spare values (1, 1) returning nuke()",
    "a function in a cursor": "begin; declare c cursor for select nuke(); fetch all from c; commit",
    "a function in a held cursor": "declare c cursor with hold for select nuke()",
    "a function in a table": "create table made as select nuke()",
    "a function in a temporary table": "create temp table made as select nuke()",
    "a function by SELECT INTO": "select nuke() into made",
    "a function in a materialised view": "create materialized view made as select nuke()",
    "a function in a default": "alter table spare add column x int default nuke(); insert into spare values (1, 1)",
    "a function that is renamed": "alter function nuke() rename to lower; select public.lower()",
    "a function as an attribute": "create view w as select v.nuke from (select nuke()) as v; table w",
    "a window frame": "select sum(1) over (order by nuke()) ",
    "a procedure": "call pnuke()",
    "an operator": "select 1 === 2",
    "an operator by schema": "select 1 operator(public.===) 2",
    "an operator with any": "select 1 =!= any (array[2])",
    "an aggregate": "select anuke(1)",
    "a cast": "select cast('x'::text as evil)",
    "a cast by colons": "select 'x'::text::evil",
    "a trigger of their own": "create trigger t before insert on spare for each row execute function wnuke(); insert into spare values (1)",
    "a rule of their own": "create rule r as on insert to spare do also delete from victim; insert into spare values (1)",
    "a function of their own": "create function mine() returns int language sql as 'delete from victim; select 1'; select mine()",
    "a function with a body": "create function mine() returns int begin atomic delete from victim; select 1; end; select mine()",
    "a function of their own in PL/pgSQL": "create function mine() returns int language plpgsql as 'begin delete from victim; return 1; end'; select mine()",
    "a function that hides a built-in one": "create function pg_temp.f(text) returns int language sql as 'delete from victim; select 1'; select pg_temp.f('')",
    "a procedure of their own": "create procedure mine() language sql as 'truncate victim'; call mine()",
    "a view over a delete": "create view w as select sqlnuke(); table w",
    "a domain that checks": "create domain d as int check (nuke() = value); select 1::d",
    "an event trigger": "create function e() returns event_trigger language plpgsql as 'begin delete from victim; end'; create event trigger e on ddl_command_start execute function e(); create table y ()",
    "xml of a query": "select query_to_xml('select nuke()', true, true, '')",
    "xml of a query from data": "select query_to_xml(q, true, true, '') from (values ('select nuke()')) x (q)",
    "xml of a query in pieces": "select query_to_xml('select ' || 'nuke()', true, true, '')",
    "xml by schema": "select pg_catalog.query_to_xml_and_xmlschema('select nuke()', true, true, '')",
    "xml with names": "select query_to_xml(tableforest => true, query => 'select nuke()', nulls => true, targetns => '')",
    "statistics of a query": "select * from ts_stat('select to_tsvector(nuke()::text)')",
    "a rewritten text query": "select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, nuke()::text::tsquery')",
    "their own runner": "select run('truncate victim')",
    "their own runner in base64": "select run(convert_from(decode('dHJ1bmNhdGUgdmljdGlt', 'base64'), 'UTF8'))",
    "their own runner in hexadecimal": r"select run(encode('\x7472756e636174652076696374696d'::bytea, 'escape'))",
    "a default argument": "create function mine(a int default nuke()) returns int language sql as 'select a'; select mine()",
}  # fmt: skip

FILES = {
    "copy to a program": "copy (select 1) to program 'cat > {marker}'",
    "copy from a program": "copy spare (id) from program 'touch {marker}; echo 1'",
    "copy to a file": "copy (select 1) to '{marker}'",
    "copy to a file by a string": r"copy spare to E'{marker}'",
    "a large object": "select lo_from_bytea(4711, 'x'); select lo_export(4711, '{marker}')",
    "a large object by schema": "select lo_from_bytea(4711, 'x'); select pg_catalog.lo_export(4711, '{marker}')",
    "a file in a do block": "do $$ begin copy (select 1) to '{marker}'; end $$",
}


def check(house: House, attack: Attack) -> None:
    assert house.harm(attack), "it does no harm without the gateway either, so it proves nothing"
    heard, left = house.attempt(attack)
    assert left == house.intact, f"got through; heard {heard.errors}"
    assert b"(recgate session " in heard.data


def tries(table: dict[str, str]) -> list[Attack]:
    return [Attack(name, text) for name, text in table.items()]


@pytest.mark.parametrize("attack", tries(WRITTEN), ids=str)
def test_drop_and_truncate_are_seen_however_they_are_written(house: House, attack: Attack) -> None:
    check(house, attack)


@pytest.mark.parametrize("attack", tries(UNBOUNDED), ids=str)
def test_a_change_of_every_row_is_seen(house: House, attack: Attack) -> None:
    check(house, attack)


@pytest.mark.parametrize("attack", tries(WRAPPED), ids=str)
def test_it_is_seen_whatever_it_is_wrapped_in(house: House, attack: Attack) -> None:
    check(house, attack)


@pytest.mark.parametrize("attack", tries(FILES), ids=str)
def test_files_and_programs_of_the_server_are_out_of_reach(house: House, attack: Attack) -> None:
    check(house, attack)
