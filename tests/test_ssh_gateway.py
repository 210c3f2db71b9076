"""Real `ssh` through a real `recgate serve` to a real sshd, and what the recordings answer afterwards."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from plugins.ssh.tests.askpass import askpass
from recgate.testing.process import GatewayProcess
from tests.peers.sshd import Sshd, keygen

PATIENCE = 60.0


class SshGate(GatewayProcess):
    """A gateway in front of an sshd, and alice, who may go there."""

    def __init__(self, directory: Path, sshd: Sshd, **more: Any) -> None:
        target = sshd.target("prod-web")
        super().__init__(
            directory,
            {"listeners": [{"protocol": "ssh", "bind": "127.0.0.1:0"}], "targets": [target], **more},
        )
        self.key = keygen(directory / "alice")
        self._seen: set[str] = set()
        self._sshd = sshd

    def __enter__(self) -> Self:
        super().__enter__()
        self.run(
            "secret", "set", "prod-web", "--username", self._sshd.user, "--key-file", str(self._sshd.user_key)
        )
        self.run("user", "add", "alice", "--group", "ops")
        self.run("key", "add", "--user", "alice", f"{self.key}.pub")
        return self

    def line(
        self, *options: str, key: Path | None = None, name: str = "prod-web", **settings: str
    ) -> list[str]:
        """Give the `ssh` line; the gate's host key is believed by its authority alone."""
        known = self.directory / "known_hosts"
        known.write_text(f"@cert-authority * {(self.data_dir / 'ssh_host_ca.pub').read_text()}")
        given = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(key or self.key),
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            **settings,
        }
        words = [part for option, value in given.items() for part in ("-o", f"{option}={value}")]
        return ["ssh", "-F", "none", *words, "-p", str(self.port("ssh")), *options, f"{name}@127.0.0.1"]

    def ssh(self, *command: str, stdin: bytes = b"", options: tuple[str, ...] = (), **how: Any):
        line = self.line(*options, **how)
        return subprocess.run(
            [*line, *command], input=stdin, capture_output=True, timeout=PATIENCE, check=False
        )

    def sealed(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until that many more sessions are sealed than were when this was last asked; gives them by age."""
        rows = until(lambda: [row for row in self.sessions() if row["status"] != "live"], count)
        self._seen.update(row["id"] for row in rows)
        return sorted(rows, key=lambda row: str(row["id"]))

    def sessions(self) -> list[dict[str, Any]]:
        return [row for row in self.rows("sessions") if row["id"] not in self._seen]

    def entries(self, session: str, *kinds: str) -> list[dict[str, Any]]:
        found = self.rows("show", session)
        return [entry for entry in found if not kinds or entry["kind"] in kinds]


def until(look: Callable[[], list[Any]], count: int = 1) -> list[Any]:
    deadline = time.monotonic() + PATIENCE
    while len(found := look()) < count:
        assert time.monotonic() < deadline, found
    return found


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[SshGate]:
    with SshGate(tmp_path_factory.mktemp("gate"), sshd) as running:
        yield running


def test_who_did_what_is_in_the_recording_and_is_found_and_verifies(gate: SshGate):
    done = gate.ssh(options=("-tt",), stdin=b"echo 'DROP DATABASE customers'\rexit 3\r")

    assert done.returncode == 3
    (row,) = gate.sealed()
    assert (row["user"], row["target"], row["protocol"], row["status"]) == (
        "alice",
        "prod-web",
        "ssh",
        "sealed",
    )
    commands = [entry["command"] for entry in gate.entries(row["id"], "shell")]
    assert "echo 'DROP DATABASE customers'" in commands
    hits = until(lambda: gate.rows("search", "DROP DATABASE"))
    assert {(hit["session"], hit["user"]) for hit in hits} == {(row["id"], "alice")}
    (verdict,) = gate.rows("verify", row["id"])
    assert (verdict["status"], verdict["problems"]) == ("complete", [])


def test_the_terminal_can_be_played_again_exactly(gate: SshGate):
    done = gate.ssh(options=("-tt",), stdin=b"printf 'a\\033[31mb\\342\\202\\254\\n'\rexit\r")
    (row,) = gate.sealed()
    cast = gate.run("export", row["id"], "--format", "asciicast").splitlines()

    header, *events = (json.loads(line) for line in cast)
    assert header["version"] == 2
    assert "".join(event[2] for event in events if event[1] == "o") == done.stdout.decode()


def test_a_certificate_and_a_token_log_in(gate: SshGate, tmp_path: Path):
    key = keygen(tmp_path / "certified")
    gate.run("key", "sign", "--user", "alice", f"{key}.pub")
    certified = gate.ssh("echo in", key=key)
    assert certified.stdout == b"in\n", (certified, gate.log())

    line = gate.line(BatchMode="no", PreferredAuthentications="password", PubkeyAuthentication="no")
    env = askpass(tmp_path, gate.token("alice"))
    typed = subprocess.run([*line, "echo in"], env=env, capture_output=True, timeout=PATIENCE, check=False)
    assert typed.stdout == b"in\n", (typed, gate.log())
    assert {row["user"] for row in gate.sealed(2)} == {"alice"}


def test_strangers_and_people_without_a_grant_are_refused_and_audited(gate: SshGate, tmp_path: Path):
    stranger, bob = keygen(tmp_path / "stranger"), keygen(tmp_path / "bob")
    gate.run("user", "add", "bob")
    gate.run("key", "add", "--user", "bob", f"{bob}.pub")

    assert gate.ssh("echo in", key=stranger).returncode == 255
    assert gate.ssh("echo in", name="bob+prod-web").returncode == 255
    denied = gate.ssh("echo in", key=bob)
    assert denied.returncode == 1
    assert b"is open to you" in denied.stderr
    audit = (gate.data_dir / "audit.jsonl").read_text()
    assert "access.denied" in audit
    assert gate.sessions() == []


def test_files_are_evidence(gate: SshGate, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    copy = ["scp", *gate.line()[1:-1], str(source), f"prod-web@127.0.0.1:{tmp_path}/there"]
    copy[copy.index("-p")] = "-P"
    done = subprocess.run(copy, capture_output=True, timeout=PATIENCE, check=False)

    assert done.returncode == 0, done
    (row,) = gate.sealed()
    (file,) = gate.entries(row["id"], "file")
    assert (file["path"], file["direction"], file["size"]) == (f"{tmp_path}/there", "upload", 3_000_000)
    assert file["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_session_can_be_killed_and_says_so(gate: SshGate):
    process = subprocess.Popen([*gate.line(), "echo up; cat"], stdin=-1, stdout=-1, stderr=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    (row,) = until(lambda: gate.rows("sessions", "--live"))
    gate.run("kill", row["id"], "--reason", "enough")
    _, said = process.communicate(timeout=PATIENCE)

    assert b"enough" in said
    (row,) = gate.sealed()
    assert "killed" in row["reason"]


def test_what_was_delivered_before_kill_9_is_in_the_recording(tmp_path: Path, sshd: Sshd):
    """Threat 21."""
    with SshGate(tmp_path, sshd) as gate:
        process = subprocess.Popen([*gate.line(), "cat"], stdin=-1, stdout=-1, stderr=-1)
        assert process.stdin is not None
        assert process.stdout is not None
        os.write(process.stdin.fileno(), b"delivered\n")
        assert process.stdout.readline() == b"delivered\n"
        os.kill(gate.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
        gate.stop()
        gate.start()
        (row,) = gate.sealed()
        assert row["status"] == "recovered"
        shown = [entry["text"] for entry in gate.entries(row["id"], "screen")]
        assert shown == ["delivered\n"]
        assert gate.rows("verify", row["id"])[0]["status"] != "altered"


def test_with_synced_durability_everything_still_passes(tmp_path: Path, sshd: Sshd):
    with SshGate(tmp_path, sshd, recording={"durability": "synced"}) as gate:
        data = os.urandom(1_000_000)
        assert gate.ssh("cat", stdin=data).stdout == data
        (row,) = gate.sealed()
        assert row["bytes_upstream"] >= len(data)
        assert gate.rows("verify", row["id"])[0]["status"] == "complete"
