"""Real clients through a real `recgate serve` to a real PostgreSQL, and what the recordings answer afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

PATIENCE = 60


class PostgresGate(GatewayProcess):
    """A gateway in front of a server with TLS, and alice, who may open its databases."""

    def __init__(self, directory: Path, cluster: Cluster, **more: Any) -> None:
        target = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"databases": "*", "ca": str(cluster.authority.path), "tag": True},
            "credential": "local:prod-db",
            "allow": ["user:alice"],
        }
        listeners = [
            {"protocol": "postgres", "bind": "127.0.0.1:0"},
            {"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require", "auth": "scram"},
        ]
        self.given: dict[str, Any] = {"listeners": listeners, "targets": [target], **more}
        super().__init__(directory, self.given)
        self.run("user", "add", "alice")
        secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
        self.run(*secret, stdin=PASSWORD + "\n")

    def place(self, extra: str = "", listener: int = 0) -> str:
        """Give the words of a connection string."""
        ports = [each["port"] for each in self.ready["listeners"]]
        ca = self.data_dir / "ca.pem"
        return (
            f"host=127.0.0.1 port={ports[listener]} user=prod-db sslmode=verify-full sslrootcert={ca} {extra}"
        )

    def psql(
        self, *commands: str, token: str, extra: str = "", listener: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run psql."""
        words = [word for command in commands for word in ("-c", command)]
        return subprocess.run(
            ["psql", "-X", "-A", "-t", "-q", *words, self.place(extra, listener)],
            env={**os.environ, "PGPASSWORD": token}, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def sealed(self) -> dict[str, Any]:
        """Wait until the newest session is sealed."""
        self.until(lambda: self.newest().get("status") == "sealed", "the newest session sealed")
        return self.newest()

    def newest(self) -> dict[str, Any]:
        """Give the row of the newest session, or an empty one."""
        rows = self.rows("sessions")
        return rows[0] if rows else {}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=True) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster) -> Iterator[PostgresGate]:
    running = PostgresGate(tmp_path, cluster)
    with running:
        yield running


def test_who_dropped_the_database_and_what_was_returned(gate: PostgresGate, cluster: Cluster) -> None:
    cluster.psql("alter role scram_user createdb")
    token = gate.token("alice")
    done = gate.psql(
        "create database doomed",
        "drop database doomed",
        "select 7 as n, 'häß' as t",
        "select 1/0",
        token=token,
    )
    assert done.stdout == "7|häß\n", done.stderr
    row = gate.sealed()

    assert (row["user"], row["target"], row["protocol"]) == ("alice", "prod-db", "postgres")
    assert row["requests"] == 4
    (hit,) = gate.rows("search", "verb:drop object:database")
    assert (hit["session"], hit["user"], hit["text"]) == (row["id"], "alice", "drop database doomed")
    entries = [entry for entry in gate.rows("show", row["id"], "--rows") if entry["kind"] in ("sql", "rows")]
    assert [entry.get("text") for entry in entries if entry["kind"] == "sql"] == [
        "create database doomed", "drop database doomed", "select 7 as n, 'häß' as t", "select 1/0",
    ]  # fmt: skip
    assert entries[-1]["error"] == "22012: division by zero"
    assert any(entry.get("rows") == [["7", "häß"]] for entry in entries)
    assert gate.rows("verify", row["id"])[0]["status"] == "complete"
    recorded = b"".join(path.read_bytes() for path in gate.data_dir.rglob("*.seg"))
    assert token.encode() not in recorded


def test_the_session_is_named_where_the_target_logs_it(gate: PostgresGate) -> None:
    said = gate.psql("show application_name", token=gate.token("alice")).stdout
    assert said.startswith(f"recgate {gate.sealed()['id']}")


