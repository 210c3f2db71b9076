"""Masks by origin: what is in a masked column reaches nobody, whatever a query makes of it and wherever it puts it.

Each script is tried at a target that refuses what it cannot follow, and at one that masks it whole.
"""

# ruff: noqa: E501, S608 - one query a line, and injecting is what they are for

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.evasion.ground import CANARIES, leaks
from tests.evasion.house import House
from tests.evasion.wire import (
    bind,
    call,
    copy_data,
    copy_done,
    describe,
    execute,
    extended,
    parse,
    query,
    sync,
)

CHARACTERS = "regexp_split_to_table(email, '') with ordinality as c (c, n)"

CHANGED = {
    "reversed address": "select reverse(email) from customers",
    "substrings": "select substr(email, 1, 3), substr(email, 4, 3), substr(email, 7, 3), right(email, -9) from customers",
    "left and right": "select left(name, 5), right(name, 5) from customers",
    "one letter a column": "select " + ", ".join(f"substr(name, {n}, 1)" for n in range(1, 16)) + " from customers",
    "one letter a row": "select substr(name, n, 1) from customers, generate_series(1, 15) n where id = 1 order by n",
    "letters by array": "select (string_to_array(name, null))[n] from customers, generate_series(1, 15) n where id = 1 order by n",
    "letters in a lateral": f"select c from customers, lateral {CHARACTERS} where id = 1 order by n",
    "codes in an array": "select array(select ascii(c) from regexp_split_to_table(name, '') c) from customers",
    "codes in bytes": "select get_byte(name::bytea, n) from customers, generate_series(0, 14) n where id = 1 order by n",
    "bits of bytes": "select string_agg(get_bit(name::bytea, n)::text, '' order by n / 8 * 8 + 7 - n % 8) from customers, generate_series(0, 119) n where id = 1",
    "hexadecimal": "select encode(name::bytea, 'hex') from customers",
    "hexadecimal of codes": "select string_agg(to_hex(ascii(c)), '') from customers, regexp_split_to_table(name, '') c where id = 1",
    "base64 of bytes": "select encode(convert_to(name, 'UTF8'), 'base64') from customers",
    "base64 of something before": "select encode(convert_to('.' || name, 'UTF8'), 'base64') from customers",
    "escape": "select encode(name::bytea, 'escape'), name::bytea::text from customers",
    "bytea": "select name::bytea, decode(encode(name::bytea, 'base64'), 'base64') from customers",
    "overlay": "select overlay(name placing '' from 1 for 0), overlay('xx' placing name from 3) from customers",
    "replace": "select replace(email, '@', ' at '), replace(ssn, '-', ' ') from customers",
    "translate": "select translate(name, 'x', 'y') from customers",
    "regexp_replace": "select regexp_replace(email, '(.)', '\\1 ', 'g') from customers",
    "regexp_matches": "select regexp_matches(name, '(...)(...)', 'g') from customers",
    "regexp_substr": "select regexp_substr(email, '[a-z]+'), regexp_instr(email, '@') from customers",
    "split_part": "select split_part(email, '@', 1), split_part(email, '@', 2) from customers",
    "similar": "select substring(email from '%#\"_{6}#\"%' for '#') from customers",
    "number arithmetic": "select card::numeric + 0, card::bigint - 1 + 1, card::bigint / 10 from customers where id = 1",
    "digits of a number": "select card::bigint % 100000000, card::bigint / 100000000 from customers where id = 1",
    "bitwise": "select card::bigint # 0, ~(~card::bigint), card::bigint | 0 from customers where id = 1",
    "money and float": "select card::float8, (card::numeric / 100)::numeric from customers where id = 1",
    "to_char": "select to_char(card::bigint, 'FM9999999999999999') from customers where id = 1",
    "interval": "select make_interval(secs => (card::bigint % 10000000)::float8), (card::bigint / 10000000) from customers where id = 1",
    "lpad": "select lpad(name, 3), lpad(reverse(name), 12), rpad(name, 40, '-') from customers",
    "format": "select format('%2$s%1$s', substr(name, 8), substr(name, 1, 7)) from customers",
    "quote": "select quote_ident(name), quote_literal(note), quote_nullable(token) from customers",
    "array functions": "select array_append('{}'::text[], name), array_prepend(email, '{}'), array_cat(array[note], '{}') from customers",
    "array to string": "select array_to_string(array[email, name], ','), array_to_json(array[email]) from customers",
    "array positions": "select unnest(array_replace(array['x'], 'x', name)), array_fill(email, array[1]) from customers",
    "trim_array": "select trim_array(array[name, email], 1) from customers",
    "subscript": "select (array[name])[1], (array[array[email]])[1][1] from customers",
    "slice": "select (array[name, email])[1:1] from customers",
    "json object": "select json_object(array['a', name]), jsonb_object(array[email], array[note]) from customers where id = 1",
    "json key": "select json_build_object(name, 1), jsonb_object_agg(email, 1) from customers where id = 1 group by name",
    "json_object_keys": "select jsonb_object_keys(to_jsonb(c)), jsonb_object_keys(jsonb_build_object(email, 1)) from customers c where id = 1",
    "json arrow": "select to_jsonb(c) ->> 'email', to_jsonb(c) -> 'name', to_json(c) #>> '{note}' from customers c",
    "jsonb subscript": "select (to_jsonb(c))['email'] from customers c",
    "jsonb path": "select jsonb_path_query_array(to_jsonb(c), '$.keyvalue().value') from customers c",
    "jsonb set": "select jsonb_set('{}', '{x}', to_jsonb(name)), jsonb_insert('[]', '{0}', to_jsonb(email)) from customers where id = 1",
    "jsonb difference": "select to_jsonb(c) - 'id', to_jsonb(c) || '{}' from customers c",
    "json populate": "select * from json_populate_record(null::spare, (select json_build_object('id', 1, 'note', email) from customers where id = 1))",
    "json to record": "select r.* from customers c, jsonb_to_record(to_jsonb(c)) as r (email text, name text)",
    "json each": "select key, value from customers c, jsonb_each(to_jsonb(c))",
    "json elements": "select e from customers c, jsonb_array_elements_text(jsonb_build_array(email, name)) e",
    "json strip": "select json_strip_nulls(row_to_json(c)) from customers c",
    "json agg": "select json_agg(c), jsonb_agg(c.email), json_object_agg(id, name) from customers c",
    "composite field": "select (c).email, (c).* from customers c where id = 1",
    "record from subquery": "select (s.r).* from (select c as r from customers c) s",
    "record expanded": "select (x).f1, (x).f2 from (select row(email, name) as x from customers) s",
    "function notation": "select email(c), c.name from customers c",
    "whole row of a subquery": "select s from (select * from customers) s",
    "whole row of a CTE": "with s as (select email, name from customers) select s, row_to_json(s) from s",
    "whole row of a join": "select j from (customers a join other b using (id)) j",
    "a natural join": "select * from customers natural join other",
    "a full join": "select coalesce(a.email, b.email) from customers a full join customers b on a.id = b.id + 1",
    "a cross join": "select b.note from other a, customers b",
    "an anti join": "select c.email from customers c left join other o on o.id = c.id + 10 where o.id is null",
    "columns renamed": "select d from customers as c (a, b, d, e, f, g, h, i, j)",
    "columns renamed in a CTE": "with c (a, b) as (select id, email from customers) select b from c",
    "columns renamed in VALUES": "select x from (values ((select email from customers where id = 1)), ('y')) v (x)",
    "a recursive CTE": "with recursive r (n, s) as (select 1, name from customers where id = 1 union all select n + 1, substr(s, 2) from r where n < 15) select left(s, 1) from r",
    "a recursive CTE through a constant": "with recursive r (a, b) as (select 'x', name from customers where id = 1 union all select b, a from r where a = 'x') select a from r",
    "search and cycle": "with recursive r (id, s) as (select id, email from customers where id = 1 union all select id + 1, s from r where id < 3) search depth first by s set o select o, s from r",
    "cycle path": "with recursive r (id, s) as (select id, email from customers where id = 1 union all select id, s from r where id < 1) cycle s set c using p select p from r",
    "a materialised CTE": "with s as materialized (select token from customers) select token from s",
    "a nested CTE": "with a as (with b as (select iban from customers) select iban as x from b) select x from a",
    "union by position": "select id::text, plain from other union select email, name from customers",
    "union of a constant": "select 'x' as plain union all select email from customers",
    "except": "select email from customers except select plain from other",
    "a view of theirs": "select called, mail from people",
    "a view as a row": "select p, p.mail from people p",
    "a view joined": "select p.mail from people p join other using (id)",
    "a case": "select case id when 1 then email else 'x' end, case when name is null then 'n' else name end from customers",
    "coalesce and nullif": "select coalesce(null, email), nullif(name, 'x'), greatest(note, ''), least(token, 'zzzzzz') from customers",
    "distinct on": "select distinct on (id) email from customers",
    "group by": "select email from customers group by 1 having count(*) > 0",
    "grouping sets": "select coalesce(email, name) from customers group by grouping sets ((email), (name))",
    "aggregates": "select max(email), min(name), string_agg(note, ','), array_agg(token) from customers",
    "ordered aggregates": "select percentile_disc(0.5) within group (order by email), mode() within group (order by name) from customers",
    "filtered aggregate": "select max(email) filter (where id = 1), any_value from (select 1 as any_value) s, customers group by 2",
    "numeric aggregates": "select sum(card::numeric), avg(card::numeric), bit_or(card::bigint) from customers where id = 1",
    "xmlagg": "select xmlagg(xmlelement(name n, email)) from customers",
    "windows": "select first_value(email) over w, lag(name) over w, nth_value(note, 1) over w from customers window w as (order by id)",
    "window aggregate": "select string_agg(email, ',') over (order by id) from customers",
    "a scalar subquery": "select (select name from customers where id = o.id) from other o",
    "an array subquery": "select array(select email from customers)",
    "a row subquery": "select (select row(email, name) from customers where id = 1)",
    "exists and then some": "select plain || (select email from customers where id = 1) from other where exists (select 1 from customers)",
    "a lateral": "select l.* from other o, lateral (select email, name from customers c where c.id = o.id) l",
    "a table sample": "select email from customers tablesample system (100)",
    "for update": "select email from customers for update",
    "only": "select email from only customers",
    "a schema": "select public.customers.email from public.customers",
    "a database": "select data.public.customers.email from data.public.customers",
    "quoted": 'select "customers"."email" as "id" from "public"."customers"',
    "Unicode": r'select U&"\0065mail" from U&"\0063ustomers"',
    "in capitals": "SELECT EMAIL FROM CUSTOMERS",
    "commented": "select/**/email/*x*/from/**/customers",
    "casts": "select email::varchar(20), name::name, note::char(30), ssn::\"char\", token::bpchar, iban::text collate \"C\" from customers",
    "casts to others": "select card::bigint, card::numeric(20), ('{' || name || '}')::text[], ('\"' || email || '\"')::jsonb from customers where id = 1",
    "a cast to a search": "select to_tsvector('simple', email), plainto_tsquery('simple', name), strip(to_tsvector(note)) from customers",
    "a headline": "select ts_headline('simple', name, 'x'::tsquery) from customers",
    "a lexeme": "select ts_lexize('simple', name), lexeme from customers, unnest(to_tsvector('simple', name)) where id = 1",
    "a parse": "select (ts_parse('default', email)).token, (ts_debug('simple', name)).token from customers where id = 1",
    "a normal form": "select normalize(name), unistr(note), to_ascii(convert_from(convert_to(name, 'LATIN1'), 'LATIN1'), 'LATIN1') from customers",
    "convert": "select convert(name::bytea, 'UTF8', 'LATIN1'), convert_from(name::bytea, 'UTF8') from customers",
    "an identifier": "select parse_ident('\"' || name || '\"') from customers where id = 1",
    "a range": "select textrange_like from (select int8range(card::bigint, null) as textrange_like from customers where id = 1) s",
    "bounds of a range": "select lower(numrange(card::numeric, null)), upper(int8range(0, card::bigint)) from customers where id = 1",
    "an address": "select ('0.0.0.' || (card::bigint % 256))::inet + (card::bigint % 10000000) from customers where id = 1; select card from customers",
    "xmlforest": "select xmlforest(email, name as n), xmlconcat(xmlcomment(note)), xmlpi(name p, ssn) from customers where id = 1",
    "xmltable": "select x.v from customers c, xmltable('/r' passing xmlelement(name r, c.email) columns v text path '.') x",
    "xpath": "select xpath('/r/text()', xmlelement(name r, email)), xmlserialize(content xmlelement(name r, name) as text) from customers",
    "generate_series bounds": "select max(n) from customers, generate_series(card::bigint - 2, card::bigint) n where id = 1",
    "repeat by code": "select repeat('x', ascii(name)), chr(ascii(name)) || chr(ascii(substr(name, 2))) || chr(ascii(substr(name, 3))) || chr(ascii(substr(name, 4))) from customers",
    "order and show": "select id, email from customers order by email desc nulls last limit 1 offset 0",
    "fetch with ties": "select email from customers order by id fetch first 1 rows with ties",
    "generated by format": "select format('%s', c) from customers c; select format('%s', row(c.*)) from customers c",
    "concat of a row": "select concat(c), concat_ws(',', c.*) from customers c",
    "a row as text": "select c::text, row(c.*)::text, textin(record_out(c)) from customers c",
    "a hash that is none": "select hashtext(email), name from customers",
    "a record function": "select json_typeof(row_to_json(c)), pg_typeof(email), email from customers c",
    "pg_column_size beside": "select pg_column_size(email), email from customers",
    "variadic": "select concat(variadic array[email, name]), jsonb_build_array(variadic array[note]) from customers",
    "named arguments": "select make_date(2000, 1, 1), overlay(name placing 'x' from 99) from customers",
    "a named window": "select lead(email, 0) over w from customers window w as (order by id rows between current row and current row)",
    "ROWS FROM": "select * from rows from (unnest(array(select email from customers)), json_to_recordset((select json_agg(c) from customers c)) as (name text)) r (a, b)",
    "with ordinality": "select * from unnest((select array_agg(name) from customers)) with ordinality",
    "a set-returning function": "select unnest(string_to_array(email, '@')), regexp_split_to_table(name, ' ') from customers",
    "a limit of it": "select n from generate_series(1, 200) n limit (select ascii(name) from customers where id = 1); select name from customers",
}  # fmt: skip

