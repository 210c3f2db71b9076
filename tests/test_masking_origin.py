"""Masks by origin of the shipped gateway, with both real servers: no alias dodges them, no client trips over them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin, wheel_bin

SSN = "078-05-1120"
OTHER = "219-09-9999"
KEPT = "*******1120"

TABLES = """
create table people (id serial primary key, name text, ssn text, code int, check (id > 0));
create table notes (person int, note text);
insert into people (name, ssn, code) values ('ann', '078-05-1120', 4711);
insert into people (name, ssn, code) values ('bob', '219-09-9999', 4712), ('nil', null, null);
create view everybody as select name as who, ssn as number from people;
create function reveal() returns text language plpgsql as 'begin return (select ssn from public.people limit 1); end';
create function tidy(text) returns text language sql immutable as 'select upper($1)';
create schema other;
create table other.people (id int, name text, ssn text);
insert into other.people values (9, 'eve', 'clear');
analyze people;
grant all on all tables in schema public, other to public;
grant all on all sequences in schema public to public;
grant usage on schema other to public;
"""


@pytest.fixture(scope="module", params=["wheel", "debian"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(wheel_bin() if request.param == "wheel" else debian_bin(), tls=False) as running:
        place = f"host={running.host} port={running.port} user=postgres dbname=postgres sslmode=disable"
        with psycopg.connect(place, password=PASSWORD, autocommit=True) as connection:
            connection.execute(TABLES.encode())
        yield running


def configuration(cluster: Cluster, **mask: object) -> dict[str, object]:
    return {
        "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}],
        "targets": [
            {
                "name": name,
                "protocol": "postgres",
                "address": f"127.0.0.1:{cluster.port}",
                "options": {"database": "postgres", "tls": "disable"},
                "credential": "local:db",
                "labels": labels,
                "allow": ["group:staff"],
            }
            for name, labels in (("prod-db", {"data": "pii"}), ("open-db", {}))
        ],
        "masks": [
            {
                "name": "pii",
                "columns": ["public.people.ssn", "*.code"],
                "functions": ["public.tidy"],
                "targets": {"data": "pii"},
                "except": ["group:privacy"],
                "with": {"keep_last": 4},
                **mask,
            }
        ],
        "recording": {"index_values": True},
    }


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    with running(tmp_path_factory.mktemp("gate"), configuration(cluster)) as process:
        yield process


@contextlib.contextmanager
def running(directory: Path, config: dict[str, object]) -> Iterator[GatewayProcess]:
    process = GatewayProcess(directory, config)
    process.run("user", "add", "alice", "--group", "staff")
    process.run("user", "add", "petra", "--group", "staff", "--group", "privacy")
    process.run("secret", "set", "db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n")
    with process:
        yield process


def connect(gate: GatewayProcess, user: str = "alice", target: str = "prod-db") -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=gate.port("postgres"),
        user=target,
        password=gate.token(user),
        sslmode="disable",
        autocommit=True,
    )


def ask(
    gate: GatewayProcess, text: str, *, user: str = "alice", binary: bool = False
) -> list[tuple[object, ...]]:
    with connect(gate, user) as connection:
        return connection.cursor(binary=binary).execute(text.encode()).fetchall()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("text", "shown"), [
    ("select ssn from people order by id", [(KEPT,), ("*******9999",), (None,)]),
    ("select name as x, ssn as y, code as z from people where id = 1", [("ann", KEPT, 0)]),
    ("with a as (select ssn b from people) select b from a where b like '078%'", [(KEPT,)]),
    ("select number from everybody where who = 'ann'", [(KEPT,)]),
    ("select p.* from people p join notes n on n.person = p.id", []),
    ("table people", [(1, "ann", KEPT, 0), (2, "bob", "*******9999", 0), (3, "nil", None, None)]),
    ("select upper(ssn), ssn || '', left(ssn, 3), max(ssn) over () from people where id = 1", [("****",) * 4]),
    ("select tidy(ssn), tidy(name) from people where id = 1", [("****", "ANN")]),
    ("select row_to_json(p), p from people p where id = 1", [("****", None)]),
    ("select ssn from people union all select name from people", [(KEPT,), ("*******9999",), (None,)] + [(None,)] * 0),
    ("select count(*), max(name) from people", [(3, "nil")]),
    ("select ssn from other.people", [("clear",)]),
])  # fmt: skip
def test_wherever_the_value_goes_it_is_masked(gate, text, shown, binary):
    rows = ask(gate, text, binary=binary)

    if "union" in text:
        assert SSN not in repr(rows)
        assert rows[:3] == shown
    else:
        assert rows == shown


def test_what_would_take_the_value_elsewhere_is_refused_and_the_session_goes_on(gate):
    with connect(gate) as connection:
        for text, said in (
            ("create table copies as select ssn from people", "CREATE TABLE AS would take it along"),
            ("insert into notes select id, ssn from people", "would take it along"),
            ("update notes set note = (select ssn from people limit 1)", "would take it along"),
            ("select reveal()", "public.reveal is not the server's own"),
            ("do $$ begin perform ssn from people; end $$", "can do what nobody here can read"),
            ("select set_config('a.b', ssn, false) from people", "set_config"),
            ("select pg_notify('x', ssn) from people", "pg_notify"),
            ("select 1; select reveal()", "public.reveal"),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="pii: ") as refused:
                connection.execute(text.encode())
            assert said in str(refused.value)
        assert connection.execute("select 1").fetchone() == (1,)


def test_errors_quote_nothing(gate):
    with connect(gate) as connection:
        notices: list[str] = []
        connection.add_notice_handler(lambda each: notices.append(str(each.message_primary)))
        for text in (
            "select ssn::int from people",
            "select count(*) from people where ssn::date is null",
            "select ssn::regclass from people",
            "update people set id = -1",
        ):
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(text.encode())
            assert SSN not in str(refused.value)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the column snn is not known"):
            connection.execute("select snn from people")
        with pytest.raises(psycopg.errors.UndefinedFunction, match="operator does not exist"):
            connection.execute("select name from people where ssn = 1")
        assert SSN not in repr(notices)


def test_pipelines_prepared_statements_and_cursors(gate):
    with connect(gate) as connection:
        with connection.pipeline():
            first = connection.execute("select ssn from people where id = %s", [1], prepare=True)
            second = connection.execute("select name from people where id = %s", [1], prepare=True)
            third = connection.execute("select ssn from people where id = %s", [2], prepare=True)
        assert [each.fetchone() for each in (first, second, third)] == [(KEPT,), ("ann",), ("*******9999",)]
        with connection.transaction(), connection.cursor("named") as cursor:
            cursor.itersize = 1
            cursor.execute("select ssn, name from people order by id limit 2")
            assert list(cursor) == [(KEPT, "ann"), ("*******9999", "bob")]
        connection.execute("prepare q as select ssn from people where id = $1")
        assert connection.execute("execute q(1)").fetchall() == [(KEPT,)]


def in_one_go(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute("insert into notes values (1, 'before')")
        connection.execute("select reveal()")
        connection.execute("insert into notes values (2, 'after')")


def test_a_refused_statement_in_a_pipeline_leaves_nothing_behind(gate):
    with connect(gate) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            in_one_go(connection)
        assert connection.execute("select * from notes").fetchall() == []


def test_copy_out(gate):
    with connect(gate) as connection, connection.cursor() as cursor:
        with cursor.copy("copy people (id, ssn) to stdout") as copy:
            assert b"".join(copy) == b"1\t*******1120\n2\t*******9999\n3\t\\N\n"
        with cursor.copy("copy (select id, ssn from people) to stdout csv header") as copy:
            assert b"".join(copy) == b'id,ssn\n1,"*******1120"\n2,"*******9999"\n3,\n'
        with cursor.copy("copy people to stdout (format binary)") as copy:
            assert SSN.encode() not in b"".join(copy)


def test_what_is_made_in_the_open_transaction_is_not_followed_until_it_is_committed(gate):
    with connect(gate) as connection:
        connection.execute("begin")
        connection.execute("create table fresh (a int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="COMMIT it first"):
            connection.execute("select * from fresh")
        connection.execute("rollback")
        connection.execute("create view mine as select ssn as harmless from people")
        assert connection.execute("select harmless from mine where harmless like '078%'").fetchall() == [
            (KEPT,)
        ]
        connection.execute("create or replace view mine as select name as harmless from people")
        assert connection.execute("select harmless from mine limit 1").fetchall() == [("ann",)]
        connection.execute("drop view mine")


def test_the_search_path_of_the_session_counts(gate):
    with connect(gate) as connection:
        assert connection.execute("select ssn from people where id = 1").fetchall() == [(KEPT,)]
        connection.execute("set search_path = other, public")
        assert connection.execute("select ssn from people").fetchall() == [("clear",)]
        connection.execute("begin")
        connection.execute("set local search_path = public")
        assert connection.execute("select ssn from people where id = 1").fetchall() == [(KEPT,)]
        connection.execute("rollback")
        assert connection.execute("select ssn from people").fetchall() == [("clear",)]
        connection.execute("select set_config('search_path', 'public', false)")
        assert connection.execute("select ssn from people where id = 1").fetchall() == [(KEPT,)]


def test_psql(gate):
    place = f"host=127.0.0.1 port={gate.port('postgres')} user=prod-db dbname=postgres sslmode=disable"
    environment = {**os.environ, "PGPASSWORD": gate.token("alice")}
    script = "\\d people\nselect ssn as x from people order by id;\n\\copy people (ssn) to stdout\nselect reveal();\n"
    done = subprocess.run(
        ["psql", "-X", place],
        input=script,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )

    assert KEPT in done.stdout
    assert 'Table "public.people"' in done.stdout, done.stdout + done.stderr
    assert SSN not in done.stdout + done.stderr
    assert "public.reveal is not the server's own" in done.stderr


def test_whom_the_mask_spares_and_what_it_does_not_cover(gate):
    assert ask(gate, "select ssn from people where id = 1", user="petra") == [(SSN,)]
    with connect(gate, target="open-db") as connection:
        assert connection.execute("select ssn from people where id = 1").fetchall() == [(SSN,)]


def test_the_value_is_nowhere_afterwards(tmp_path, cluster):
    with running(tmp_path, configuration(cluster)) as gate:
        assert ask(gate, "select ssn as x from people where id = 1") == [(KEPT,)]
        with connect(gate) as connection, pytest.raises(psycopg.Error):
            connection.execute("select reveal()")
        gate.until(
            lambda: all(each["status"] == "sealed" for each in gate.rows("sessions", "--json")),
            "they are sealed",
        )
        sessions = {str(each["id"]): each for each in gate.rows("sessions", "--json")}
        assert sorted(int(str(each["masked"])) for each in sessions.values()) == [0, 1]
        entries = [each for name in sessions for each in gate.rows("show", name, "--json", "--rows")]
        (note,) = [each for each in entries if each["kind"] == "mask"]
        assert (note["rule"], note["place"], note["count"]) == ("pii.people.ssn", "x", 1)
        (denied,) = [each for each in entries if each["kind"] == "decision" and each.get("effect") == "deny"]
        assert "public.reveal" in str(denied["reason"])
        gate.run("verify", "--all")
        gate.stop()
        haystack = [gate.log(), json.dumps(entries)]
        haystack += [
            path.read_bytes().decode("latin-1") for path in gate.data_dir.rglob("*") if path.is_file()
        ]
        assert not [text for text in haystack if SSN in text]


def test_masked_whole_and_without_predicates(tmp_path, cluster):
    with running(tmp_path, configuration(cluster, untraced="mask", predicates="refuse")) as gate:
        assert ask(gate, "select reveal()") == [(None,)]
        assert ask(gate, "select name from people where id = 1") == [("ann",)]
        with connect(gate) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not decide what is found"):
                connection.execute("select name from people where ssn like '078%'")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("do $$ begin end $$")


def test_a_catalog_that_cannot_be_read_refuses_what_names_anything(tmp_path, cluster):
    config = configuration(cluster)
    for target in config["targets"]:  # type: ignore[attr-defined]
        target["catalog_credential"] = "local:missing"
    with running(tmp_path, config) as gate:
        with connect(gate) as connection:
            connection.execute("begin")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="could not be read"):
                connection.execute("select ssn from people")
            connection.execute("rollback")
