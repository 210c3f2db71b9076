"""What is taken away ends what it opened: threat 6, with a real `ssh` in mid-session."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.ssh.tests.askpass import askpass
from tests.peers.sshd import Sshd, keygen
from tests.test_ssh_gateway import PATIENCE, SshGate

BY_PASSWORD = {"BatchMode": "no", "PreferredAuthentications": "password", "PubkeyAuthentication": "no"}


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def gate(tmp_path: Path, sshd: Sshd) -> Iterator[SshGate]:
    with SshGate(tmp_path, sshd, limits={"recheck": "200ms"}) as running:
        yield running


def opened(gate: SshGate, *, env=None, **how) -> subprocess.Popen[bytes]:
    """Start a session and return when the target answers in it."""
    line = [*gate.line(**how), "cat"]
    session = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(b"there?\n")
    session.stdin.flush()
    assert session.stdout.readline() == b"there?\n", gate.log()
    return session


def ended(gate: SshGate, session: subprocess.Popen[bytes], reason: str) -> str:
    """Wait for the session's end; give what its user was told."""
    # Its input stays open until then: a client that is done would be another end.
    assert session.wait(PATIENCE) != 0
    _, told = session.communicate()
    (row,) = gate.sealed()
    assert row["reason"] == reason
    (verdict,) = gate.rows("verify", row["id"])
    assert verdict["status"] == "complete"
    return told.decode()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("user", "rm", "alice"), "the credential was revoked"),
        (("user", "rm", "alice", "--group", "ops"), "access to the target was withdrawn"),
        (("key", "rm", "KEY"), "the credential was revoked"),
    ],
    ids=["user", "group", "key"],
)
def test_a_session_opened_with_a_key_ends(gate: SshGate, command: tuple[str, ...], why: str):
    session = opened(gate)
    (row,) = gate.rows("key", "ls")

    gate.run(*(row["id"] if word == "KEY" else word for word in command))

    assert f"{why}; sign in again" in ended(gate, session, "revoked")
    assert gate.ssh("true").returncode != 0


def test_a_session_opened_with_a_token_ends(gate: SshGate, tmp_path: Path):
    session = opened(gate, env=askpass(tmp_path, gate.token("alice")), **BY_PASSWORD)
    (row,) = gate.rows("token", "ls")

    gate.run("token", "revoke", row["id"])

    assert "the credential was revoked" in ended(gate, session, "revoked")


def test_a_session_opened_with_a_certificate_ends(gate: SshGate, tmp_path: Path):
    key = keygen(tmp_path / "certified")
    gate.run("key", "sign", "--user", "alice", f"{key}.pub")
    session = opened(gate, key=key)
    (row,) = [row for row in gate.rows("key", "ls") if row["kind"] == "certificate"]

    gate.run("key", "rm", row["id"])

    assert "the credential was revoked" in ended(gate, session, "revoked")


def test_a_session_whose_token_expires_ends_with_it(gate: SshGate, tmp_path: Path):
    session = opened(gate, env=askpass(tmp_path, gate.token("alice", "--ttl", "5s")), **BY_PASSWORD)

    assert "the credential has expired" in ended(gate, session, "expired")
