"""The vault plugin through the shipped gateway: real OpenBao, real PostgreSQL, and a vault that hangs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from plugins.vault.tests.hostile import Misbehaving
from recgate.testing.process import GatewayProcess
from tests.peers.openbao import OpenBao
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import free_port

CANARY = "canary-4f1c7e-in-the-vault"
CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        running.psql("CREATE ROLE manager SUPERUSER LOGIN PASSWORD 'manage'")
        running.psql(f"CREATE ROLE canary LOGIN PASSWORD '{CANARY}'")
        yield running


@pytest.fixture(scope="module")
def bao(cluster: Cluster) -> Iterator[OpenBao]:
    with OpenBao() as server:
        server.mount("secret", "kv", {"version": "2"})
        server("secret/data/canary", {"data": {"username": "canary", "password": CANARY}})
        server("secret/data/wrong", {"data": {"username": "scram_user", "password": CANARY}})
        server.mount("database", "database")
        where = f"127.0.0.1:{cluster.port}/postgres?sslmode=disable"
        server(
            "database/config/pg",
            {
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": "*",
                "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{where}",
                "username": "manager",
                "password": "manage",
            },
        )
        role = {"db_name": "pg", "creation_statements": [CREATE], "default_ttl": "1h"}
        server("database/roles/app", role)
        server.policy(
            "gate",
            **{"secret/data/*": "read", "database/creds/app": "read", "sys/leases/revoke": "update"},
            **{"auth/token/revoke-accessor": "update"},
        )
        server.policy("person", **{"database/creds/app": "read"})
        server.auth("people", "jwt")
        yield server


@pytest.fixture
def hanging() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        yield server


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster, bao: OpenBao, hanging: Misbehaving) -> Iterator[GatewayProcess]:
    token = tmp_path / "vault-token"
    token.touch(mode=0o600)
    token.write_text(bao.token("gate", period="1h"))
    auth = {"token": {"file": str(token)}}
    ca = str(bao.authority.path)
    vaults = [
        {"vault": {"name": "hv", "address": bao.address, "ca": ca, "auth": auth}},
        {
            "vault": {
                "name": "people",
                "address": bao.address,
                "ca": ca,
                "auth": auth,
                "on_behalf": {"role": "people", "mount": "people"},
            }
        },
        {"vault": {"name": "stuck", "address": hanging.address, "auth": auth, "timeout": "2s", "workers": 2}},
    ]
    paths = {
        "prod-db": "hv:database/creds/app",
        "canary-db": "hv:secret/canary",
        "wrong-db": "hv:secret/wrong",
        "denied-db": "hv:database/creds/other",
        "their-db": "people:database/creds/app",
        "stuck-db": "stuck:database/creds/app",
    }
    targets = [
        {
            "name": name,
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": path,
            "allow": ["user:alice"],
        }
        for name, path in paths.items()
    ]
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require"}]
    process = GatewayProcess(tmp_path, {"listeners": listeners, "vaults": vaults, "targets": targets})
    process.run("user", "add", "alice")
    with process:
        yield process


def connect(gate: GatewayProcess, target: str = "prod-db") -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user=target, password=gate.token("alice"),
        sslmode="verify-full", sslrootcert=str(gate.data_dir / "ca.pem"), autocommit=True, connect_timeout=20,
    )  # fmt: skip


def users(cluster: Cluster) -> list[str]:
    return cluster.psql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'").split()


def audit(gate: GatewayProcess) -> list[dict[str, object]]:
    return [json.loads(line) for line in (gate.data_dir / "audit.jsonl").read_text().splitlines()]


def test_a_session_runs_as_a_user_of_its_own_that_goes_with_it(
    gate: GatewayProcess, cluster: Cluster
) -> None:
    with connect(gate) as one, connect(gate) as two:
        names = [each.execute("SELECT session_user").fetchone() for each in (one, two)]
        assert len({*names}) == 2
        assert sorted(users(cluster)) == sorted(str(name[0]) for name in names if name)
    gate.until(lambda: users(cluster) == [], "the users dropped")


def test_a_hanging_vault_delays_its_own_targets_alone(
    gate: GatewayProcess, cluster: Cluster, hanging: Misbehaving
) -> None:
    """Open sessions go on, other vaults lend, and who waits hears of it after the deadline, in plain words."""
    with connect(gate) as before:
        for _ in range(3):  # more than it has workers
            began = time.monotonic()
            with pytest.raises(
                psycopg.OperationalError, match="no credential could be had for this target"
            ) as seen:
                connect(gate, "stuck-db")
            assert time.monotonic() - began < 10
            assert str(hanging.address) not in str(seen.value)
            assert before.execute("SELECT 1").fetchone() == (1,)
            with connect(gate) as new:
                assert new.execute("SELECT 2").fetchone() == (2,)
        assert hanging.connections
        gate.until(
            lambda: "vault stuck" in (gate.data_dir / "audit.jsonl").read_text(),
            "the reason in the audit trail",
        )
    assert "did not answer within" in (gate.data_dir / "audit.jsonl").read_text()


def test_a_refusal_is_told_to_the_operator_and_not_to_the_client(gate: GatewayProcess) -> None:
    with pytest.raises(psycopg.OperationalError) as seen:
        connect(gate, "denied-db")
    assert "database/creds" not in str(seen.value)
    assert "policy" not in str(seen.value)
    gate.until(
        lambda: 'path \\"database/creds/other\\"' in (gate.data_dir / "audit.jsonl").read_text(),
        "what the policy lacks, in the audit trail",
    )


def test_the_secret_is_nowhere_in_what_the_gateway_wrote(gate: GatewayProcess, bao: OpenBao) -> None:
    """Law 4: recordings, index, log, audit trail, and what the kernel shows of the process."""
    with connect(gate, "canary-db") as connection:
        assert connection.execute("SELECT session_user").fetchone() == ("canary",)
    with pytest.raises(psycopg.OperationalError):
        connect(gate, "wrong-db")
    gate.until(lambda: not gate.rows("sessions", "--live"), "the sessions ended")
    shown = [Path(f"/proc/{gate.pid}/cmdline"), Path(f"/proc/{gate.pid}/environ")]
    written = [path for path in gate.directory.rglob("*") if path.is_file()]
    assert len(written) > 10
    token = (gate.directory / "vault-token").read_text()
    for path in [*written, *shown]:
        data = path.read_bytes()
        assert CANARY.encode() not in data, path
        assert path.name == "vault-token" or token.encode() not in data, path
    assert PASSWORD.encode() not in b"".join(path.read_bytes() for path in written)
    assert audit(gate)


def test_the_configuration_is_checked_and_the_gateway_starts_while_the_vault_is_away(tmp_path: Path) -> None:
    auth = {"token": {"file": "vault-token"}}
    address = f"https://127.0.0.1:{free_port()}"
    vaults = [{"vault": {"name": "hv", "address": address, "auth": auth}}]
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0"}]
    gate = GatewayProcess(tmp_path, {"listeners": listeners, "vaults": vaults})

    assert "ok." in gate.run("config", "check")
    with gate:
        assert gate.port("postgres")


def test_threat_21_a_killed_gateway_gives_its_leases_back_at_the_next_start(
    gate: GatewayProcess, cluster: Cluster
) -> None:
    connection = connect(gate)
    (user,) = users(cluster)
    gate.kill()
    connection.close()
    assert users(cluster) == [user]
    (note,) = (gate.data_dir / "leases").iterdir()
    assert user not in note.read_text()

    gate.start()

    gate.until(lambda: users(cluster) == [], "the user of the killed session dropped")
    gate.until(lambda: not list((gate.data_dir / "leases").iterdir()), "the note removed")
    assert [event["event"] for event in audit(gate) if str(event["event"]).startswith("lease.")] == [
        "lease.found",
        "lease.revoked",
    ]


def test_a_vault_that_is_away_when_a_session_ends_is_asked_again(
    gate: GatewayProcess, cluster: Cluster, bao: OpenBao
) -> None:
    connection = connect(gate)
    bao.stop()
    try:
        connection.close()
        gate.until(
            lambda: any(event["event"] == "lease.unrevoked" for event in audit(gate)), "the failure told"
        )
        assert len(users(cluster)) == 1
    finally:
        bao.start()
    gate.until(lambda: users(cluster) == [], "the user dropped once the vault is back")
    gate.until(lambda: any(event["event"] == "lease.revoked" for event in audit(gate)), "the end of it told")


@pytest.fixture
def believed(gate: GatewayProcess, bao: OpenBao) -> None:
    """OpenBao believes what this gateway says of its users."""
    key = (gate.data_dir / "vault_jwt.pub").read_text()
    bao("auth/people/config", {"jwt_validation_pubkeys": [key], "bound_issuer": "gate-test"})
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": "person"}
    bao("auth/people/role/people", {**role, "bound_claims": {"name": "alice", "target": "their-db"}})


def logins(bao: OpenBao) -> int:
    """How many logins on behalf of somebody there are."""
    return len(bao.logins("auth/people/login"))


@pytest.mark.usefixtures("believed")
def test_a_user_is_made_in_the_name_of_whoever_opens_the_session(
    gate: GatewayProcess, cluster: Cluster, bao: OpenBao
) -> None:
    with connect(gate, "their-db") as connection:
        row = connection.execute("SELECT session_user").fetchone()
        assert row is not None
        assert str(row[0]).startswith("v-people-l")  # OpenBao's name for `people-local:alice`
        assert logins(bao) == 1
    gate.until(lambda: users(cluster) == [], "the user dropped")
    gate.until(lambda: logins(bao) == 0, "the login ended")
    bao("auth/people/role/people", {"role_type": "jwt", "user_claim": "sub", "bound_claims": {"name": "bob"}})
    with pytest.raises(psycopg.OperationalError, match="no credential could be had"):
        connect(gate, "their-db")


@pytest.mark.usefixtures("believed")
def test_threat_21_a_killed_gateway_ends_the_logins_of_its_sessions(
    gate: GatewayProcess, cluster: Cluster, bao: OpenBao
) -> None:
    connection = connect(gate, "their-db")
    gate.kill()
    connection.close()
    assert (len(users(cluster)), logins(bao)) == (1, 1)

    gate.start()

    gate.until(
        lambda: (len(users(cluster)), logins(bao)) == (0, 0), "user and login of the killed session gone"
    )
