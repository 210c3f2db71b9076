"""Raw tokens of a real provider in the password's place: real `psql`, and OAUTHBEARER by a client of RFC 7628."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.oidc.tests.issuing import access_claims
from recgate.testing.process import GatewayProcess
from tests.peers.oidcprovider import AUDIENCE, OPAQUE_AUDIENCE, SECRET, OidcProvider
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.test_oidc_provider import device
from tests.test_postgres_gateway import Bearer


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        running.set_user("alice", groups=["ops"])
        yield running


class Gate(GatewayProcess):
    """Takes tokens of `corp`, by OAUTHBEARER on its first listener and as passwords on its second."""

    def __init__(self, directory: Path, provider: OidcProvider, cluster: Cluster, **changed: Any) -> None:
        secret = directory / "client.secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        corp = {
            "name": "corp",
            "issuer": provider.issuer,
            "client_id": "gateway",
            "client_secret_file": str(secret),
            "audience": AUDIENCE,
            "ca": str(provider.ca),
            "poll": "200ms",
            **changed,
        }
        target = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": "local:prod-db",
            "allow": ["group:ops"],
        }
        listener = {"protocol": "postgres", "bind": "127.0.0.1:0"}
        by_bearer = {**listener, "auth": "oauth", "issuer": provider.issuer, "scope": "openid"}
        strict = {**target, "name": "strict-db", "require": {"acr": ["mfa"]}}
        fresh = {**target, "name": "fresh-db", "require": {"max_age": "5m"}}
        super().__init__(
            directory,
            {
                "listeners": [by_bearer, listener],
                "targets": [target, strict, fresh],
                "identity": [{"oidc": corp}, {"local": {}}],
                "observers": [{"jsonl": {}}],
                "limits": {"recheck": "200ms"},
            },
        )
        secret_of = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
        self.run(*secret_of, stdin=PASSWORD + "\n")
        self._seen: set[str] = set()

    def psql(self, token: str, target: str = "prod-db") -> subprocess.CompletedProcess[str]:
        """Ask for a number, with a token in the password's place."""
        port = [each["port"] for each in self.ready["listeners"]][1]
        where = f"host=127.0.0.1 port={port} user={target} sslmode=verify-full"
        return subprocess.run(
            ["psql", "-XAtwc", "SELECT 41 + 1", f"{where} sslrootcert={self.data_dir / 'ca.pem'}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PGPASSWORD": token},
        )

    def bearer(self, token: str) -> str:
        """Ask for a number by OAUTHBEARER; gives it, or what the refusal says."""
        client = Bearer(self)
        try:
            client.show(token)
            _, body = client.message()
            if body[:4] != struct.pack(">I", 0):
                client.say(b"\x01")
                return client.message()[1].decode()
            client.until(b"Z")
            client.say(b"SELECT 41 + 1\0", b"Q")
            (row,) = [body for kind, body in client.until(b"Z") if kind == b"D"]
            return row[6:].decode()
        finally:
            client.socket.close()

    def whose(self) -> list[tuple[str, list[str], str]]:
        """User, groups and target of every session since this was last asked, once they are sealed."""
        self.until(lambda: all(row["status"] == "sealed" for row in self.rows("sessions")), "the seals")
        rows = [row for row in self.rows("sessions") if row["id"] not in self._seen]
        self._seen.update(row["id"] for row in rows)
        return [(row["user"], row["groups"], row["target"]) for row in rows]

    def audited(self) -> str:
        return (self.data_dir / "audit.jsonl").read_text()


@pytest.fixture(scope="module")
def gate(
    tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider, cluster: Cluster
) -> Iterator[Gate]:
    with Gate(tmp_path_factory.mktemp("gate"), provider, cluster) as running:
        yield running


def test_a_raw_access_token_is_a_password_and_a_bearer_token(gate: Gate, provider: OidcProvider) -> None:
    token = device(provider).json()["access_token"]
    assert token.count(".") == 2

    done = gate.psql(token)
    assert done.stdout == "42\n", done.stderr
    assert gate.bearer(token) == "42"
    assert gate.whose() == [("alice", ["ops"], "prod-db")] * 2
    assert token not in gate.log() + gate.audited()


@pytest.mark.parametrize("way", ["psql", "bearer"])
def test_an_id_token_is_no_access_token(gate: Gate, provider: OidcProvider, way: str) -> None:
    token = device(provider).json()["id_token"]

    said = gate.psql(token).stderr if way == "psql" else gate.bearer(token)

    assert "authentication failed" in said
    assert "authentication failed" in said, f"{said}\n{gate.log()}"
    assert gate.whose() == []
    assert token not in gate.log() + gate.audited()


def test_an_opaque_token_is_asked_after(tmp_path: Path, provider: OidcProvider, cluster: Cluster) -> None:
    with Gate(tmp_path, provider, cluster, audience=OPAQUE_AUDIENCE, introspection={"cache": "1s"}) as gate:
        token = device(provider, resource=OPAQUE_AUDIENCE).json()["access_token"]
        assert "." not in token

        assert gate.psql(token).stdout == "42\n", gate.log()
        assert gate.bearer(token) == "42"
        assert gate.whose() == [("alice", ["ops"], "prod-db")] * 2
        provider.revoke("alice")
        gate.until(lambda: gate.psql(token).returncode == 2, "the revoked token refused")
        assert token not in gate.log() + gate.audited()


def test_a_target_that_demands_more_says_how_to_sign_in_again(gate: Gate, provider: OidcProvider) -> None:
    weak = device(provider, acr="pwd").json()["access_token"]
    refused = gate.psql(weak, "strict-db")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "recgate login --acr mfa" in refused.stderr
    old = provider.signed(access_claims(provider, groups=["ops"], acr="mfa", auth_time=1))
    refused = gate.psql(old, "fresh-db")
    assert "recgate login --fresh" in refused.stderr
    assert gate.psql(device(provider, acr="mfa").json()["access_token"], "strict-db").stdout == "42\n"
    assert gate.psql(weak, "fresh-db").stdout == "42\n"
