"""PostgreSQL through the shipped gateway: what only the whole of it can show."""

from __future__ import annotations

import json
import socket
import ssl
import struct
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


@pytest.fixture(params=[{}])
def gate(request: pytest.FixtureRequest, tmp_path: Path, cluster: Cluster) -> Iterator[GatewayProcess]:
    """A gateway with one target, and alice, who may open it. Parameters are keys of its listener."""
    target = {
        "name": "prod-db",
        "protocol": "postgres",
        "address": f"127.0.0.1:{cluster.port}",
        "options": {"database": "postgres", "tls": "disable"},
        "credential": "local:prod-db",
        "allow": ["user:alice"],
    }
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require", **request.param}]
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


# -- OAUTHBEARER (RFC 7628), by a client that is written against it: no libpq here carries the flow -------------


class Bearer:
    """A PostgreSQL client that proves itself by SASL OAUTHBEARER inside TLS."""

    def __init__(self, gate: GatewayProcess) -> None:
        context = ssl.create_default_context(cafile=str(gate.data_dir / "ca.pem"))
        context.set_alpn_protocols(["postgresql"])
        plain = socket.create_connection(("127.0.0.1", gate.port("postgres")), timeout=30)
        self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        parameters = b"user\0prod-db\0\0"
        self.socket.sendall(struct.pack(">II", len(parameters) + 8, 196608) + parameters)
        assert self.message() == (b"R", struct.pack(">I", 10) + b"OAUTHBEARER\0\0")

    def show(self, token: str) -> None:
        auth = f"Bearer {token}" if token else ""
        first = f"n,,\x01auth={auth}\x01\x01".encode()
        self.say(b"OAUTHBEARER\0" + struct.pack(">I", len(first)) + first)

    def say(self, body: bytes, kind: bytes = b"p") -> None:
        self.socket.sendall(kind + struct.pack(">I", len(body) + 4) + body)

    def message(self) -> tuple[bytes, bytes]:
        head = self._exactly(5)
        return head[:1], self._exactly(int.from_bytes(head[1:]) - 4)

    def until(self, kind: bytes) -> list[tuple[bytes, bytes]]:
        messages = [self.message()]
        while messages[-1][0] != kind:
            messages.append(self.message())
        return messages

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, f"closed after {data!r}"
            data += more
        return data


OAUTH = {"auth": "oauth", "issuer": "https://idp.example/realm", "scope": "openid db"}
by_bearer = pytest.mark.parametrize("gate", [OAUTH], indirect=True, ids=["oauth"])


@by_bearer
def test_a_bearer_token_opens_a_session_without_a_password(gate: GatewayProcess) -> None:
    client = Bearer(gate)
    client.show(gate.token("alice"))
    assert client.message() == (b"R", struct.pack(">I", 0))
    client.until(b"Z")
    client.say(b"SELECT 41 + 1\0", b"Q")
    assert any(kind == b"D" and body.endswith(b"42") for kind, body in client.until(b"Z"))
    client.socket.close()


@by_bearer
def test_a_client_without_a_token_hears_where_to_sign_in(gate: GatewayProcess) -> None:
    client = Bearer(gate)
    client.show("")
    kind, body = client.message()
    assert (kind, body[:4]) == (b"R", struct.pack(">I", 11))
    assert json.loads(body[4:]) == {
        "status": "invalid_token",
        "scope": "openid db",
        "openid-configuration": "https://idp.example/realm/.well-known/openid-configuration",
    }
    client.say(b"\x01")
    kind, body = client.message()
    assert kind == b"E"
    assert b"C28000\0" in body
    client.socket.close()


@by_bearer
def test_a_bad_bearer_token_is_refused_in_both_languages(gate: GatewayProcess) -> None:
    client = Bearer(gate)
    client.show("rgt_nonsense")
    assert b'"status":"invalid_token"' in client.message()[1]
    kind, body = client.message()
    assert kind == b"E"
    assert b"authentication failed" in body
    client.socket.close()