def test_wrong_tokens_targets_and_databases_are_refused(gate: PostgresGate) -> None:
    token = gate.token("alice")
    assert "authentication failed" in gate.psql("select 1", token="wrong").stderr
    for name in ("prod-DB", "prod-db2", "bob+prod-db"):
        refused = gate.psql("select 1", token=token, extra=f"user={name}")
        assert refused.returncode == 2
        assert "FATAL" in refused.stderr
    assert (
        gate.psql("select current_database()", token=token, extra="dbname=template1").stdout == "template1\n"
    )


def test_scram_with_a_token_that_was_issued_for_it(gate: PostgresGate) -> None:
    token = gate.run("token", "issue", "--user", "alice", "--scram").strip()
    for binding in ("require", "disable"):
        extra = f"user=alice+prod-db channel_binding={binding}"
        done = gate.psql("select 1", token=token, extra=extra, listener=1)
        assert done.stdout == "1\n", done.stderr
    assert gate.psql("select 1", token="wrong", extra="user=alice+prod-db", listener=1).returncode == 2


def test_threat_15_ctrl_c_cancels_what_runs_and_nothing_else(gate: PostgresGate, cluster: Cluster) -> None:
    token = gate.token("alice")
    with psycopg.connect(gate.place(f"password={token}"), autocommit=True) as other:
        busy = subprocess.Popen(
            ["psql", "-X", "-c", "select pg_sleep(60)", gate.place()],
            env={**os.environ, "PGPASSWORD": token}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        running = "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
        while not cluster.psql(running):
            assert busy.poll() is None
        busy.send_signal(signal.SIGINT)
        assert "canceling statement due to user request" in busy.communicate(timeout=PATIENCE)[1]
        assert other.execute("select 1").fetchone() == (1,)


def test_a_pipeline_and_copy_both_ways(gate: PostgresGate) -> None:
    with psycopg.connect(gate.place(f"password={gate.token('alice')}"), autocommit=True) as connection:
        connection.execute("create temp table t (a int, b text)")
        with connection.pipeline():
            for number in range(50):
                connection.execute("insert into t values (%s, %s)", (number, "x" * number), prepare=True)
        with connection.cursor().copy("copy t from stdin") as copy:
            for number in range(50, 20_000):
                copy.write_row((number, "copied"))
        with connection.cursor().copy("copy t to stdout") as copy:
            assert sum(1 for _ in copy.rows()) == 20_000
    row = gate.sealed()
    entries = [entry for entry in gate.rows("show", row["id"]) if entry["kind"] == "sql"]
    inserted = [entry for entry in entries if entry["verb"] == "INSERT"]
    assert [entry["binds"][0] for entry in inserted] == [str(number) for number in range(50)]
    assert [entry["rows"] for entry in entries if entry["verb"] == "COPY"] == [19_950, 20_000]
    assert gate.rows("verify", row["id"])[0]["status"] == "complete"


def test_the_recording_says_which_database_was_opened_and_a_refused_one_is_a_denial(
    tmp_path: Path, cluster: Cluster
) -> None:
    with PostgresGate(tmp_path, cluster) as gate:
        token = gate.token("alice")
        assert gate.psql("select 1", token=token, extra="options='-c work_mem=5MB'").returncode == 0
        row = gate.sealed()
        shown = gate.run("show", row["id"], "--json")
        assert '"database":"postgres"' in shown, "what was opened, not the word prod-db that asked for it"
        assert "work_mem=5MB" in shown
        gate.configure(
            {**gate.given, "targets": [{**gate.given["targets"][0], "options": {"tls": "require"}}]}
        )
        os.kill(gate.pid, signal.SIGHUP)
        gate.until(lambda: "configuration.loaded" in gate.log(), "a reload")
        refused = gate.psql("select 1", token=token, extra="dbname=secrets")
        assert 'FATAL:  database "secrets" is not open on prod-db' in refused.stderr
        replicating = gate.psql("IDENTIFY_SYSTEM", token=token, extra="replication=database")
        assert "replication is not open on prod-db" in replicating.stderr
        assert gate.log().count('"access.denied"') == 2
        assert len(gate.rows("sessions")) == 1, "what was refused at the door opened no session"
