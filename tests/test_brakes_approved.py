"""An answer that waits at its row for people: it goes on to its end, or stops there, or its client gives it up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.test_approvals_gateway import configuration, connect, psql, requests, waiting

RULE = {
    "name": "brake",
    "when": "session.rows > 100",
    "then": {"hold": {"approvers": ["group:leads"], "timeout": "2m"}},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gate"), {**configuration(cluster), "policies": [RULE]})
    process.run("user", "add", "alice")
    process.run("user", "add", "carol", "--group", "leads")
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    with process:
        yield process


class Streaming:
    """A client that takes rows one by one, beside the test."""

    def __init__(self, connection: psycopg.Connection[Any], statement: str) -> None:
        self.rows = 0
        self.error: psycopg.Error | None = None
        self.notices: list[str] = []
        connection.add_notice_handler(lambda notice: self.notices.append(notice.message_primary or ""))
        self._work = (connection, statement.encode())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        connection, statement = self._work
        try:
            for _ in connection.cursor().stream(statement):
                self.rows += 1
        except psycopg.Error as exc:
            self.error = exc

    def done(self) -> tuple[int, str | None]:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.rows, self.error.sqlstate if self.error is not None else None


def test_what_is_approved_goes_on_and_the_next_is_asked_about_anew(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        client = Streaming(connection, "select generate_series(1, 250)")
        asked = waiting(gate, "brake")
        gate.until(lambda: client.rows == 100, "a hundred rows")
        assert requests(gate, "approve", str(asked["id"]), "--reason", "ok").returncode == 0
        assert client.done() == (250, None)
        assert any("waits for approval by group:leads" in notice for notice in client.notices)
        client = Streaming(connection, "select 1")
        assert requests(gate, "deny", str(waiting(gate, "brake")["id"]), "--reason", "no").returncode == 0
        assert client.done() == (0, "42501")


def test_what_is_denied_ends_at_its_row(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        client = Streaming(connection, "select generate_series(1, 2000000)")
        assert requests(gate, "deny", str(waiting(gate, "brake")["id"]), "--reason", "no").returncode == 0
        assert client.done() == (100, "42501")
        connection.execute("set application_name = 'x'")


def test_a_cancel_gives_up_what_waits(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        client = Streaming(connection, "select generate_series(1, 2000000)")
        waiting(gate, "brake")
        gate.until(lambda: client.rows == 100, "a hundred rows")
        connection.cancel()
        assert client.done() == (100, "57014")
        connection.execute("set application_name = 'x'")
    gate.until(lambda: not gate.rows("requests", "ls"), "nothing waits any more")


def test_a_client_that_leaves_withdraws(gate: GatewayProcess) -> None:
    with psql(gate, "select generate_series(1, 2000000)") as client:
        waiting(gate, "brake")
        client.kill()
        gate.until(lambda: not gate.rows("requests", "ls"), "nothing waits any more")


def test_what_is_approved_at_a_row_is_bound_to_the_values_it_runs_with(gate: GatewayProcess) -> None:
    def asked_with(connection: psycopg.Connection[Any], upto: int) -> tuple[str, list[str]]:
        found: list[tuple[str, list[str]]] = []

        def decide() -> None:
            row = waiting(gate, "brake")
            said = json.loads(requests(gate, "show", str(row["id"]), "--json").stdout)
            found.append((said["digest"], said["binds"]))
            requests(gate, "deny", str(row["id"]), "--reason", "no")

        deciding = threading.Thread(target=decide)
        deciding.start()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select generate_series(1, %s)", (upto,), prepare=True)
        deciding.join()
        return found[0]

    with connect(gate) as connection:
        one, another = asked_with(connection, 1000), asked_with(connection, 2000)
    assert (one[1], another[1]) == (["1000"], ["2000"])
    assert one[0] != another[0]
