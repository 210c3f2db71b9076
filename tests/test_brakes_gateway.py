"""Brakes of the shipped gateway at real clients: row N goes out, row N+1 does not, and the session goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

ROWS, BYTES = 100, 100_000
RULES: list[dict[str, Any]] = [
    {"name": "rows", "when": f'target.labels.brake == "rows" && session.rows > {ROWS}', "then": "deny"},
    {
        "name": "customers",
        "when": 'target.labels.brake == "table" && session.rows > 100 && "customers" in request.tables',
        "then": "deny",
    },
    {"name": "bytes", "when": f'target.labels.brake == "bytes" && session.bytes > {BYTES}', "then": "deny"},
    {"name": "some", "when": 'target.labels.brake == "some"', "then": {"allow": {"max_rows": 10}}},
]  # fmt: skip
MASK = {"name": "pii", "detect": ["email"], "targets": {"masked": "yes"}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        place = f"host={running.host} port={running.port} user=scram_user dbname=postgres sslmode=disable"
        with psycopg.connect(place, password=PASSWORD, autocommit=True) as connection:
            for table in ("customers", "others"):
                connection.execute(f"create table {table} as select generate_series(1, 1000) as id")
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    targets = [
        {
            "name": f"{brake}{'-masked' * masked}",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "labels": {"brake": brake, "masked": "yes" if masked else "no"},
            "credential": "local:db",
            "allow": ["user:alice"],
        }
        for brake in ("rows", "table", "bytes", "some", "none")
        for masked in (False, True)
    ]
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"}]
    process = GatewayProcess(
        tmp_path_factory.mktemp("gate"),
        {"listeners": listeners, "targets": targets, "policies": RULES, "masks": [MASK]},
    )
    process.run("user", "add", "alice")
    process.run("secret", "set", "db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n")
    with process:
        yield process


def connect(gate: GatewayProcess, target: str, **more: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user=target, password=gate.token("alice"),
        sslmode="disable", **more,
    )  # fmt: skip


def streamed(connection: psycopg.Connection[Any], statement: str) -> tuple[int, str]:
    """Take rows one by one; gives how many came, and the error behind them."""
    count = 0
    try:
        for _ in connection.cursor().stream(statement.encode()):
            count += 1
    except psycopg.Error as exc:
        return count, f"{exc.sqlstate} {exc}"
    return count, ""


@pytest.mark.parametrize("target", ["rows", "rows-masked"])
@pytest.mark.parametrize("wanted", [101, 1000, 1_000_000])
def test_a_result_ends_at_its_row_and_a_transaction_has_failed(
    gate: GatewayProcess, target: str, wanted: int
) -> None:
    with connect(gate, target) as connection:
        count, said = streamed(connection, f"select generate_series(1, {wanted}), 'x@example.org'")
        assert count == ROWS
        assert said.startswith("42501 rows: this is not allowed here (recgate session ")
        assert connection.info.transaction_status == TransactionStatus.INERROR
        connection.rollback()
        connection.execute("set application_name = 'x'")
        assert streamed(connection, "select 1")[0] == 0


@pytest.mark.parametrize("target", ["rows", "rows-masked"])
def test_a_query_of_its_own_leaves_the_session_idle(gate: GatewayProcess, target: str) -> None:
    with connect(gate, target, autocommit=True) as connection:
        for _ in range(20):  # a cancel that comes late would hit one of the statements behind
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="rows: this is not allowed"):
                connection.execute("select generate_series(1, 20000)")
            assert connection.info.transaction_status == TransactionStatus.IDLE
            connection.execute("set application_name = 'x'")
            connection.execute("do 'begin perform pg_sleep(0.01); end'")


@pytest.mark.parametrize("target", ["rows", "rows-masked"])
@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_copy_ends_at_its_row(gate: GatewayProcess, target: str, form: str) -> None:
    for wanted, comes in ((100, 100), (101, 100), (50_000, 100)):
        statement = f"copy (select generate_series(1, {wanted}), 'x') to stdout with (format {form})"
        with connect(gate, target) as connection, connection.cursor() as cursor:
            count = 0
            try:
                with cursor.copy(statement) as copy:  # pyright: ignore[reportCallIssue, reportArgumentType]
                    for _ in copy:
                        count += 1
            except psycopg.errors.InsufficientPrivilege:
                assert connection.info.transaction_status == TransactionStatus.INERROR
            else:
                assert wanted == 100
            assert count == comes + (form == "binary" and wanted == 100)  # its trailer, which is no row
            connection.rollback()
            connection.execute("set application_name = 'x'")


@pytest.mark.parametrize("target", ["rows", "rows-masked"])
def test_rows_are_counted_over_all_statements(gate: GatewayProcess, target: str) -> None:
    with connect(gate, target, autocommit=True) as connection:
        for _ in range(9):
            assert len(connection.execute("select generate_series(1, 11)", prepare=True).fetchall()) == 11
        assert streamed(connection, "select generate_series(1, 2)")[0] == 1
        assert streamed(connection, "select 1")[0] == 0


@pytest.mark.parametrize("target", ["rows", "rows-masked"])
def test_portals_with_row_limits_and_cursors(gate: GatewayProcess, target: str) -> None:
    with connect(gate, target) as connection, connection.cursor("named") as cursor:
        cursor.itersize = 30
        cursor.execute("select generate_series(1, 1000)")
        came: list[object] = []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            came.extend(iter(cursor))
        assert len(came) == 90  # the fourth FETCH failed at its eleventh row: psycopg gives none of those
        connection.rollback()


def test_everything_in_one_query_ends_with_it(gate: GatewayProcess, cluster: Cluster) -> None:
    with connect(gate, "rows", autocommit=True) as connection:
        connection.execute("create table if not exists written (n int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select generate_series(1, 1000000); insert into written values (1)")
        assert connection.info.transaction_status == TransactionStatus.IDLE
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("begin; select generate_series(1, 200); insert into written values (1)")
        assert connection.info.transaction_status == TransactionStatus.INERROR
        connection.execute("rollback")
    with connect(gate, "none", autocommit=True) as connection:
        assert connection.execute("select count(*) from written").fetchone() == (0,)


def test_a_pipeline_is_skipped_to_its_sync(gate: GatewayProcess) -> None:
    with connect(gate, "rows", autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            piped(connection, "select 1", "select generate_series(1, 1000000)", "create table never (n int)")
        connection.execute("set application_name = 'x'")
    with connect(gate, "none", autocommit=True) as connection:
        assert connection.execute("select to_regclass('never')").fetchone() == (None,)


def piped(connection: psycopg.Connection[Any], *statements: str) -> None:
    with connection.pipeline() as pipeline:
        for statement in statements:
            connection.execute(statement.encode())
        pipeline.sync()


@pytest.mark.parametrize("target", ["bytes", "bytes-masked"])
def test_bytes_end_before_the_row_that_would_be_too_much(gate: GatewayProcess, target: str) -> None:
    with connect(gate, target) as connection:
        count, said = streamed(connection, "select repeat('x', 10000) from generate_series(1, 1000)")
        assert (count, said[:12]) == (9, "42501 bytes:")
        connection.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select repeat('y', 1000000)")
        connection.rollback()
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        connection.execute("do $$ begin raise notice '%', repeat('z', 200000); end $$")
        assert notices == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("do $$ begin raise exception '%', repeat('z', 200000); end $$")


def test_a_rule_about_a_table_stops_the_statement_that_reads_it(gate: GatewayProcess) -> None:
    with connect(gate, "table", autocommit=True) as connection:
        assert streamed(connection, "select * from others")[0] == 1000
        assert streamed(connection, "select * from customers")[0] == 0  # refused when it was asked
    with connect(gate, "table", autocommit=True) as connection:
        assert streamed(connection, "select * from customers c")[0] == 100
        assert streamed(connection, "select * from others")[0] == 1000


@pytest.mark.parametrize("target", ["some", "some-masked"])
def test_each_statement_may_give_so_many_rows(gate: GatewayProcess, target: str) -> None:
    with connect(gate, target, autocommit=True) as connection:
        for _ in range(3):
            assert streamed(connection, "select generate_series(1, 10)") == (10, "")
            count, said = streamed(connection, "select generate_series(1, 11)")
            assert (count, said[:52]) == (10, "42501 some: one statement may give 10 rows here (rec")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select generate_series(1, 9); select generate_series(1, 2)")


def test_psql_goes_on_behind_what_was_stopped(gate: GatewayProcess) -> None:
    line = f"host=127.0.0.1 port={gate.port('postgres')} user=rows dbname=postgres sslmode=disable"
    done = subprocess.run(
        [str(debian_bin() / "psql"), line, "-X", "-A", "-t", "-v", "FETCH_COUNT=40"],
        env={**os.environ, "PGPASSWORD": gate.token("alice")},
        input="select generate_series(1, 1000);\n\\echo\n\\echo on it goes\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "rows: this is not allowed here" in done.stderr
    assert done.stdout.split()[-3:] == ["on", "it", "goes"]


def test_what_was_stopped_is_told_and_recorded(gate: GatewayProcess) -> None:
    with connect(gate, "rows", autocommit=True) as connection:
        streamed(connection, "select generate_series(1, 1000) as told")
    gate.until(lambda: gate.rows("sessions", "--json")[0]["status"] == "sealed", "the session is sealed")
    session = gate.rows("sessions", "--json")[0]
    assert (session["rows"], session["denied"]) == (100, 1)
    entries = gate.rows("show", str(session["id"]), "--json", "--rows")
    (decision,) = [entry for entry in entries if entry["kind"] == "decision"]
    assert (decision["rule"], decision["effect"], "told" in str(decision["text"])) == ("rows", "deny", True)
