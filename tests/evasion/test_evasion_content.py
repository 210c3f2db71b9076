"""Masks by content keep what they promise: a value that looks like itself leaves by no way out, in no format.

What they do not promise (docs/explanation/masking.md, "What does not") is no leak and not tested as one: a value that is
said otherwise, reversed, cut up, shifted, in base64. That is what masks by origin are for.
"""

# ruff: noqa: E501, S608 - one query a line, and injecting is what they are for

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.evasion.ground import CANARIES, Heard, leaks
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

# Columns whose values are found by their looks, whole and in whatever stands around them.
ALL = ", ".join(CANARIES)

QUERIES = {
    "a column": "select email from customers",
    "all columns": "select * from customers",
    "the table": "table customers",
    "an alias": "select email as harmless, card as id from customers",
    "a view": "select mail, called from people",
    "a subquery": "select x from (select email from customers) as s (x)",
    "a CTE": "with s (x) as (select ssn from customers) select x from s",
    "a scalar subquery": "select (select iban from customers limit 1)",
    "a lateral": "select l.x from customers c, lateral (select c.token as x) l",
    "a join": "select b.email from customers a join customers b using (id)",
    "a set operation": "select email from customers union all select name from customers",
    "intersect": "select email from customers intersect select email from customers",
    "distinct": "select distinct on (email) email from customers order by email",
    "a group": "select email, count(*) from customers group by email",
    "grouping sets": "select email, iban from customers group by cube (email, iban)",
    "a window": "select first_value(email) over (order by id), lag(email) over (order by id desc) from customers",
    "min and max": "select min(email), max(iban), min(card) from customers",
    "mode": "select mode() within group (order by email) from customers",
    "string_agg": "select string_agg(email, ', ') from customers",
    "array_agg": "select array_agg(email), array[ssn, iban] from customers group by ssn, iban",
    "json_agg": "select json_agg(customers) from customers",
    "jsonb": "select jsonb_build_object('x', email, 'y', jsonb_build_array(card)) from customers",
    "row_to_json": "select row_to_json(c) from customers c",
    "jsonb pretty": "select jsonb_pretty(to_jsonb(c)) from customers c",
    "json path": "select jsonb_path_query(to_jsonb(c), '$.*') from customers c",
    "json each": "select k.value from customers c, json_each_text(to_json(c)) k",
    "xml": "select query_to_xml('select * from customers', true, true, '')",
    "xml element": "select xmlelement(name x, xmlattributes(email as y), ssn) from customers",
    "xml of the table": "select table_to_xml('customers', true, false, '')",
    "whole row": "select c from customers c",
    "whole row as text": "select c::text from customers c",
    "a row": "select row(email, ssn) from customers",
    "a record in an array": "select array[c] from customers c",
    "format": "select format('%s and %L', email, card) from customers",
    "concatenation": "select 'x ' || email || ' y' from customers",
    "concat": "select concat('a ', ssn, ' b'), concat_ws('; ', email, iban) from customers",
    "upper": "select upper(email), upper(iban) from customers",
    "lower": "select lower(email), lower(card) from customers",
    "initcap": "select initcap(email) from customers",
    "padding": "select rpad(email, 60), lpad(ssn, 40), repeat(card || ' ', 3) from customers",
    "quote": "select quote_literal(email), quote_nullable(ssn) from customers",
    "quote_ident": "select quote_ident(email) from customers",
    "trim": "select btrim('  ' || email || '  '), substring(email from 1) from customers",
    "case": "select case when id = 1 then email end from customers",
    "coalesce": "select coalesce(email, card), nullif(iban, ''), greatest(email, '') from customers",
    "casts": "select email::varchar, email::name, email::char(40), ssn::text, email::bpchar from customers",
    "card as a number": "select card::bigint, card::numeric from customers where id = 1",
    "card as double": "select card::bigint::text::numeric(20, 0) from customers where id = 1",
    "bytea": "select email::bytea, convert_to(iban, 'UTF8') from customers",
    "hexadecimal bytea": "select decode(encode(email::bytea, 'hex'), 'hex') from customers",
    "escape bytea": "select encode(email::bytea, 'escape') from customers",
    "hstore-like": "select array[['x', email]] from customers",
    "unnest": "select unnest(array[email, ssn]) from customers",
    "regexp": "select regexp_replace(email, '^', 'mailto:'), (regexp_match(email, '.*'))[1] from customers",
    "split": "select regexp_split_to_table(email || ' ' || ssn, ' ') from customers",
    "string_to_array": "select string_to_array(email || '|' || iban, '|') from customers",
    "values": "values ((select email from customers where id = 1))",
    "a function table": "select * from rows from (unnest((select array_agg(email) from customers)), generate_series(1, 2)) as r",
    "a temporary table": "create temp table t1 as select * from customers; select email, ssn from t1",
    "select into": "select * into temp t2 from customers; table t2",
    "insert returning": "begin; insert into spare select id, email from customers returning note; rollback",
    "update returning": "begin; update customers set id = id returning *; rollback",
    "delete returning": "begin; delete from customers returning email, customers; rollback",
    "merge and read": "begin; insert into spare values (1, ''); update spare set note = email from customers; table spare; rollback",
    "explain with a constant": "select 'x' where exists (select 1 from customers where email = 'none'); select email from customers",
    "explain of statistics": "select most_common_vals::text, histogram_bounds::text from pg_stats where tablename = 'customers'",
    "a cursor": "begin; declare c cursor for select * from customers; fetch all from c; commit",
    "a held cursor": "declare h cursor with hold for select email from customers; fetch 1 from h; close h",
    "a scrolling cursor": "begin; declare s scroll cursor for select card from customers; fetch last from s; fetch first from s; commit",
    "prepare": "prepare q1 as select email, card from customers; execute q1; deallocate q1",
    "do and a notice": "do $$ begin raise notice 'it is %', (select email from customers where id = 1); end $$",
    "a notice with detail and hint": "do $$ begin raise info using message = 'x', detail = (select email from customers where id = 1), hint = (select ssn from customers where id = 1); end $$",
    "a warning": "do $$ begin raise warning '%', (select c from customers c where id = 1); end $$",
    "an exception": "do $$ begin raise exception 'it is %', (select email from customers where id = 1); end $$",
    "an exception's names": "do $$ begin raise exception using message = 'x', column = (select email from customers where id = 1), table = (select iban from customers where id = 1); end $$",
    "an error of a cast": "select email::int from customers",
    "an error of a number": "select card::int from customers",
    "an error of a date": "select ('x ' || email)::date from customers",
    "an error of a name": "select email::regclass from customers where id = 1",
    "an error of a key": "begin; create temp table k (e text primary key) on commit drop; insert into k select email from customers where id = 1; insert into k select email from customers where id = 1; commit",
    "an error of a check": "create temp table k2 (e text check (e is null)); insert into k2 select email from customers",
    "an error of not null": "create temp table k3 (e text, n int not null); insert into k3 select email, null from customers",
    "an error of a foreign key": "create temp table k4 (e text unique); create temp table k5 (e text references k4 (e)); insert into k5 select email from customers",
    "an error of an assertion": "do $$ begin assert false, (select email from customers where id = 1); end $$",
    "an error in a function": "select pg_read_file((select email from customers where id = 1))",
    "an error of a setting": "select set_config('work_mem', (select email from customers where id = 1), false)",
    "a setting that is shown": "select set_config('x.y', (select email from customers where id = 1), false); show x.y; select current_setting('x.y')",
    "a reported setting": "select set_config('application_name', (select email from customers where id = 1), false)",
    "a notification": "listen channel; select pg_notify('channel', (select email from customers where id = 1))",
    "a name of a column": "do $$ begin execute format('create temp table named (%I int)', (select email from customers where id = 1)); end $$; table named",
    "a comment": "do $$ begin execute format('comment on table spare is %L', (select email from customers where id = 1)); end $$; select obj_description('spare'::regclass)",
    "an explain with the value": "do $$ begin execute format('create temp view ex as select 1 where %L <> ''''', (select email from customers where id = 1)); end $$; select pg_get_viewdef('ex')",
    "copy": "copy customers to stdout",
    "copy a column": "copy customers (email) to stdout",
    "copy a query": "copy (select email, card from customers) to stdout",
    "copy with CSV": "copy customers to stdout (format csv, header)",
    "copy with CSV quoted": "copy customers to stdout (format csv, force_quote *, quote '''', null 'none')",
    "copy in binary": "copy customers to stdout (format binary)",
    "copy with a delimiter": "copy customers to stdout (delimiter ';')",
    "copy in Latin 1": "copy customers to stdout (encoding 'LATIN1')",
    "many rows": "select email || ' ' || n from customers, generate_series(1, 2000) n where id = 1",
    "a long value": "select repeat('x', 300000) || ' ' || email || repeat(' y', 100000) from customers where id = 1",
    "two statements": "select 1; select email from customers; select 2",
}  # fmt: skip

