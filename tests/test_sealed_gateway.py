"""Recordings sealed to auditors by the shipped gateway: real `psql` and `ssh`, and what is on its disk afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd, keygen

PATIENCE = 60
# Each stands in another place: a statement, its answer, one that is refused, a command, its output, a comment.
ASKED, ANSWERED, REFUSED = "canaryasked", "canaryanswered", "canaryrefused"
TYPED, PRINTED, NEVER = "canarytyped", "canaryprinted", "canarynever"
CANARIES = [ASKED, ANSWERED, REFUSED, TYPED, PRINTED]
RULES = [
    {"name": "not-that", "when": 'request.kind == "sql" && request.text.contains("refused")', "then": "deny"}
]


class Sealing(GatewayProcess):
    """A gateway with a database and a machine behind it, and alice; and an auditor's key pairs elsewhere."""

    def __init__(self, directory: Path, cluster: Cluster, sshd: Sshd) -> None:
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir()
        self.public = {
            name: self.auditor(name, *options) for name, options in {"ann": (), "bea": ("--pq",)}.items()
        }
        database = {
            "name": "prod-db", "protocol": "postgres", "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"}, "credential": "local:prod-db",
            "allow": ["user:alice"],
        }  # fmt: skip
        self.settings: dict[str, Any] = {
            "listeners": [{"protocol": each, "bind": "127.0.0.1:0"} for each in ("postgres", "ssh")],
            "targets": [database, {**sshd.target("prod-web"), "allow": ["user:alice"]}],
            "policies": RULES,
            "recording": {"seal_to": [self.public["ann"]]},
            "log": {"level": "debug"},
        }
        super().__init__(directory, self.settings)
        self.run("user", "add", "alice")
        self.key = keygen(self.elsewhere / "alice")
        self.run("key", "add", "--user", "alice", f"{self.key}.pub")
        self.run(
            "secret", "set", "prod-db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n"
        )
        self.run("secret", "set", "prod-web", "--username", sshd.user, "--key-file", str(sshd.user_key))

    def auditor(self, name: str, *options: str) -> str:
        done = self.alone("auditor", "new", *options, "-o", str(self.elsewhere / f"{name}.key"))
        return done.stdout.strip()

    def alone(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `recgate` as on another machine: no configuration, another directory."""
        environment = {name: value for name, value in os.environ.items() if name != "RECGATE_CONFIG"}
        return subprocess.run(
            [sys.executable, "-m", "recgate", *words], capture_output=True, text=True, check=False,
            timeout=PATIENCE, cwd=self.elsewhere, env=environment,
        )  # fmt: skip

    def read(self, command: str, *words: str, who: str = "ann") -> str:
        key, store = str(self.elsewhere / f"{who}.key"), str(self.elsewhere / "recordings")
        erasure = str(self.elsewhere / f"{who}.erasure")
        done = self.alone(command, *words, "--identity", key, "--store", store, "--erasure", erasure)
        return done.stdout + done.stderr

    def line(self) -> list[str]:
        """Give the `psql` line, but for the password."""
        address = f"host=127.0.0.1 port={self.port('postgres')} user=prod-db"
        return ["psql", "-X", "-A", "-t", f"{address} sslmode=verify-full sslrootcert={self.data_dir}/ca.pem"]

    def talk(self) -> subprocess.Popen[str]:
        """Start a `psql` that is told what to ask bit by bit."""
        return subprocess.Popen(
            self.line(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PGPASSWORD": self.token("alice")},
        )  # fmt: skip

    def psql(self, *statements: str) -> subprocess.CompletedProcess[str]:
        words = [word for statement in statements for word in ("-c", statement)]
        environment = {**os.environ, "PGPASSWORD": self.token("alice")}
        return subprocess.run(
            [*self.line(), *words], capture_output=True, text=True, check=False,
            timeout=PATIENCE, env=environment,
        )  # fmt: skip

    def ssh(self, typed: bytes) -> subprocess.CompletedProcess[bytes]:
        known = self.elsewhere / "known_hosts"
        known.write_text(f"@cert-authority * {(self.data_dir / 'ssh_host_ca.pub').read_text()}")
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", str(self.key),
                   "-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=/dev/null"]  # fmt: skip
        line = ["ssh", *options, "-tt", "-p", str(self.port("ssh")), "prod-web@127.0.0.1"]
        return subprocess.run(line, input=typed, capture_output=True, timeout=PATIENCE, check=False)

    def sealed(self, count: int) -> list[str]:
        rows = lambda: [row for row in self.rows("sessions") if row["status"] == "sealed"]  # noqa: E731
        self.until(lambda: len(rows()) == count, f"{count} sealed sessions")
        return sorted(str(row["id"]) for row in rows())

    def handed_over(self, *who: str) -> None:
        """Copy the store to the auditors, with what they may open it by."""
        place = self.elsewhere / "recordings"
        shutil.copytree(self.data_dir / "recordings", place)
        for name in who:
            out = str(self.elsewhere / f"{name}.erasure")
            self.run("auditor", "hand-over", "--to", self.public[name], "-o", out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster, sshd: Sshd) -> Iterator[Sealing]:
    with Sealing(tmp_path, cluster, sshd) as running:
        yield running


def holding(place: Path, words: list[str]) -> list[tuple[str, str]]:
    """Name the files below a place that hold any of the words, however the case."""
    found: list[tuple[str, str]] = []
    for path in place.rglob("*"):
        content = path.read_bytes().lower() if path.is_file() else b""
        found += [(str(path.relative_to(place)), word) for word in words if word.encode() in content]
    return found


def test_nothing_of_what_was_said_can_be_read_on_the_gateways_disk(gate: Sealing) -> None:
    answer = "'canary' || 'answered'"
    done = gate.psql(
        f"SELECT '{ASKED}', {answer}", f"SELECT '{REFUSED}'", f"CREATE TEMP TABLE t AS SELECT '{ASKED}' AS a"
    )
    assert ANSWERED in done.stdout
    assert "not-that" in done.stderr
    typed = f"echo {TYPED}; printf 'canary%s\\n' printed\rexit 3\r".encode()
    shell = gate.ssh(typed)
    assert shell.returncode == 3
    assert PRINTED.encode() in shell.stdout
    database, machine = gate.sealed(2)
    gate.handed_over("ann")

    assert holding(gate.data_dir, CANARIES) == []
    assert holding(gate.directory / "elsewhere" / "recordings", CANARIES) == []
    assert not [word for word in CANARIES if word in gate.log()]
    for session in (database, machine):
        refused = gate.command("show", session)
        assert refused.returncode == 2
        assert "sealed to 1 auditor; read it with the private key of one" in refused.stderr
    assert database in gate.run("search", "verb:create")
    assert json.loads(gate.run("verify", database, "--json"))["levels"]["contents"] == "not available"

    shown = gate.read("show", database, "--rows")
    assert all(word in shown for word in (ASKED, ANSWERED, REFUSED))
    assert PRINTED in gate.read("replay", machine)
    assert TYPED in gate.read("search", TYPED)
    assert gate.read("search", NEVER) == ""
    assert ANSWERED in gate.read("export", database, "--format", "jsonl")
    trust = str(gate.data_dir / "trust.json")
    verified = gate.read("verify", "--trust", trust, "--require", "contents", database, machine)
    assert "2 recordings: 2 complete" in verified


def test_a_reload_changes_the_auditors_of_a_running_session(gate: Sealing) -> None:
    talk = gate.talk()
    assert talk.stdin is not None
    assert talk.stdout is not None
    # More than a part: it is sealed while the session goes on.
    talk.stdin.write("SELECT 'for ann';\nSELECT repeat('x', 2000000);\n")
    talk.stdin.flush()
    assert talk.stdout.readline() == "for ann\n"
    assert len(talk.stdout.readline()) == 2_000_001
    segments = lambda: sorted(gate.data_dir.glob("recordings/*/*/*/*/*.seg"))  # noqa: E731
    gate.until(segments, "a sealed segment")
    gate.settings["recording"] = {"seal_to": [gate.public["bea"]]}
    gate.configure(gate.settings)
    os.kill(gate.pid, signal.SIGHUP)
    gate.until(lambda: "configuration.loaded" in gate.log(), "the reload")
    assert '"restart_needed": []' in gate.log() or "restart_needed=[]" in gate.log()
    said, _ = talk.communicate("SELECT 'for bea';\n", timeout=PATIENCE)
    assert said == "for bea\n"
    (session,) = gate.sealed(1)
    gate.handed_over("ann", "bea")

    trust = str(gate.data_dir / "trust.json")
    assert "complete" in gate.read("verify", "--trust", trust, session)
    assert "sealed to 1 auditor, and to none of the identities given" in gate.read("show", session, who="bea")
    ann = gate.read("show", session, "--rows")
    assert "for ann" in ann
    assert "for bea" not in ann
    assert "sealed to 1 auditor, and to none of the identities given" in ann
    keys = [str(gate.elsewhere / f"{name}.key") for name in ("ann", "bea")]
    both = gate.alone("show", session, "--rows", "--store", str(gate.elsewhere / "recordings"), "--identity", keys[0],
                      "--identity", keys[1], "--erasure", str(gate.elsewhere / "bea.erasure"))  # fmt: skip
    assert "for ann" in both.stdout
    assert "for bea" in both.stdout


def test_what_kill_9_left_is_sealed_to_the_auditors_as_well(gate: Sealing) -> None:
    talk = gate.talk()
    assert talk.stdin is not None
    assert talk.stdout is not None
    talk.stdin.write(f"SELECT '{ASKED}';\n")
    talk.stdin.flush()
    assert talk.stdout.readline() == ASKED + "\n"
    gate.kill()
    talk.communicate(timeout=PATIENCE)
    assert holding(gate.data_dir, CANARIES) == []
    gate.start()
    recovered = lambda: [row for row in gate.rows("sessions") if row["status"] == "recovered"]  # noqa: E731
    gate.until(recovered, "a recovered session")
    gate.handed_over("ann")

    (row,) = recovered()
    assert holding(gate.data_dir, CANARIES) == []
    assert ASKED in gate.read("show", str(row["id"]))
    trust = str(gate.data_dir / "trust.json")
    assert "recovered" in gate.read("verify", "--trust", trust, "--require", "contents", str(row["id"]))
