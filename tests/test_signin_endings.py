"""What ends a sign-in ends what it opened, within the configured seconds: real `ssh` and `psql` in mid-session.

Each end is told in the protocol's own words, the recording is sealed and complete, and what a vault lent is taken back.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.oidc.tests.issuing import access_claims
from tests.oidcgate import OidcGate
from tests.peers.oidcprovider import OidcProvider
from tests.peers.openbao import OpenBao
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd
from tests.test_revocation import ended, opened

WITHIN = 15.0  # seconds; `poll` and `recheck` are 0.3 together, the rest is a busy machine's
CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


class EndingGate(OidcGate):
    """With a database besides, for which an OpenBao makes a user for each session."""

    def __init__(
        self, directory: Path, sshd: Sshd, provider: OidcProvider, cluster: Cluster, bao: OpenBao
    ) -> None:
        token = directory / "vault-token"
        token.touch(mode=0o600)
        token.write_text(bao.token("gate", period="1h"))
        self._vault = {
            "name": "hv",
            "address": bao.address,
            "ca": str(bao.authority.path),
            "auth": {"token": {"file": str(token)}},
        }
        self._database = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": "hv:database/creds/app",
            "allow": ["group:ops"],
        }
        super().__init__(directory, sshd, provider, leeway="1s")

    def configure(self, config: Mapping[str, Any]) -> None:
        super().configure(
            {
                **config,
                "listeners": [*config["listeners"], {"protocol": "postgres", "bind": "127.0.0.1:0"}],
                "targets": [*config["targets"], self._database],
                "vaults": [{"vault": self._vault}, {"sealed": {"name": "local"}}],
            }
        )

    def without(self, target: str) -> None:
        """Take a target out of the configuration, and have it read."""
        config = yaml.safe_load(self.config_file.read_text())
        config["targets"] = [each for each in config["targets"] if each["name"] != target]
        self.config_file.write_text(yaml.safe_dump(config))
        os.kill(self.pid, signal.SIGHUP)

    def psql(self, token: str, *words: str) -> subprocess.Popen[bytes]:
        """Real `psql`, with a token in the password's place."""
        where = f"host=127.0.0.1 port={self.port('postgres')} user=prod-db dbname=prod-db"
        line = ["psql", "-XAt", f"{where} sslmode=verify-full sslrootcert={self.data_dir / 'ca.pem'}", *words]
        return subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PGPASSWORD": token},
        )


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        running.psql("CREATE ROLE manager SUPERUSER LOGIN PASSWORD 'manage'")
        yield running


@pytest.fixture(scope="module")
def bao(cluster: Cluster) -> Iterator[OpenBao]:
    with OpenBao() as server:
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
        server.policy("gate", **{"database/creds/app": "read", "sys/leases/revoke": "update"})
        yield server


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    sshd: Sshd,
    provider: OidcProvider,
    cluster: Cluster,
    bao: OpenBao,
) -> Iterator[EndingGate]:
    with EndingGate(tmp_path_factory.mktemp("gate"), sshd, provider, cluster, bao) as gate:
        provider.trust(gate.data_dir / "ca.pem")
        told = f"https://127.0.0.1:{gate.port('https')}/api/v1/oidc/backchannel/corp"
        provider.set_client("gateway", backchannel_logout_uri=told, backchannel_logout_session_required=True)
        yield gate


@pytest.fixture
def gate(running: EndingGate, provider: OidcProvider) -> Iterator[EndingGate]:
    provider.set_user("carol", groups=["ops"])
    config = running.config_file.read_text()
    yield running
    running.config_file.write_text(config)
    os.kill(running.pid, signal.SIGHUP)


def begun(gate: EndingGate, directory: Path, by: str, token: str) -> subprocess.Popen[bytes]:
    """A session in which the target has answered."""
    if by == "ssh":
        return opened(gate, **gate.by_password(directory, token))
    session = gate.psql(token, "-c", "SELECT 'there'", "-c", "SELECT pg_sleep(600)")
    assert session.stdout is not None
    assert session.stdout.readline() == b"there\n", gate.log()
    return session


def lent(cluster: Cluster) -> list[str]:
    return cluster.psql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'").split()


def told(gate: EndingGate, session: subprocess.Popen[bytes], by: str, reason: str, began: float) -> str:
    """What the client read at its session's end, which came in time, and is sealed and complete."""
    session.wait(60)
    assert time.time() - began < WITHIN
    words = ended(gate, session, reason)
    if by == "psql":
        assert "FATAL" in words
    return words


ENDS = {
    "revocation": ("the credential was revoked; sign in again", "revoked"),
    "back-channel": ("the credential was revoked; sign in again", "revoked"),
    "administrator": ("the credential was revoked; sign in again", "revoked"),
    "group": ("access to the target was withdrawn; sign in again", "revoked"),
    "target": ("the target was removed; `recgate targets` lists what is open to you", "revoked"),
}


@pytest.mark.parametrize("by", ["ssh", "psql"])
@pytest.mark.parametrize("end", ENDS)
def test_threat_6_what_opened_a_session_goes_and_the_session_with_it(
    gate: EndingGate, provider: OidcProvider, cluster: Cluster, tmp_path: Path, by: str, end: str
) -> None:
    token = gate.by_code().raise_for_status().json()["token"]
    session = begun(gate, tmp_path, by, token)
    assert len(lent(cluster)) == (1 if by == "psql" else 0)

    began = time.time()
    match end:
        case "revocation":
            provider.revoke("carol")
        case "back-channel":
            assert provider.sign_out("carol", "gateway")
        case "administrator":
            assert "carol" in gate.run("signin", "end", "--user", "carol")
        case "group":
            provider.set_user("carol", groups=["dev"])
        case _:
            gate.without("prod-web" if by == "ssh" else "prod-db")
    why, reason = ENDS[end]

    assert why in told(gate, session, by, reason, began)
    gate.until(lambda: lent(cluster) == [], "what the vault lent taken back")
    if end in ("revocation", "back-channel", "administrator"):
        assert gate.whoami(token).status_code == 401


def test_threat_6_a_bare_token_lasts_until_its_end_and_so_do_its_sessions(
    gate: EndingGate, provider: OidcProvider, cluster: Cluster, tmp_path: Path
) -> None:
    """Of which the provider is asked nothing: its end is all that is known."""
    over = int(time.time()) + 15
    token = provider.signed(access_claims(provider, sub="carol", groups=["ops"], exp=over))
    sessions = {by: begun(gate, tmp_path, by, token) for by in ("ssh", "psql")}
    provider.set_user("carol", groups=["dev"])
    provider.revoke("carol")

    for session in sessions.values():
        assert session.wait(60) != 0
        assert over < time.time() < over + WITHIN
        assert b"the credential has expired; sign in again" in session.communicate()[1]
    rows = gate.sealed(2)
    assert [row["reason"] for row in rows] == ["expired", "expired"]
    assert {gate.rows("verify", row["id"])[0]["status"] for row in rows} == {"complete"}
    gate.until(lambda: lent(cluster) == [], "what the vault lent taken back")


def test_a_logout_at_the_provider_is_audited_with_whose_it_was(
    gate: EndingGate, provider: OidcProvider
) -> None:
    token = gate.by_code().raise_for_status().json()["token"]
    provider.sign_out("carol", "gateway")

    gate.until(lambda: gate.whoami(token).status_code == 401, "the sign-in ended")
    last = json.loads(gate.audit("login.ended")[-1])
    assert (last["user"], last["reason"]) == ("carol", "signed out at the provider")