# `;;` parts messages: what is left by one may be read by the next.
ELSEWHERE = {
    "create table as": "create table w1 as select email from customers ;; table w1 ;; drop table w1",
    "create table as with names": "create table w2 (x) as select name from customers ;; table w2 ;; drop table w2",
    "select into": "select * into w3 from customers ;; table w3 ;; drop table w3",
    "a temporary table": "create temp table t1 as select * from customers ;; table t1",
    "a table of their name": "create temp table customers as select * from public.customers ;; table customers",
    "a table like it": "create temp table t2 (like customers) ;; insert into t2 select * from customers ;; table t2",
    "inherited": "create temp table t3 () inherits (customers) ;; select email from public.customers",
    "insert select": "begin ;; insert into spare select id, email from customers ;; table spare ;; rollback",
    "insert a subquery": "begin ;; insert into spare values (1, (select name from customers where id = 1)) ;; table spare ;; rollback",
    "insert on conflict": "create temp table t4 (id int primary key, note text) ;; insert into t4 values (1, '') on conflict (id) do update set note = (select email from customers where id = 1) ;; insert into t4 values (1, '') on conflict (id) do update set note = (select email from customers where id = 1) ;; table t4",
    "update from": "begin ;; insert into spare values (1, '') ;; update spare set note = email from customers c where c.id = spare.id ;; table spare ;; rollback",
    "update with a subquery": "begin ;; update other set plain = (select token from customers where id = 1) ;; table other ;; rollback",
    "update itself": "begin ;; update customers set id = id where id = 1 returning email, name ;; rollback",
    "update into another column": "begin ;; alter table customers add column x text ;; update customers set x = email ;; select x from customers ;; rollback",
    "swap columns": "begin ;; alter table customers rename column email to harmless ;; select harmless from customers ;; rollback",
    "rename the table": "begin ;; alter table customers rename to harmless ;; select email from harmless ;; rollback",
    "another schema": "begin ;; create schema s ;; alter table customers set schema s ;; select email from s.customers ;; rollback",
    "rename and read later": "alter table customers rename to harmless ;; select email from harmless ;; alter table harmless rename to customers",
    "rename a column and read later": "alter table customers rename column email to harmless ;; select harmless from customers ;; alter table customers rename column harmless to email",
    "change its type": "begin ;; alter table customers alter column token type bytea using token::bytea ;; select token from customers ;; rollback",
    "a generated column": "begin ;; alter table customers add column g text generated always as (email) stored ;; select g from customers ;; rollback",
    "a merge": "begin ;; merge into other o using customers c on o.id = c.id when matched then update set plain = c.email ;; table other ;; rollback",
    "delete returning": "begin ;; delete from customers returning * ;; rollback",
    "delete using": "begin ;; delete from other using customers c where c.id = other.id returning c.email, c ;; rollback",
    "returning a subquery": "begin ;; insert into spare values (1, '') returning (select email from customers where id = 1) ;; rollback",
    "a data-modifying CTE": "begin ;; with g as (update customers set id = id returning email) select * from g ;; rollback",
    "a view of their own": "create temp view v1 as select email as x from customers ;; table v1",
    "a view that stays": "create view v2 as select email as x, name as y from customers ;; select x, y from v2 ;; drop view v2",
    "a view over a view": "create view v3 as select mail from people ;; create view v4 as select * from v3 ;; table v4 ;; drop view v4, v3",
    "a view replaced": "create view v5 as select plain from other ;; table v5 ;; create or replace view v5 as select email::text as plain from customers ;; table v5 ;; drop view v5",
    "a materialised view": "create materialized view m1 as select email from customers ;; table m1 ;; drop materialized view m1",
    "a recursive view": "create recursive view v6 (x) as select name from customers ;; table v6 ;; drop view v6",
    "a rule": "begin ;; create table r1 (x text) ;; create rule r as on insert to r1 do instead select email from customers ;; insert into r1 values ('') ;; rollback",
    "a function in SQL": "create function f1() returns setof text language sql as 'select email from customers' ;; select * from f1() ;; drop function f1()",
    "a function with a body": "create function f2() returns text return (select name from customers where id = 1) ;; select f2() ;; drop function f2()",
    "a function in PL/pgSQL": "create function f3() returns text language plpgsql as 'begin return (select email from customers where id = 1); end' ;; select f3() ;; drop function f3()",
    "a function that takes it": "create function f4(text) returns text language sql as 'select reverse($1)' ;; select f4(email) from customers ;; drop function f4(text)",
    "a function that takes a row": "create function f5(customers) returns text language sql as 'select $1.email' ;; select f5(c) from customers c ;; drop function f5(customers)",
    "an aggregate": "create aggregate a1 (text) (sfunc = textcat, stype = text, initcond = '') ;; select a1(email) from customers ;; drop aggregate a1 (text)",
    "an operator": "create operator ||| (leftarg = text, rightarg = text, function = textcat) ;; select email ||| '' from customers ;; drop operator ||| (text, text)",
    "a domain": "create domain d1 as text ;; select email::d1 from customers ;; drop domain d1",
    "a type": "create type ty1 as (a text) ;; select row(email)::ty1, (row(name)::ty1).a from customers ;; drop type ty1",
    "a trigger": "begin ;; create function f6() returns trigger language plpgsql as 'begin raise notice ''%'', (select email from customers where id = 1); return new; end' ;; create trigger t6 before insert on spare for each row execute function f6() ;; insert into spare values (1, '') ;; rollback",
    "a prepared statement": "prepare p1 as select email from customers ;; execute p1 ;; deallocate p1",
    "a prepared statement of parameters": "prepare p2 (int) as select name from customers where id = $1 ;; execute p2 (1) ;; deallocate p2",
    "a cursor": "begin ;; declare c1 cursor for select email, name from customers ;; fetch all from c1 ;; move backward all in c1 ;; fetch 1 from c1 ;; rollback",
    "a held cursor": "declare c2 cursor with hold for select email from customers ;; fetch all from c2 ;; close c2",
    "a binary cursor": "begin ;; declare c3 binary cursor for select name, card::bigint from customers ;; fetch all from c3 ;; rollback",
    "update where current": "begin ;; declare c4 cursor for select * from customers ;; fetch 1 from c4 ;; update customers set id = id where current of c4 returning email ;; rollback",
    "a setting": "select set_config('x.y', email, false) from customers where id = 1 ;; show x.y ;; select current_setting('x.y')",
    "the application's name": "select set_config('application_name', name, false) from customers where id = 1 ;; select application_name from pg_stat_activity where pid = pg_backend_pid()",
    "a notification": "listen n1 ;; select pg_notify('n1', email) from customers where id = 1 ;; select 1",
    "a large object": "select lo_from_bytea(90001, email::bytea) from customers where id = 1 ;; select lo_get(90001) ;; select lo_unlink(90001)",
    "an advisory lock": "select pg_advisory_lock(card::bigint) from customers where id = 1 ;; select classid::bigint << 32 | objid::bigint from pg_locks where locktype = 'advisory' ;; select pg_advisory_unlock_all()",
    "a sequence": "create temp sequence s1 ;; select setval('s1', card::bigint) from customers where id = 1 ;; select last_value from s1 ;; select currval('s1')",
    "a comment": "do $$ begin execute format('comment on table other is %L', (select email from customers where id = 1)); end $$ ;; select obj_description('other'::regclass) ;; comment on table other is null",
    "a name": "do $$ begin execute format('create temp table %I ()', (select email from customers where id = 1)); end $$ ;; select relname from pg_class where relname ~ '@'",
    "a default": "do $$ begin execute format('create temp table t7 (x text default %L)', (select email from customers where id = 1)); end $$ ;; insert into t7 default values returning x",
    "a notice": "do $$ begin raise notice '%', (select reverse(name) from customers where id = 1); end $$",
    "an exception": "do $$ begin raise exception '%', (select reverse(name) from customers where id = 1); end $$",
    "statistics": "select most_common_vals::text, histogram_bounds::text from pg_stats where tablename = 'customers' ;; select most_common_vals from pg_catalog.pg_stats",
    "statistics as they are kept": "select stavalues1::text, stavalues2::text from pg_statistic where starelid = 'customers'::regclass",
    "extended statistics": "begin ;; create statistics st (mcv) on email, name from customers ;; analyze customers ;; select stxdmcv::text, m.* from pg_statistic_ext_data, pg_mcv_list_items(stxdmcv) m ;; rollback",
    "an index's statistics": "begin ;; create index i1 on customers (reverse(name)) ;; analyze customers ;; select histogram_bounds::text, most_common_vals::text from pg_stats where tablename = 'i1' ;; rollback",
    "explain": "explain (analyze, verbose) select * from (values ((select email from customers where id = 1))) v ;; select email from customers",
    "a partition": "begin ;; create table pa (id int, email text) partition by range (id) ;; create table pb (id int, email text) ;; insert into pb select id, email from customers ;; alter table pa attach partition pb default ;; table pa ;; rollback",
    "a child": "begin ;; create table ch () inherits (customers) ;; with m as (delete from only customers returning *) insert into ch select * from m ;; select email from ch ;; rollback",
    "search_path": "create schema sp ;; create view sp.customers as select id, email as note2 from public.customers ;; set search_path = sp, public ;; select note2 from customers ;; drop schema sp cascade",
    "search_path by set_config": "create schema sp2 ;; create table sp2.other as select email as plain from customers ;; select set_config('search_path', 'sp2, public', false) ;; select plain from other ;; drop schema sp2 cascade",
    "search_path in one read": "set search_path = pg_catalog, public ;; select email from customers ;; reset search_path ;; select name from customers",
    "a role": "set role trust_user ;; select email from customers ;; reset role",
    "xml of a query": "select query_to_xml('select reverse(name) from customers', true, true, '')",
    "xml of a table": "select table_to_xml('customers', true, true, ''), schema_to_xml('public', true, true, '')",
    "xml of a cursor": "begin ;; declare c5 cursor for select name from customers ;; select cursor_to_xml('c5', 10, true, true, '') ;; rollback",
    "a text search of a query": "select * from ts_stat('select to_tsvector(''simple'', name) from customers')",
    "a rewrite": "select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, plainto_tsquery(''simple'', name) from customers where id = 1')",
    "an error of a cast": "select reverse(name)::int from customers",
    "an error of a cast in WHERE": "select 1 from customers where name::int = 1",
    "an error of a date": "select 1 from customers where ('x' || name)::date is null",
    "an error of a division": "select 1 / (case when email = '' then 1 else name::int end) from customers",
    "an error of a key": "begin ;; create unique index on customers (name) ;; rollback",
    "an error of a constraint": "alter table customers add constraint c2 unique (email)",
    "an error of a row": "begin ;; alter table customers alter column id drop not null ;; update customers set id = null ;; rollback ;; update customers set id = null where id = 1 ;; insert into customers select 1, email from customers",
    "an error of a foreign key": "create temp table fk (e text primary key) ;; create temp table fl (e text references fk) ;; insert into fl select name from customers where id = 1",
    "an error of a function": "select pg_read_file(name) from customers where id = 1",
    "an error of JSON": "select name::json from customers",
    "an error of a name": "select iban::regclass from customers where id = 1",
    "an error of an assignment": "insert into other (id) select name::int from customers",
    "copy the table": "copy customers to stdout",
    "copy columns": "copy customers (name, email) to stdout (format csv)",
    "copy a query": "copy (select reverse(name), encode(email::bytea, 'base64') from customers) to stdout",
    "copy in binary": "copy customers to stdout (format binary)",
    "copy a view": "copy (select * from people) to stdout with csv header",
    "copy with returning": "copy (update customers set id = id returning name) to stdout",
    "copy to a program": "copy customers to program 'cat > /dev/null; echo' ;; select name from customers",
    "copy to a file and back": "copy (select reverse(name) from customers) to '/tmp/recgate-evasion-copy' ;; create temp table t9 (x text) ;; copy t9 from '/tmp/recgate-evasion-copy' ;; table t9",
    "a table access by heap pages": "create table w9 as table customers ;; select * from w9 ;; drop table w9",
    "a snapshot of another": "begin isolation level repeatable read ;; select email from customers ;; commit",
    "two databases' names": "select email from data.public.customers",
}  # fmt: skip

