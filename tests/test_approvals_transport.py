"""Holds over TLS, and where each frame is on the disk before it goes on: they wait, go on, and are cancelled alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.test_approvals_gateway import RULES, configuration, requests, waiting


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=True) as running:
        yield running


@pytest.fixture(scope="module", params=["synced", "written"])
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster
) -> Iterator[GatewayProcess]:
    config = configuration(cluster)
    config["listeners"][0]["tls"] = "require"
    config["targets"][0]["options"] |= {"tls": "verify-full", "ca": str(cluster.authority.path)}
    config["recording"] = {"durability": request.param}
    process = GatewayProcess(tmp_path_factory.mktemp("gate"), {**config, "policies": RULES})
    process.run("user", "add", "alice")
    process.run("user", "add", "carol", "--group", "leads")
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    with process:
        with connect(process) as connection:
            connection.execute("DROP TABLE IF EXISTS goods")
            connection.execute("CREATE TABLE goods AS SELECT generate_series(1, 3) AS n")
        yield process


def connect(gate: GatewayProcess) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user="prod-db", password=gate.token("alice"),
        dbname="postgres", sslmode="require", autocommit=True,
    )  # fmt: skip


def test_what_is_approved_goes_on(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        assert connection.pgconn.ssl_in_use
        decide = threading.Thread(
            target=lambda: requests(gate, "approve", waiting(gate)["id"], "--reason", "ok")
        )
        decide.start()
        with connection.transaction(force_rollback=True):
            assert connection.execute("DELETE FROM goods").rowcount == 3
        decide.join()
        assert connection.execute("SELECT count(*) FROM goods").fetchone() == (3,)


def test_what_is_denied_is_refused(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        decide = threading.Thread(
            target=lambda: requests(gate, "deny", waiting(gate)["id"], "--reason", "no")
        )
        decide.start()
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="carol denied it: no"):
            connection.execute("DELETE FROM goods")
        decide.join()
        assert connection.execute("SELECT count(*) FROM goods").fetchone() == (3,)


def test_a_cancel_that_is_encrypted_itself_gives_up_what_waits(gate: GatewayProcess) -> None:
    assert psycopg.pq.version() >= 170_000  # before, libpq sent it in clear
    with connect(gate) as connection:
        cancel = threading.Thread(target=lambda: (waiting(gate), connection.cancel_safe(timeout=30)))
        cancel.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("DELETE FROM goods")
        cancel.join()
        assert connection.execute("SELECT count(*) FROM goods").fetchone() == (3,)
    gate.run("verify", "--all")
