"""Honest clients go on working with rules and masks on: psql, psycopg, and what graphical clients ask when they connect."""

# ruff: noqa: E501 - one query a line

from __future__ import annotations

import os
import subprocess

import psycopg
import pytest
from psycopg.rows import tuple_row

from tests.evasion.ground import leaks
from tests.evasion.house import House
from tests.evasion.wire import Heard, extended
from tests.peers.postgres import debian_bin

TARGETS = {"verbs": "verbs", "content": "data", "origin": "data"}

# What psql sends for its commands is Debian's psql's own affair: it is run.
COMMANDS = [r"\d", r"\d+", r"\dt *.*", r"\dv", r"\di", r"\ds", r"\df", r"\dT", r"\dn+", r"\du", r"\l", r"\dp", r"\dx", r"\dD", r"\do", r"\da", r"\db", r"\dconfig", r"\conninfo", r"\encoding", r"\sf pg_catalog.lower(text)"]  # fmt: skip

# What JDBC's driver and the tools on it (DBeaver, DataGrip) ask at and after the log-in, in the shape that they ask it.
METADATA = {
    "extra_float_digits": "SET extra_float_digits = 3",
    "application name": "SET application_name = 'DBeaver 24 - Main <postgres>'",
    "search path": "SHOW search_path",
    "version": "SELECT version()",
    "current": "SELECT current_schema(), session_user, current_database()",
    "transaction isolation": "SHOW TRANSACTION ISOLATION LEVEL",
    "standard strings": "SHOW standard_conforming_strings",
    "databases": "SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE datallowconn AND NOT datistemplate OR db.datname = current_database() ORDER BY db.datname",
    "database settings": "select * from pg_catalog.pg_settings where name in ('DateStyle', 'server_encoding')",
    "schemas": "SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = n.oid AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass ORDER BY nspname",
    "types": "SELECT t.oid, t.*, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid = t.typelem LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid = t.typrelid LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid = d.objoid WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')",
    "tables": "SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass WHERE c.relnamespace = 2200 AND c.relkind not in ('i', 'I', 'c')",
    "attributes": "SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value, dsc.description, dep.objid FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid = c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid = ad.adrelid AND a.attnum = ad.adnum) LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid) LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid WHERE NOT a.attisdropped AND c.relkind not in ('i', 'I', 'c') AND c.relnamespace = 2200 ORDER BY a.attnum",
    "constraints": "SELECT c.oid, c.*, t.relname as tabrelname, rt.relnamespace as refnamespace, d.description, case when c.contype = 'c' then \"substring\"(pg_get_constraintdef(c.oid), 7) else null end consrc_copy FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid = c.conrelid LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid = c.confrelid LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_constraint'::regclass WHERE c.conrelid = (select min(oid) from pg_catalog.pg_class where relkind = 'r') ORDER BY c.oid",
    "indexes": "SELECT i.*, i.indkey as keys, c.relname, c.relnamespace, c.relam, c.reltablespace, tc.relname as tabrelname, dsc.description, pg_catalog.pg_get_expr(i.indpred, i.indrelid) as pred_expr, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) as expr, pg_catalog.pg_relation_size(i.indexrelid) as index_rel_size FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid INNER JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid = dsc.objoid LIMIT 20",
    "routines": "SELECT p.oid, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid) FROM pg_catalog.pg_proc p WHERE p.pronamespace = 11 ORDER BY p.proname LIMIT 50",
    "roles": "SELECT a.oid, a.*, pd.description FROM pg_catalog.pg_roles a left join pg_catalog.pg_shdescription pd on a.oid = pd.objoid ORDER BY a.rolname",
    "sessions": "SELECT sa.pid, sa.state, sa.query FROM pg_catalog.pg_stat_activity sa WHERE pid <> pg_backend_pid()",
    "locks": "SELECT * FROM pg_catalog.pg_locks LIMIT 10",
    "extensions": "SELECT e.oid, cfg.tbls, n.nspname as schema_name, e.* FROM pg_catalog.pg_extension e join pg_namespace n on n.oid = e.extnamespace left join (select ARRAY_AGG(ns.nspname || '.' || cls.relname) tbls, oid_ext from (select unnest(e1.extconfig) oid, e1.oid oid_ext from pg_catalog.pg_extension e1) c join pg_catalog.pg_class cls on cls.oid = c.oid join pg_catalog.pg_namespace ns on ns.oid = cls.relnamespace group by oid_ext) cfg on cfg.oid_ext = e.oid ORDER BY e.oid",
    "keywords": "select string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute,action}'::text[])",
    "JDBC getTables": "SELECT current_database() AS \"TABLE_CAT\", n.nspname AS \"TABLE_SCHEM\", c.relname AS \"TABLE_NAME\", CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema' WHEN true THEN CASE WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' THEN CASE c.relkind WHEN 'r' THEN 'SYSTEM TABLE' WHEN 'v' THEN 'SYSTEM VIEW' ELSE NULL END ELSE NULL END WHEN false THEN CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE NULL END ELSE NULL END AS \"TABLE_TYPE\", d.description AS \"REMARKS\" FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid ORDER BY 4, 2, 3",
    "JDBC getColumns": "SELECT * FROM (SELECT n.nspname, c.relname, a.attname, a.atttypid, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull, a.atttypmod, a.attlen, t.typtypmod, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity, nullif(a.attgenerated, '') as attgenerated, pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc, dsc.description, t.typbasetype, t.typtype FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) JOIN pg_catalog.pg_attribute a ON (a.attrelid = c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum) LEFT JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid) WHERE c.relkind in ('r', 'p', 'v', 'f', 'm') and a.attnum > 0 AND NOT a.attisdropped AND n.nspname LIKE 'public') c WHERE true ORDER BY nspname, c.relname, attnum",
    "JDBC getPrimaryKeys": "SELECT result.TABLE_CAT, result.COLUMN_NAME, result.KEY_SEQ FROM (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME, (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME, information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE true AND i.indisprimary) result where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq",
    "JDBC getTypeInfo": "SELECT typinput = 'pg_catalog.array_in'::regproc as is_array, typtype, typname, pg_type.oid FROM pg_catalog.pg_type LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns join (select s.r, (current_schemas(false))[s.r] as nspname from generate_series(1, array_upper(current_schemas(false), 1)) as s (r)) as r using (nspname)) as sp ON sp.nspoid = typnamespace ORDER BY sp.r, pg_type.oid DESC LIMIT 30",
    "information schema": "select table_schema, table_name, column_name, data_type from information_schema.columns where table_schema = 'public' order by 1, 2, ordinal_position",
}  # fmt: skip


