"""Masks by origin let nothing of a column out, however it is said: reversed, cut up, shifted, worked out, taken elsewhere.

Each attack is first shown to show its secret without the gateway. What masks by origin do not promise (docs/explanation/
masking.md, "What can be found out all the same") is not tried: what a predicate tells by the rows that it finds.
"""

# ruff: noqa: E501, S608 - one query a line, and injecting is what they are for

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.evasion.ground import CANARIES, leaks
from tests.evasion.house import House
from tests.evasion.test_evasion_content import ALL, NOT_PROMISED, QUERIES, WAYS
from tests.evasion.wire import (
    bind,
    call,
    copy_data,
    copy_done,
    describe,
    execute,
    extended,
    flush,
    parse,
    query,
    sync,
)

OTHERWISE = {
    "reversed": "select reverse(email) from customers",
    "upside down by rows": "select substr(name, n, 1) from customers, generate_series(1, 15) n where id = 1 order by n desc",
    "a letter a row": "select c from customers, unnest(string_to_array(email, null)) c where id = 1",
    "a letter a column": "select " + ", ".join(f"substr(email, {n}, 1)" for n in range(1, 24)) + " from customers where id = 1",
    "codes of letters": "select string_agg(ascii(c)::text, ',') from customers, unnest(string_to_array(email, null)) c where id = 1",
    "codes in an array": "select array(select ascii(c) from unnest(string_to_array(email, null)) c) from customers where id = 1",
    "bytes one by one": "select get_byte(email::bytea, n) from customers, generate_series(0, 20) n where id = 1 order by n",
    "base64": "select encode(email::bytea, 'base64') from customers",
    "hexadecimal": "select encode(email::bytea, 'hex'), to_hex(card::bigint) from customers",
    "octal escapes": "select encode(email::bytea, 'escape') from customers",
    "bits": "select string_agg(ascii(c)::bit(8)::text, '') from customers, unnest(string_to_array(email, null)) c where id = 1",
    "shifted": "select translate(lower(name), 'abcdefghijklmnopqrstuvwxyz', 'nopqrstuvwxyzabcdefghijklm') from customers",
    "with separators": "select regexp_replace(email, '(.)', '\\1-', 'g') from customers",
    "between letters": "select regexp_replace(card, '([0-9])', '\\1.', 'g') from customers",
    "in halves": "select left(email, 8), right(email, -8) from customers",
    "overlay": "select overlay(email placing '' from 1 for 0) from customers",
    "replace": "select replace(replace(email, '@', ' at '), '.', ' dot ') from customers",
    "split_part": "select split_part(email, '@', 1), split_part(email, '@', 2) from customers",
    "number": "select ssn_digits::bigint + 0 from (select replace(ssn, '-', '') as ssn_digits from customers) s",
    "number plus one": "select (card::numeric + 1000000000000000000000) from customers",
    "negated": "select -(card::bigint) from customers",
    "money and float": "select card::bigint::float8, card::numeric::text from customers",
    "to_char": "select to_char(card::bigint, '9999-9999-9999-9999') from customers",
    "format with width": "select format('%60s|%L|%I', email, ssn, name) from customers",
    "quote": "select quote_literal(email) || quote_ident(name) from customers",
    "concat of columns": "select concat(email, ssn, card) from customers",
    "string_agg distinct": "select string_agg(distinct email, ',' order by email) from customers",
    "string_agg as a window": "select string_agg(email, ',') over (order by id) from customers",
    "string_agg filtered": "select string_agg(email, ',') filter (where id = 1) from customers",
    "percentile": "select percentile_disc(0) within group (order by email), mode() within group (order by name) from customers",
    "array slice": "select (array_agg(email))[1:1] from customers",
    "array subscript": "select (array_agg(email order by id))[1] from customers",
    "array to string": "select array_to_string(array_agg(email), '|', 'none') from customers",
    "unnest with ordinality": "select u.* from (select array_agg(email) a from customers) s, unnest(s.a) with ordinality u",
    "multi unnest": "select * from unnest((select array_agg(email) from customers), (select array_agg(ssn) from customers))",
    "json arrow": "select to_json(c) -> 'email', to_jsonb(c) ->> 'ssn', to_jsonb(c) #>> '{card}' from customers c",
    "jsonb subscript": "select (to_jsonb(c))['email'] from customers c",
    "jsonb_each": "select e.key, e.value from customers c, jsonb_each(to_jsonb(c)) e where c.id = 1",
    "jsonb_object_agg": "select jsonb_object_agg(id, email) from customers",
    "jsonb as a key": "select jsonb_object_agg(coalesce(email, 'x'), id) from customers where id = 1",
    "json_object keys": "select json_object_keys(json_build_object(email, 1)) from customers where id = 1",
    "json_to_record": "select r.* from customers c, json_to_record(to_json(c)) as r(email text, ssn text)",
    "jsonb_populate": "select r.* from customers c, jsonb_populate_record(null::customers, to_jsonb(c)) r",
    "json_path": "select jsonb_path_query_array(to_jsonb(c), '$.email') from customers c",
    "row_to_json of a subquery": "select row_to_json(s) from (select email as x from customers) s",
    "jsonb minus": "select to_jsonb(c) - 'id' from customers c",
    "jsonb set": "select jsonb_set('{}', '{a}', to_jsonb(email)) from customers where id = 1",
    "xml": "select xmlforest(email as a, ssn as b) from customers",
    "xmlagg": "select xmlagg(xmlelement(name a, email)) from customers",
    "xpath": "select xpath('/a/text()', xmlelement(name a, name)) from customers where id = 1",
    "xmltable": "select t.* from customers c, xmltable('/a' passing xmlelement(name a, c.name) columns x text path 'text()') t where c.id = 1",
    "whole row": "select c from customers c",
    "whole row in text": "select c::text, (c.*)::text from customers c",
    "whole row by position": "select (r).f2 from (select row(id, email) r from customers) s, lateral (select 1) l where false union all select email from customers",
    "a field of a row": "select (c).email, (c).ssn from customers c",
    "functional notation": "select email(c), c.email from customers c",
    "star of a row": "select (s.c).* from (select c from customers c) s",
    "star of a subquery": "select s.* from (select * from customers) s",
    "renamed columns": "select a, b, c from customers as t (a, b, c, d, e)",
    "renamed by a CTE": "with t (id, harmless) as (select id, email from customers) select harmless from t",
    "a CTE of a CTE": "with a as (select email x from customers), b as (select x y from a), c as (select y z from b) select z from c",
    "a materialised CTE": "with a as materialized (select email from customers) table a",
    "a recursive CTE": "with recursive r(n, x) as (select 1, email from customers union all select n + 1, x from r where n < 3) select x from r",
    "a recursive CTE by letters": "with recursive r(x, y) as (select email, '' from customers where id = 1 union all select substr(x, 2), left(x, 1) from r where x <> '') select y from r",
    "a shadowing CTE": "with spare as (select id, email as note from customers) select note from spare",
    "a CTE that hides the table": "with customers as (select email as id from customers) select id from customers",
    "a CTE in a subquery": "select (with t as (select email from customers) select email from t limit 1)",
    "a CTE that writes": "with d as (update customers set id = id returning email) select email from d",
    "a view": "select mail from people",
    "a view's row": "select p from people p",
    "a view in json": "select json_agg(p) from people p",
    "a join": "select b.email from customers a join customers b on a.id = b.id",
    "a natural join": "select email from customers natural join (select id from customers) s",
    "a join by the column": "select email from customers join (select email from customers) s using (email)",
    "a merged column": "select j.email from (customers join (select email, 1 from customers) s using (email)) as j",
    "a full join": "select email from customers full join (select null::text as email) s using (email)",
    "a lateral": "select l.x from customers c, lateral (select c.email) l(x)",
    "a lateral function": "select l from customers c, lateral upper(c.email) l",
    "a function in FROM": "select * from upper((select email from customers where id = 1))",
    "rows from": "select * from rows from (generate_series(1, 2), unnest((select array_agg(email) from customers))) as t",
    "union": "select 'x' union all select email from customers",
    "except": "select email from customers except select 'x'",
    "intersect": "select email from customers intersect all select email from customers",
    "nested set operations": "(select id::text from customers union all (select name from customers intersect select name from customers)) order by 1",
    "values": "values (1, (select email from customers where id = 1)), (2, null)",
    "values in FROM": "select b from (values (1, (select email from customers where id = 1))) as v (a, b)",
    "a scalar subquery": "select (select max(email) from customers)",
    "an array subquery": "select array(select email from customers order by id)",
    "a correlated subquery": "select (select b.email from customers b where b.id = a.id) from customers a",
    "a subquery in a function": "select length((select 'x')), upper((select email from customers where id = 1))",
    "CASE": "select case when id > 0 then email else 'x' end from customers",
    "CASE by the value": "select case email when 'x' then 'y' else email end from customers",
    "coalesce": "select coalesce(null, email), nullif(email, ''), greatest(email, ''), least(email, 'zzzz') from customers",
    "distinct": "select distinct email from customers",
    "distinct on": "select distinct on (id) email from customers order by id, email",
    "group by position": "select email from customers group by 1",
    "group by an expression": "select upper(email) from customers group by upper(email)",
    "rollup": "select email, count(*) from customers group by rollup (email)",
    "having": "select email from customers group by email having count(*) > 0",
    "order by": "select email as x from customers order by x desc",
    "limit": "select email from customers order by id fetch first 1 rows with ties",
    "a window": "select lag(email) over w, lead(ssn) over w, first_value(card) over w, nth_value(name, 1) over w from customers window w as (order by id)",
    "a window's range": "select array_agg(email) over (rows between unbounded preceding and current row) from customers",
    "tablesample": "select email from customers tablesample system (100)",
    "for update": "begin; select email from customers for update; rollback",
    "casts": "select email::varchar(10), email::name, email::bpchar, cast(ssn as char(20)) from customers",
    "a cast to a row type": "select (('1,' || 'x')::text), email::text::unknown::text from customers",
    "a cast of an array": "select array[email]::text, array[email]::varchar[] from customers",
    "a collation": "select email collate \"C\" from customers",
    "at once in every way": f"select {ALL} from customers",
    "bytea": "select email::bytea, convert_to(name, 'UTF8') from customers",
    "a tsvector": "select to_tsvector('simple', name), strip(to_tsvector('simple', name)) from customers",
    "a tsquery": "select plainto_tsquery('simple', name), phraseto_tsquery('simple', name) from customers",
    "headline": "select ts_headline('simple', name, plainto_tsquery('simple', 'a')) from customers",
    "a range": "select int8range(0, card::bigint) from customers",
    "width": "select repeat(email, 2), lpad(email, 50, '.'), rpad(email, 50) from customers",
    "trim": "select btrim(email, 'q'), ltrim(email), trim(both from email) from customers",
    "initcap": "select initcap(email), upper(name), lower(name) from customers",
    "normalise": "select normalize(email), unistr(email) from customers",
    "regexp": "select regexp_matches(email, '.+'), regexp_substr(email, '.*'), (regexp_match(name, '(.*)'))[1] from customers",
    "regexp split": "select regexp_split_to_array(name, ' '), regexp_split_to_table(name, ' ') from customers",
    "string_to_table": "select string_to_table(name, ' ') from customers",
    "parse_ident": "select parse_ident(quote_ident(name)) from customers where id = 1",
    "a set returning function in the list": "select unnest(array[email, ssn]) from customers",
    "only": "select email from only customers",
    "a table command": "table only customers",
    "the oid of the table": "select email from customers where tableoid = 'customers'::regclass",
    "statistics": "select most_common_vals::text, histogram_bounds::text from pg_stats where tablename = 'customers'",
    "statistics in the catalog": "select stavalues1::text, stavalues2::text from pg_statistic where starelid = 'customers'::regclass",
    "statistics by their oid": "select s.* from pg_catalog.pg_statistic s, pg_class c where c.oid = s.starelid and relname = 'customers'",
    "statistics as json": "select json_agg(s) from pg_stats s where tablename = 'customers'",
    "a query as xml": "select query_to_xml('select email from customers', true, true, '')",
    "a table as xml": "select table_to_xml('customers'::regclass, true, true, '')",
    "a schema as xml": "select schema_to_xml('public', true, true, '')",
    "a database as xml": "select database_to_xml(true, true, '')",
    "a query in xml with a schema": "select query_to_xml_and_xmlschema('select * from customers', true, true, '')",
    "a cursor as xml": "begin; declare c cursor for select email from customers; select cursor_to_xml('c', 10, true, true, ''); rollback",
    "ts_stat": "select word from ts_stat('select to_tsvector(''simple'', name) from customers')",
    "ts_rewrite": "select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, plainto_tsquery(''simple'', name) from customers where id = 1')",
    "an error of xml": "select xmlparse(document '<' || email) from customers",
    "an error of json": "select (email || '{')::json from customers",
    "an error of a make_date": "select make_date(substr(card, 1, 8)::int, 99, 99) from customers where id = 1",
    "an error of chr": "select chr(substr(card, 1, 9)::int) from customers where id = 1",
    "an error of get_byte": "select get_byte('x'::bytea, substr(card, 1, 9)::int) from customers where id = 1",
    "an error of an interval": "select email::interval from customers",
    "an error of an array": "select email::int[] from customers",
    "an error of a role": "select pg_has_role(email, 'member') from customers where id = 1",
    "an error of a privilege": "select has_table_privilege(email, 'select') from customers where id = 1",
    "an error of a sequence": "select nextval(email) from customers where id = 1",
    "an error of a type": "select email::regtype from customers where id = 1",
    "an error of a procedure": "select email::regproc from customers where id = 1",
    "an error of a dictionary": "select to_tsvector(email::regconfig, 'x') from customers where id = 1",
    "an error of a time zone": "select now() at time zone email from customers where id = 1",
    "an error of an encoding": "select convert_to('x', email) from customers where id = 1",
    "an error in WHERE": "select 1 from customers where email::int = 1",
    "an error in a join": "select 1 from customers a join customers b on a.email::int = b.id",
    "an error in ORDER BY": "select 1 from customers order by email::int",
    "an error of a row": "begin; alter table customers add check (id <> 77) not valid; update customers set id = 77 where id = 1; rollback",
    "an error of a unique key": "begin; create unique index on customers (name); rollback",
    "an error of a prepared statement": "prepare e1 as select email::int from customers; execute e1; deallocate e1",
    "an error of COPY": "copy (select email::int from customers) to stdout",
    "a notice of a function": "do $$ declare x text; begin select email into x from customers; raise notice '%', x; end $$",
    "a dynamic query": "do $$ declare x text; begin execute 'select email from customers' into x; raise exception '%', x; end $$",
    "a function made at once": "create function pg_temp.f() returns setof text language sql as 'select email from public.customers'; select pg_temp.f()",
    "a procedure made at once": "create procedure pg_temp.p() language plpgsql as $$ begin raise notice '%', (select email from public.customers limit 1); end $$; call pg_temp.p()",
    "a temporary view": "create temp view tv as select email as x from customers; select x from tv",
    "a temporary table": "create temp table tt as select email as x from customers; select x from tt",
    "a temporary table filled": "create temp table tf (x text); insert into tf select email from customers; select x from tf",
    "a temporary table of the name": "create temp table customers as select * from public.customers; select email from customers",
    "select into": "select email into temp ti from customers; select email from ti",
    "an insert that returns": "begin; insert into spare select id, email from customers returning note; rollback",
    "an update by a subquery": "begin; insert into spare values (1); update spare set (id, note) = (select 1, email from customers where id = 1); table spare; rollback",
    "an upsert": "begin; create unique index on spare (id); insert into spare values (1, 'x'); insert into spare values (1, 'y') on conflict (id) do update set note = (select email from customers where id = 1) returning note; rollback",
    "an update that returns": "begin; update customers set id = id returning email, customers; rollback",
    "a delete that returns": "begin; delete from customers returning email; rollback",
    "a delete using": "begin; insert into spare values (1); delete from spare using customers returning customers.email; rollback",
    "a merge": "begin; merge into spare s using customers c on false when not matched then insert values (c.id, c.email); table spare; rollback",
    "a comment made of it": "do $$ begin execute format('comment on table spare is %L', (select email from customers where id = 1)); end $$; select obj_description('spare'::regclass)",
    "a setting made of it": "select set_config('my.own', email, false) from customers where id = 1; show my.own",
    "a setting that is reported": "select set_config('application_name', name, false) from customers where id = 1",
    "a notification made of it": "listen here; select pg_notify('here', email) from customers where id = 1",
    "a large object made of it": "begin; select lo_from_bytea(4711, email::bytea) from customers where id = 1; select lo_get(4711); rollback",
    "a cursor": "begin; declare c1 cursor for select email as x from customers; fetch all c1; rollback",
    "a scrolling cursor": "begin; declare c2 scroll cursor for select email, name from customers; fetch last c2; fetch absolute 1 c2; move first c2; fetch backward 1 c2; rollback",
    "a held cursor": "declare c3 cursor with hold for select email from customers; fetch 1 from c3; close c3",
    "a binary cursor": "begin; declare c4 binary cursor for select email, card::bigint from customers; fetch all c4; rollback",
    "a cursor of a name used before": "begin; declare c5 cursor for select id from customers; fetch 1 c5; close c5; declare c5 cursor for select email from customers; fetch 1 c5; rollback",
    "a cursor after a savepoint": "begin; savepoint a; declare c6 cursor for select email from customers; rollback to a; declare c6 cursor for select name from customers; fetch 1 c6; rollback",
    "a refcursor": "begin; create function pg_temp.r() returns refcursor language plpgsql as $$ declare c refcursor := 'rc'; begin open c for select email from public.customers; return c; end $$; select pg_temp.r(); fetch all rc; rollback",
    "prepare": "prepare p1 as select email as x from customers; execute p1; deallocate p1",
    "prepare with a parameter": "prepare p2 (text) as select coalesce($1, email) from customers; execute p2(null); deallocate p2",
    "prepare twice": "prepare p3 as select id from customers; deallocate p3; prepare p3 as select email from customers; execute p3; deallocate all",
    "a table made by execute": "prepare p4 as select email from customers; create temp table t4 as execute p4; table t4",
    "another path": "set search_path = pg_temp, public; select email as x from customers; reset search_path",
    "another path in a transaction": "begin; set local search_path = public, pg_catalog; select email as x from customers; rollback",
    "quoted names": "select \"email\" as \"x y\" from \"public\".\"customers\"",
    "names by escapes": "select U&\"\\0065mail\" from U&\"custom\\0065rs\"",
    "names in capitals": "SELECT EMAIL FROM CUSTOMERS",
    "names with a database": "select data.public.customers.email from data.public.customers",
    "comments": "select/**/email/**/from/* x */customers -- where false",
    "dollar quotes": "select $$x$$ || email from customers",
    "many statements": "select 1; select 2; select email from customers; select 3",
    "copy": "copy customers to stdout",
    "copy one column": "copy customers (email) to stdout",
    "copy a query": "copy (select reverse(email) from customers) to stdout",
    "copy as CSV": "copy (select email, name, 'a,b' from customers) to stdout (format csv, header, force_quote *)",
    "copy with other marks": "copy customers to stdout (delimiter '|', null '*')",
    "copy in binary": "copy customers to stdout (format binary)",
    "copy what is returned": "copy (update customers set id = id returning email) to stdout",
    "copy by a program": "copy (select email from customers) to program 'cat >&2'; select email from customers",
}  # fmt: skip