MESSAGES: dict[str, Sequence[bytes]] = {
    "binary": [extended("select reverse(name), convert_to(name, 'UTF8'), card::bigint from customers", results=1)],
    "codes in binary": [extended("select ascii(substr(name, n, 1)) from customers, generate_series(1, 15) n where id = 1 order by n", results=1)],
    "a record in binary": [extended("select c, array[c], row(c.name) from customers c", results=1)],
    "without a description": [parse("select reverse(name) from customers") + bind() + execute() + sync()],
    "in pieces": [parse("select name from customers") + bind() + execute(rows=1) + execute(rows=1) + execute() + sync()],
    "a statement by name, later": [parse("select name from customers", "s") + sync() + query("select 1") + bind(name="s") + execute() + sync()],
    "a statement from before a change": [parse("select plain from other", "s") + sync() + query("begin; create temp table other as select name as plain from customers") + bind(name="s") + execute() + sync() + query("rollback")],
    "a view that changes under a statement": [query("create view vx as select plain from other") + parse("select plain from vx", "s") + sync() + query("create or replace view vx as select name as plain from customers") + bind(name="s") + execute() + sync() + query("drop view vx")],
    "a path that changes under a statement": [query("create schema sx; create table sx.other as select name as plain from customers") + parse("select plain from other", "s") + sync() + query("set search_path = sx, public") + bind(name="s") + execute() + sync() + query("drop schema sx cascade")],
    "a pipeline with a change in it": [parse("create temp view vy as select name as q from customers") + bind() + execute() + parse("select q from vy") + bind() + execute() + sync()],
    "a pipeline with a path in it": [query("create schema sy; create table sy.other as select name as plain from customers") + parse("set search_path = sy, public") + bind() + execute() + parse("select plain from other") + bind() + execute() + sync() + query("drop schema sy cascade")],
    "queries in one read": [query("select 1"), query("select name from customers"), query("select 2")] * 10,
    "EXECUTE of a statement": [parse("select reverse(name) from customers", "s") + sync() + query("execute s")],
    "FETCH of a portal": [query("begin") + parse("select name from customers") + bind(portal="c") + parse("fetch all from c") + bind() + describe() + execute() + sync() + query("rollback")],
    "a portal of a cursor": [query("begin") + query("declare c cursor for select name from customers") + describe(b"P", "c") + execute("c") + sync() + query("rollback")],
    "an error with a bound value": [extended("select $1::int", CANARIES["name"].encode())],
    "copied in and out again": [query("create temp table ci (e text)") + query("copy ci from stdin") + copy_data(b"nothing\n") + copy_done() + query("insert into ci select name from customers") + query("table ci")],
}  # fmt: skip