WAYS: dict[str, Sequence[bytes]] = {
    "binary": [extended(f"select {ALL} from customers", results=1)],
    "binary record": [extended("select c, array[c.email], to_jsonb(c) from customers c", results=1)],
    "binary bytea": [extended("select convert_to(email, 'UTF8') from customers", results=1)],
    "a portal in pieces": [parse("select email from customers order by id desc") + bind() + describe() + execute(rows=1) + execute() + sync()],
    "without a description": [parse("select email from customers") + bind() + execute() + sync()],
    "described elsewhere": [parse("select email from customers", "s") + describe(b"S", "s") + sync() + bind(name="s") + execute() + sync()],
    "described as something else": [parse("select 1", "s") + describe(b"S", "s") + sync() + parse("select email from customers", "s2") + bind(name="s2") + execute() + sync()],
    "FETCH of a portal": [query("begin") + parse("select email from customers") + bind(portal="c") + parse("fetch all from c") + bind() + describe() + execute() + sync() + query("commit")],
    "binary cursor": [query("begin") + query("declare c binary cursor for select email, card::bigint from customers") + query("fetch all from c") + query("commit")],
    "pipelined": [(parse("select email from customers") + bind() + execute()) * 20 + sync()],
    "a value that is given back": [extended("select $1::text", CANARIES["email"].encode())],
    "copied in and out": [query("create temp table c as table customers; copy c from stdin") + copy_data(f"3\t{CANARIES['email']}\n".encode()) + copy_done() + query("table c")],
    "an error of COPY FROM": [query("create temp table n (a int); copy n from stdin") + copy_data(CANARIES["email"].encode() + b"\n") + copy_done()],
}  # fmt: skip