NARROW: dict[str, Sequence[bytes]] = {
    "binary": [extended(f"select {ALL}, card::bigint, card::numeric, email::bytea, array[ssn], to_jsonb(c), c from customers c", results=1)],
    "binary and worked out": [extended("select reverse(email), ascii(email), length(name), card::bigint + 1, email > 'm' from customers", results=1)],
    "without a description": [parse("select email from customers") + bind() + execute() + sync()],
    "without a description, in binary": [parse("select card::bigint, email from customers") + bind(results=1) + execute() + sync()],
    "a portal in pieces": [query("begin") + parse("select email from customers order by id desc") + bind(portal="p") + describe(name="p") + execute("p", 1) + flush() + execute("p", 1) + sync() + query("rollback")],
    "a portal that SQL fetches from": [query("begin") + parse("select email from customers") + bind(portal="pf") + sync() + query("fetch all pf") + query("rollback")],
    "a statement that SQL executes": [parse("select email as x from customers", "se") + sync() + query("execute se")],
    "a cursor that the protocol runs": [query("begin; declare cp cursor for select email from customers") + describe(name="cp") + execute("cp") + sync() + query("rollback")],
    "a statement of SQL that the protocol binds": [query("prepare sp as select email from customers") + bind(name="sp") + describe() + execute() + sync()],
    "a statement that SQL redefines": [parse("select 1::text", "sr") + sync() + query("deallocate sr; prepare sr as select email from customers") + bind(name="sr") + describe() + execute() + sync()],
    "a statement whose Parse is skipped": [parse("select email from customers", "sk") + sync() + parse("select 1/0", "z") + bind(name="z") + execute() + parse("select 'x'::text", "sk") + sync() + bind(name="sk") + describe() + execute() + sync()],
    "a cursor that SQL redefines": [query("begin; declare cr cursor for select 'x'::text") + query("close cr; declare cr cursor for select email from customers") + query("fetch all cr") + query("rollback")],
    "a portal under another path": [query("begin; create temp table spare (note text)") + query("rollback") + query("begin") + parse("select email from customers") + bind(portal="pp") + describe(name="pp") + sync() + query("set local search_path = pg_catalog") + execute("pp") + sync() + query("rollback")],
    "pipelined": [(parse("select email from customers") + bind() + describe() + execute()) * 10 + sync()],
    "pipelined with the harmless": [b"".join(parse(f"select {what} from customers") + bind() + describe() + execute() for what in ("id", "email", "id", "name", "id")) + sync()],
    "two Syncs apart": [parse("select id from customers") + bind() + execute() + sync() + parse("select email from customers") + bind() + execute() + sync()],
    "a query behind a failed one": [parse("select 1/0") + bind() + execute() + sync() + query("select email from customers")],
    "a rule that shows more": [query("begin; create rule more as on update to spare do also select email from customers; update spare set id = 1; rollback")],
    "a view that is replaced": [query("create or replace temp view vr as select id::text as x from customers") + query("create or replace temp view vr as select email as x from customers") + query("select x from vr")],
    "a view that is replaced at once": [query("create temp view vo as select 'x'::text as x") + query("create or replace temp view vo as select email as x from customers; select x from vo")],
    "copied in and out": [query("create temp table ci as table customers; copy ci from stdin") + copy_data(f"9\t{CANARIES['email']}\n".encode()) + copy_done() + query("table ci")],
    "a bind that fails": [parse("select email from customers where id = $1", "sf", (23,)) + bind(b"x", name="sf") + execute() + sync() + bind(b"1", name="sf") + describe() + execute() + sync()],
    "binary copy of what is worked out": [query("copy (select reverse(email), ascii(email) from customers) to stdout (format binary)"), query("select email from customers")],
}  # fmt: skip