SCRIPTS: dict[str, list[bytes]] = {
    **{name: [query(text)] for name, text in CHANGED.items()},
    **{f"elsewhere: {name}": [query(part) for part in text.split(";;")] for name, text in ELSEWHERE.items()},
    **{f"message: {name}": list(script) for name, script in MESSAGES.items()},
}
# What the client sent itself is no secret of the table's.
OWN = frozenset(("message: an error with a bound value",))


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - OWN))
def test_nothing_of_a_masked_column_is_to_be_had(house: House, name: str) -> None:
    script = SCRIPTS[name]
    with house.direct("data") as client:
        truth = client.say(*script)
    assert leaks(truth), f"nothing is to be seen without the gateway either: {truth.errors}"
    for target in ("origin", "origin-mask"):
        with house.through(target, "data") as client:
            heard = client.say(*script)
        assert leaks(heard) == [], (target, heard.data[:1500])
        assert heard.closed is truth.closed, target


# What people ask every day is answered, masked: a mask that refuses everything is none.
ANSWERED = {
    "select id, email from customers order by id": [b"1", b"2", b"3"],
    "select id, email as harmless from customers c order by email nulls first": [b"2", b"1", b"3"],
    "select count(*), count(email), count(distinct email) from customers where email is not null": [b"2"],
    "with a as (select id, upper(name) as n from customers) select id, n from a join other using (id) order by id": [
        b"1",
        b"2",
    ],
    "select p.id, p.mail, p.called from people p order by 1 limit 1": [b"1"],
    "select id, substr(email, 1, 3) || '…', coalesce(note, 'none') from customers where id = 1": [b"1"],
    "select id, row_to_json(c) from customers c where id = 2": [b"2"],
    "select o.plain from other o where o.id = 1": [b"nothing"],
    "select max(id), string_agg(name, ', ') from customers": [b"3"],
}


