"""Behind which statements a path still holds, with the catalogs of real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugins.postgres.tests.surveying import snapshot
from recgate_postgres.origin.effects import steps_of
from recgate_postgres.origin.quiet import Quiet
from tests.peers.postgres import Cluster

SCHEMA = """
create table public.plain (id int primary key, name text default 'x', at timestamptz default now());
create index on public.plain (lower(name));
create table public.parted (id int, name text) partition by range (id);
create table public.part partition of public.parted for values from (1) to (9);
create view public.seen as select p.id, upper(name) as name from public.plain p where id > 1;
create view public.twice as select * from public.seen union select 1, 'x';
create table public.parent (id int primary key);
create table public.child (id int references public.parent on delete cascade);
create type public.mood as enum ('good', 'bad');
create table public.moods (m public.mood);

create schema loud;
create function loud.shout(text) returns text language plpgsql as 'begin return $1; end';
create function loud.lower(int) returns text language plpgsql as 'begin return $1; end';
create view public.calls as select loud.shout(name) from public.plain;
create view public.around as select * from public.calls;
create table public.defaults (a text default loud.shout('x'));
create table public.checks (a text check (loud.shout(a) <> ''));
create function loud.fixed(text) returns text language plpgsql immutable as 'begin return $1; end';
create table public.indexed (a text);
create index on public.indexed (loud.fixed(a));
create domain public.shouted as text check (loud.shout(value) <> '');
create table public.domains (a public.shouted);
create function loud.before() returns trigger language plpgsql as 'begin return new; end';
create table public.watched (a int);
create trigger t before insert on public.watched for each row execute function loud.before();
create table public.above (id int) partition by range (id);
create table public.below partition of public.above for values from (1) to (9);
create trigger t before insert on public.below for each row execute function loud.before();
create table public.fenced (a text);
alter table public.fenced enable row level security;
create policy p on public.fenced using (loud.shout(a) <> '');
create operator loud.<-> (leftarg = text, rightarg = text, function = textcat);
"""

QUIET = """
select 1
select id, upper(name) || 'x', count(*) from plain where name like 'a%' and id between 1 and 2 group by 1, 2 order by 1
select * from seen join parted using (id)
select * from twice
with c as (select 1 as n) select * from c
with recursive c as (select 1 as n union all select n + 1 from c where n < 3) select * from c
select name::text, cast(id as bigint), m::public.mood from plain, moods
select current_user, current_date, coalesce(name, 'x') from plain
insert into plain (id, name) values ($1, $2) on conflict (id) do update set name = excluded.name returning id
update plain set name = upper(name) where id = 1
delete from plain where id in (select id from parted)
insert into parted values (2, 'x')
explain select * from plain
select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public'
prepare q as select * from plain
"""
LOUD = """
select set_config('search_path', 'loud', false)
select pg_catalog.set_config('role', 'x', false)
select query_to_xml('select 1', true, true, '')
select loud.shout(name) from plain
select lower(name) from plain
select p.shout from plain p
select (p).shout from plain p
select * from calls
select * from around
with c as (select * from calls) select * from c
select name <-> 'x' from plain
select 'x'::public.shouted
select * from domains
select * from fenced
select * from nowhere
insert into watched values (1)
insert into above values (1)
insert into defaults default values
insert into checks values ('x')
insert into indexed values ('x')
delete from parent
with d as (insert into watched values (1) returning a) select * from d
select * into other from plain
create table other as select 1
explain analyze create table other as select 1
merge into plain p using parted q on p.id = q.id when matched then do nothing
execute q
call p()
"""


@pytest.fixture(scope="module", params=["debian", "wheel"])
def quiet(request: pytest.FixtureRequest) -> Iterator[Quiet]:
    server: Cluster = request.getfixturevalue(request.param)
    server.psql("create database quiet")
    server.psql(SCHEMA, database="quiet")
    yield Quiet(snapshot(server, "quiet"))
    server.psql("drop database quiet with (force)")


@pytest.mark.parametrize("text", QUIET.strip().splitlines())
def test_the_servers_own_functions_turn_nothing(quiet: Quiet, text: str) -> None:
    (step,) = steps_of(text)
    assert quiet.statement(step.tree)


@pytest.mark.parametrize("text", LOUD.strip().splitlines())
def test_whatever_may_run_somebodys_own_is_doubt(quiet: Quiet, text: str) -> None:
    (step,) = steps_of(text)
    assert not quiet.statement(step.tree)


def test_a_tree_of_many_nodes_is_not_walked_to_its_end(quiet: Quiet) -> None:
    (step,) = steps_of("select " + ", ".join("1" * 9_000))
    assert not quiet.statement(step.tree)
