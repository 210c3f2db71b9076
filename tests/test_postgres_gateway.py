"""PostgreSQL through the shipped gateway: what only the whole of it can show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster) -> Iterator[GatewayProcess]:
    """A gateway with one target, and alice, who may open it."""
    target = {
        "name": "prod-db",
        "protocol": "postgres",
        "address": f"127.0.0.1:{cluster.port}",
        "options": {"database": "postgres", "tls": "disable"},
        "credential": "local:prod-db",
        "allow": ["user:alice"],
    }
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require"}]
    process = GatewayProcess(tmp_path, {"listeners": listeners, "targets": [target]})
    process.run("user", "add", "alice")
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    with process:
        yield process


def connect(gate: GatewayProcess) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user="prod-db", password=gate.token("alice"),
        sslmode="verify-full", sslrootcert=str(gate.data_dir / "ca.pem"), autocommit=True,
    )  # fmt: skip


def test_a_cancel_request_inside_tls_is_closed_as_tls_is(gate: GatewayProcess) -> None:
    """libpq 17 and later send it so, and report a failure where the close_notify of PostgreSQL is missing."""
    with connect(gate) as connection:
        assert connection.pgconn.ssl_in_use
        connection.cancel_safe()
        assert connection.execute("SELECT 1").fetchone() == (1,)