def check(house: House, *script: bytes) -> None:
    with house.direct("data") as client:
        truth = client.say(*script)
    assert leaks(truth), "nothing is to be seen without the gateway either, so it proves nothing"
    with house.through("origin", "data") as client:
        heard = client.say(*script)
    assert leaks(heard) == [], heard.data[:2000]
    assert heard.closed is truth.closed


@pytest.mark.parametrize("text", OTHERWISE.values(), ids=OTHERWISE)
def test_no_query_shows_anything_of_a_masked_column(house: House, text: str) -> None:
    check(house, query(text))


@pytest.mark.parametrize("text", [*QUERIES.values(), *NOT_PROMISED.values()], ids=[*QUERIES, *NOT_PROMISED])
def test_what_masks_by_content_are_tried_with_shows_nothing_either(house: House, text: str) -> None:
    check(house, query(text))


# What a client has sent itself comes from no column, and a mask by origin gives it back.
BOTH = {
    **{
        f"content: {name}": each
        for name, each in WAYS.items()
        if name not in ("a value that is given back", "an error of COPY FROM")
    },
    **NARROW,
}


@pytest.mark.parametrize("script", BOTH.values(), ids=BOTH)
def test_no_format_and_no_order_of_messages_shows_it(house: House, script: Sequence[bytes]) -> None:
    check(house, *script)