@pytest.mark.parametrize("text", ANSWERED)
def test_what_people_ask_every_day_is_answered(house: House, text: str) -> None:
    with house.through("origin", "data") as client:
        heard = client.say(extended(text))
    assert heard.errors == []
    assert [row[0] for row in heard.rows] == ANSWERED[text]
    assert leaks(heard) == []


GUESSED = "select string_agg(chr(a), '' order by g) from customers, generate_series(1, 15) g, generate_series(32, 122) a where id = 1 and substr(name, g, 1) = chr(a)"


def test_what_predicates_tell_is_told_or_refused_as_the_mask_says(house: House) -> None:
    """It is on the page about what masks promise: with `predicates: allow`, the default, values can be guessed by asking."""
    for target, told in (("origin", True), ("origin-strict", False)):
        with house.through(target, "data") as client:
            heard = client.say(query(GUESSED), query("select email from customers where name like 'Z%'"))
        assert bool(leaks(heard)) is told, target
        assert heard.closed is False
    assert heard.errors[0].startswith("42501 columns-origin-strict: ")


def test_the_fast_path_shows_nothing(house: House) -> None:
    script = call(house.oid("data")("query_to_xml"), b"select reverse(name) from customers", b"t", b"t", b"")
    with house.direct("data") as client:
        assert leaks(client.say(script))
    with house.through("origin", "data") as client:
        assert leaks(client.say(script)) == []
