"""Real psql, ssh, scp and sftp to real targets through nothing but the HTTPS port: recorded, and whose they are."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd

PATIENCE = 60


class Gate(GatewayProcess):
    """A gateway whose only open port is that of HTTPS, and clients that have alice's token and its CA."""

    def __init__(self, directory: Path, cluster: Cluster, sshd: Sshd) -> None:
        database, web = cluster.target("prod-db"), sshd.target("prod-web")
        secret = {**database, "name": "secret-db", "allow": ["group:board"]}
        listeners = [{"protocol": "https", "bind": "127.0.0.1:0"}]
        super().__init__(directory, {"listeners": listeners, "targets": [database, web, secret]})
        self._sshd = sshd
        self._seen: set[str] = set()

    def __enter__(self) -> Gate:
        for name in ("prod-db", "secret-db"):
            secret = ("secret", "set", name, "--username", "scram_user", "--password-stdin")
            self.run(*secret, stdin=PASSWORD + "\n")
        self.run(
            "secret", "set", "prod-web", "--username", self._sshd.user, "--key-file", str(self._sshd.user_key)
        )
        self.run("user", "add", "alice", "--group", "ops")
        super().__enter__()
        self.alice = self.token("alice")
        return self

    def environment(self, **more: str) -> dict[str, str]:
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECGATE_")}
        return {
            **kept,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "RECGATE_URL": f"https://127.0.0.1:{self.port('https')}",
            "RECGATE_CA": str(self.data_dir / "ca.pem"),
            "RECGATE_TOKEN": self.alice,
            **more,
        }

    def client(self, *words: str, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
        """Run `recgate` as a client, far from the gateway's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "recgate", *words],
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=self.environment(**more),
            cwd=self.directory / "home",
        )

    @contextmanager
    def connected(self, *words: str, **more: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[bytes]]]:
        """`recgate connect` in the background; gives what it printed."""
        process = subprocess.Popen(
            [sys.executable, "-m", "recgate", "connect", *words, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(**more),
            cwd=self.directory,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read().decode()
            yield json.loads(line), process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)

    def sealed(self) -> list[dict[str, Any]]:
        """Sessions that were sealed since this was last asked; at least one."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            rows = [row for row in self.rows("sessions") if row["id"] not in self._seen]
            found[:] = [row for row in rows if row["status"] == "sealed"]
            return bool(found) and len(found) == len(rows)

        self.until(look, "a sealed session")
        self._seen.update(row["id"] for row in found)
        return found


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with Cluster(debian_bin(), tls=False) as cluster, Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        with Gate(tmp_path_factory.mktemp("gate"), cluster, sshd) as running:
            yield running


def typed(gate: Gate, line: str, sql: str) -> subprocess.CompletedProcess[str]:
    """Type a printed line, with a statement, into a shell."""
    return subprocess.run(
        ["sh", "-c", f'{line} -Atw -c "$0"', sql],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PSQLRC": "/dev/null"},
    )


def test_psql_needs_no_password_and_is_recorded_as_whose_it_is(gate: Gate) -> None:
    with gate.connected("prod-db") as (said, _):
        assert said["line"].startswith("psql ")
        for number in ("41", "42"):
            done = typed(gate, said["line"], f"SELECT {number}")
            assert (done.returncode, done.stdout) == (0, f"{number}\n"), done.stderr
    rows = gate.sealed()
    assert [(row["user"], row["target"]) for row in rows] == [("alice", "prod-db")] * 2
    assert {row["reason"] for row in rows} <= {"client-closed", "upstream-closed"}
    texts = [entry.get("text") for row in rows for entry in gate.rows("show", row["id"])]
    assert {"SELECT 41", "SELECT 42"} <= set(texts)
    assert all(each["status"] == "complete" for each in gate.rows("verify", *(row["id"] for row in rows)))


def test_a_result_of_megabytes_arrives_whole(gate: Gate) -> None:
    with gate.connected("prod-db", "--once") as (said, process):
        done = typed(gate, said["line"], "SELECT md5(i::text) FROM generate_series(1, 200000) i")
        assert (done.returncode, done.stdout.count("\n")) == (0, 200_000), done.stderr
        assert process.wait(PATIENCE) == 0
    assert gate.sealed()[0]["bytes_upstream"] > 200_000 * 33


def test_a_unix_socket_is_for_its_owner_alone(gate: Gate, tmp_path: Path) -> None:
    path = tmp_path / ".s.PGSQL.5432"
    with gate.connected("prod-db", "--socket", str(path)) as (said, _):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        done = typed(gate, said["line"], "SELECT 'by socket'")
        assert done.stdout == "by socket\n", done.stderr
    assert gate.sealed()[0]["user"] == "alice"


def test_ssh_runs_a_command_and_its_exit_status_is_passed_on(gate: Gate) -> None:
    done = gate.client("ssh", "prod-web", "-F", "none", "-o", "BatchMode=yes", "echo through; exit 7")
    assert (done.returncode, done.stdout) == (7, b"through\n"), done.stderr
    (row,) = gate.sealed()
    assert (row["user"], row["target"], row["protocol"]) == ("alice", "prod-web", "ssh")
    assert row["reason"] == "client-closed"
    commands = [entry["command"] for entry in gate.rows("show", row["id"]) if entry["kind"] == "shell"]
    assert commands == ["echo through; exit 7"]


def test_a_printed_ssh_config_serves_scp_and_sftp(gate: Gate, tmp_path: Path) -> None:
    printed = gate.client("targets", "--ssh-config")
    assert printed.returncode == 0, printed.stderr
    config = tmp_path / "config"
    config.write_bytes(printed.stdout)
    assert b"Host prod-web\n" in printed.stdout
    assert b"prod-db" not in printed.stdout
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(300_000))
    place = tmp_path / "there"
    for line in (
        ["scp", "-F", str(config), "-B", str(sent), f"prod-web:{place}"],
        ["scp", "-O", "-F", str(config), "-B", f"prod-web:{place}", str(back)],
    ):
        done = subprocess.run(
            line, capture_output=True, timeout=PATIENCE, check=False, env=gate.environment(), cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert back.read_bytes() == sent.read_bytes()
    files = [
        (entry["direction"], entry["size"])
        for row in gate.sealed()
        for entry in gate.rows("show", row["id"])
        if entry["kind"] == "file"
    ]
    assert ("upload", 300_000) in files
    assert ("download", 300_000) in files


def test_targets_are_those_that_are_open(gate: Gate) -> None:
    done = gate.client("targets", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["name"] for row in rows] == ["prod-db", "prod-web"]


def test_whoami_says_whose_the_token_is(gate: Gate) -> None:
    done = gate.client("whoami", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["user"], row["groups"], row["gateway"]) == ("alice", ["ops"], "gate-test")
    assert row["endings"][0] == {"what": "the token is revoked or removed at the gateway", "within": 10.0}
    assert b"groups     ops\n" in gate.client("whoami").stdout
    done = gate.client("login")
    assert done.returncode == 2
    assert b"RECGATE_TOKEN" in done.stderr


@pytest.mark.parametrize("target", ["secret-db", "no-such-target"])
def test_a_target_that_is_not_open_is_a_no(gate: Gate, target: str) -> None:
    for words in (["connect", target], ["connect", "--stdio", target]):
        done = gate.client(*words)
        assert done.returncode == 1, done.stderr
        assert f'no target "{target}" is open to you'.encode() in done.stderr
    assert gate.client("ssh", target, "-F", "none", "true").returncode == 255


def test_a_sign_in_that_ended_says_so_and_a_new_one_is_picked_up(gate: Gate) -> None:
    done = gate.client("connect", "prod-db", RECGATE_TOKEN="rg_unknown")
    assert done.returncode == 2
    assert b"has ended or was revoked: run `recgate login https://127.0.0.1" in done.stderr
    bob = gate.directory / "bob"
    gate.run("user", "add", "bob", "--group", "ops", check=False)
    ready = gate.environment(XDG_CONFIG_HOME=str(bob), RECGATE_TOKEN="")
    store = (
        "import os, sys; from recgate.cli.home import *; from recgate.model import Secret;"
        "home = ClientHome.of(); home.keep_token(os.environ['RECGATE_URL'], StoredToken(Secret(sys.argv[1])))"
    )

    def keep(token: str) -> None:
        subprocess.run([sys.executable, "-c", store, token], env=ready, check=True)

    first, second = gate.token("bob"), gate.token("bob")
    keep(first)
    with gate.connected("prod-db", XDG_CONFIG_HOME=str(bob), RECGATE_TOKEN="") as (said, process):
        assert typed(gate, said["line"], "SELECT 1").stdout == "1\n"
        (row,) = gate.sealed()
        assert row["user"] == "bob"
        credential = gate.rows("token", "ls", "--user", "bob")
        gate.run("token", "revoke", *(each["id"] for each in credential[:1]))
        keep("rg_nothing")
        assert typed(gate, said["line"], "SELECT 1").returncode != 0
        keep(second if gate.client("targets", RECGATE_TOKEN=second).returncode == 0 else first)
        assert typed(gate, said["line"], "SELECT 2").stdout == "2\n"
        process.terminate()
        assert process.stderr is not None
        assert b"has ended or was revoked" in process.stderr.read()
    gate.sealed()


def test_another_gateways_ca_is_not_believed(gate: Gate, tmp_path: Path) -> None:
    other = GatewayProcess(tmp_path, {"listeners": [{"protocol": "https", "bind": "127.0.0.1:0"}]})
    with other:
        ca = str(other.data_dir / "ca.pem")
    for words in (["targets"], ["connect", "--stdio", "prod-db"]):
        done = gate.client(*words, RECGATE_CA=ca)
        assert done.returncode == 2
        assert b"certificate verify failed" in done.stderr


def test_what_is_not_loopback_is_not_listened_on(gate: Gate) -> None:
    done = gate.client("connect", "prod-db", "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert b"must be on loopback" in done.stderr


def test_a_revoked_token_ends_the_tunnel(gate: Gate) -> None:
    gate.run("user", "add", "carol", "--group", "ops")
    token = gate.token("carol")
    with gate.connected("prod-db", "--once", RECGATE_TOKEN=token) as (said, process):
        psql = subprocess.Popen(
            ["sh", "-c", f'{said["line"]} -Atw -c "SELECT pg_sleep(50)"'],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        gate.until(lambda: gate.rows("sessions", "--live"), "a live session")
        gate.run("token", "revoke", gate.rows("token", "ls", "--user", "carol")[0]["id"])
        _, error = psql.communicate(timeout=PATIENCE)
        assert psql.returncode != 0
        assert b"recgate session" in error or b"revoked" in error or b"no longer" in error, error
        assert process.wait(PATIENCE) == 1
    (row,) = gate.sealed()
    assert row["user"] == "carol"