def heard(house: House, target: str, text: str, results: int) -> Heard:
    with house.through(target, TARGETS[target]) as client:
        return client.say(extended(text, results=results))


def plain(answer: Heard) -> list[object]:
    """What must be the same by either way: the kinds of messages and how many there are, not process numbers and times."""
    return [len(answer.rows), answer.errors, answer.closed]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", METADATA)
def test_what_graphical_clients_ask_is_answered_as_without_the_gateway(
    house: House, target: str, name: str
) -> None:
    for results in (0, 1):
        with house.direct(TARGETS[target]) as client:
            truth = client.say(extended(METADATA[name], results=results))
        found = heard(house, target, METADATA[name], results)
        assert truth.errors == [] or results == 1  # some types have no binary format
        if name in ("sessions", "locks"):
            assert found.errors == []
        else:
            assert plain(found) == plain(truth)


@pytest.mark.parametrize("target", TARGETS)
def test_the_commands_of_psql_show_what_they_show_without_the_gateway(house: House, target: str) -> None:
    def shown(port: int, user: str, password: str) -> str:
        line = f"host=127.0.0.1 port={port} user={user} dbname={TARGETS[target]} sslmode=disable"
        words = [word for command in COMMANDS if command != r"\conninfo" for word in ("-c", command)]
        done = subprocess.run(
            [str(debian_bin() / "psql"), line, "-X", *words],
            env={**os.environ, "PGPASSWORD": password},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    direct = shown(house.cluster.port, "trust_user", "")
    assert shown(house.gate.port("postgres"), target, house.token) == direct
    assert len(direct) > 5_000


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_reads_types_it_can_use(house: House, binary: bool) -> None:
    place = f"host=127.0.0.1 port={house.gate.port('postgres')} user=content dbname=data sslmode=disable"
    with psycopg.connect(place, password=house.token, row_factory=tuple_row, autocommit=True) as connection:
        text = "select id, email, card::bigint, card::numeric, jsonb_build_object('e', email), array[email, null], email::bytea, now() from customers where id < 3 order by id"
        cursor = connection.cursor(binary=binary)
        rows = cursor.execute(text).fetchall()
        assert [type(value) for value in rows[0][:7]] == [int, str, int, type(rows[0][3]), dict, list, bytes]
        assert rows[0][5][1] is None
        assert list(rows[1][1:4]) == [None, None, None]
        assert leaks(Heard(repr(rows).encode(), closed=False)) == []
        with connection.cursor().copy("copy customers (id, email) to stdout") as copy:
            assert len(list(copy.rows())) == 3
        cursor.executemany("select %s::text", [("a",), ("b",)])
        with connection.pipeline():
            first = connection.execute("select email from customers where id = 1")
            second = connection.execute("select count(*) from customers")
        assert leaks(Heard(repr(first.fetchall()).encode(), closed=False)) == []
        assert second.fetchone() == (3,)
        with connection.transaction(), connection.cursor("named") as named:
            named.execute("select email from customers order by id")
            assert len(named.fetchmany(2)) == 2


def pipelined(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute("insert into spare values (8, 8)")
        connection.execute("delete from victim")
        connection.execute("select 1")
        connection.commit()


def test_psycopg_is_refused_by_name_and_goes_on(house: House) -> None:
    place = f"host=127.0.0.1 port={house.gate.port('postgres')} user=verbs dbname=verbs sslmode=disable"
    with psycopg.connect(place, password=house.token) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-drop"):
            connection.execute("drop table victim")
        connection.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-unbounded"):
            pipelined(connection)
        connection.rollback()
        assert connection.execute("select count(*) from spare where id = 8").fetchone() == (0,)
    assert house.state("verbs") == house.intact