def check(house: House, *script: bytes) -> None:
    with house.direct("data") as client:
        truth = client.say(*script)
    assert leaks(truth), "nothing is to be seen without the gateway either, so it proves nothing"
    with house.through("content", "data") as client:
        heard: Heard = client.say(*script)
    assert leaks(heard) == [], heard.data[:2000]
    assert heard.closed is truth.closed


@pytest.mark.parametrize("text", QUERIES.values(), ids=QUERIES)
def test_no_query_shows_a_value_that_looks_like_itself(house: House, text: str) -> None:
    check(house, query(text))


@pytest.mark.parametrize("script", WAYS.values(), ids=WAYS)
def test_no_format_and_no_order_of_messages_does(house: House, script: Sequence[bytes]) -> None:
    check(house, *script)


@pytest.mark.parametrize("function", ["query_to_xml", "table_to_xml"])
def test_the_fast_path_does_not(house: House, function: str) -> None:
    what = b"select * from customers" if function == "query_to_xml" else b"customers"
    check(house, call(house.oid("data")(function), what, b"t", b"t", b""))


NOT_PROMISED = {
    "reversed": "select reverse(name) from customers",
    "base64": "select encode(email::bytea, 'base64') from customers",
    "split": "select regexp_split_to_table(email, '') from customers",
    "shifted": "select translate(lower(name), 'abcdefghijklmnopqrstuvwxyz', 'nopqrstuvwxyzabcdefghijklm') from customers",
    "codes": "select ascii(c) from customers, regexp_split_to_table(email, '') c",
    "bits": "select string_agg(ascii(c)::bit(8)::text, '') from customers, regexp_split_to_table(email, '') c",
    "an error that quotes a piece": "select (email || '{')::json from customers",
    "an error that quotes a word": "select ('<' || email || '>')::xml from customers",
    "in two": "select substr(email, 1, 8), substr(email, 9) from customers",
}


@pytest.mark.parametrize("text", NOT_PROMISED.values(), ids=NOT_PROMISED)
def test_what_is_not_promised_is_seen_by_whoever_looks_for_it(house: House, text: str) -> None:
    """The ground truth is not blind: what content masks do not see, it does."""
    with house.through("content", "data") as client:
        assert leaks(client.say(query(text)))