@pytest.mark.parametrize("text", [text for text in OTHERWISE.values() if ";" not in text])
def test_the_same_in_binary(house: House, text: str) -> None:
    with house.through("origin", "data") as client:
        heard = client.say(extended(text, results=1))
    assert leaks(heard) == [], heard.data[:2000]


@pytest.mark.parametrize("function", ["query_to_xml", "table_to_xml"])
def test_the_fast_path_does_not(house: House, function: str) -> None:
    what = b"select * from customers" if function == "query_to_xml" else b"customers"
    check(house, call(house.oid("data")(function), what, b"t", b"t", b""))


@pytest.mark.parametrize("text", ["select id from customers", "select count(*) from customers", "select 1", "select note from spare", "table spare",
    "select relname from pg_class where relname = 'customers'", "select id, upper('x') from customers where email is not null order by id",
    "begin; insert into spare values (1, 'x') returning note; rollback", "show server_version", "copy spare to stdout", "copy customers (id) to stdout",
    "with a as (select id from customers) select max(id) from a", "explain select 1", "select now() > '2020-01-01'", "set work_mem = '8MB'; reset work_mem",
    "begin; savepoint a; rollback to a; commit", "select c.id, s.note from customers c left join spare s using (id)"])  # fmt: skip
def test_what_shows_no_masked_column_is_as_it_is(house: House, text: str) -> None:
    with house.direct("data") as client:
        truth = client.say(query(text))
    with house.through("origin", "data") as client:
        heard = client.say(query(text))
    assert heard.rows == truth.rows
    assert (b"C42501" in heard.data) is (b"C42501" in truth.data)
