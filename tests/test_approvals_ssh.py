"""Holds at a real ssh: a session and a command wait in the client, with a line of who decides, and go on or do not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peers.sshd import Sshd
from tests.test_approvals_gateway import requests, told
from tests.test_ssh_gateway import SshGate

LEADS = {"approvers": ["group:leads"], "timeout": "2m"}
RULES: list[dict[str, Any]] = [
    {
        "name": "restarts",
        "when": 'request.kind == "shell" && request.text.contains("restart")',
        "then": {"hold": LEADS},
    },
    {
        "name": "door",
        "when": 'request.kind == "session" && target.labels.env == "prod"',
        "then": {"hold": LEADS},
    },
    {
        "name": "quick-door",
        "when": 'request.kind == "session" && target.labels.env == "quick"',
        "then": {"hold": {"approvers": ["group:leads"], "timeout": "1s"}},
    },
]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshGate]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        gate = SshGate(tmp_path_factory.mktemp("gate"), sshd, policies=RULES)
        web = sshd.target("prod-web")
        config = {
            "listeners": [{"protocol": "ssh", "bind": "127.0.0.1:0", "keepalive": 1}],
            "targets": [
                web,
                {**web, "name": "vault-web", "labels": {"env": "prod"}},
                {**web, "name": "quick-web", "labels": {"env": "quick"}},
            ],
            "policies": RULES,
        }
        gate.configure(config)
        with gate:
            gate.run("user", "add", "carol", "--group", "leads")
            yield gate


def _options(options: dict[str, str]) -> list[str]:
    return [part for name, value in options.items() for part in ("-o", f"{name}={value}")]


@contextmanager
def ssh(
    gate: SshGate, *command: str, name: str = "prod-web", **options: str
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*gate.line(*_options(options), name=name), *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as client:  # fmt: skip
        try:
            yield client
        finally:
            client.kill()


def waiting(gate: SshGate, rule: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        lines = gate.run("requests", "ls", "--json", check=False).splitlines()
        found[:] = [row for row in map(json.loads, lines) if row["rule"] == rule]
        return bool(found)

    gate.until(there, "a request that waits")
    return found[0]


def shown(gate: SshGate, request: str) -> dict[str, Any]:
    return json.loads(gate.run("requests", "show", request, "--json"))


def test_a_held_command_waits_and_goes_on_with_its_input(gate: SshGate) -> None:
    with ssh(gate, "echo restarted; cat; exit 3") as client:
        words = told(client, "recgate:")
        assert words.strip() == "recgate: waits for approval by group:leads, for at most 2 min"
        row = waiting(gate, "restarts")
        assert "echo restarted; cat" in requests(gate, "show", row["id"]).stdout
        assert requests(gate, "approve", row["id"], "--reason", "ok").returncode == 0
        out, _ = client.communicate("typed meanwhile\n", timeout=60)
    assert (out, client.returncode) == ("restarted\ntyped meanwhile\n", 3)


def test_a_denied_command_ends_as_a_failed_one(gate: SshGate) -> None:
    with ssh(gate, "echo restarted") as client:
        requests(gate, "deny", waiting(gate, "restarts")["id"], "--reason", "not now")
        out, err = client.communicate(timeout=60)
    assert (out, client.returncode) == ("", 1)
    assert "recgate: restarts: carol denied it: not now (recgate session " in err


def test_a_client_that_leaves_withdraws_its_command(gate: SshGate) -> None:
    with ssh(gate, "echo restarted") as client:
        row = waiting(gate, "restarts")
        client.kill()
    gate.until(lambda: shown(gate, row["id"])["status"] == "withdrawn", "the withdrawn request")


def test_a_held_session_has_its_channel_and_keeps_alive(gate: SshGate) -> None:
    """It waits for longer than its own client would take silence, and what was typed meanwhile arrives."""
    alive = {"ServerAliveInterval": "1", "ServerAliveCountMax": "2"}
    with ssh(gate, "cat; exit 4", name="vault-web", **alive) as client:
        assert "waits for approval by group:leads" in told(client, "recgate:")
        row = waiting(gate, "door")
        assert row["asks"] == "session"
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(5)
        assert requests(gate, "approve", row["id"], "--reason", "ok").returncode == 0
        out, _ = client.communicate("typed meanwhile\n", timeout=60)
    assert (out, client.returncode) == ("typed meanwhile\n", 4)
    gate.until(lambda: gate.rows("sessions", "--target", "vault-web")[0]["status"] == "sealed", "the seal")
    (verdict,) = gate.rows("verify", row["session"])
    assert (verdict["status"], verdict["problems"]) == ("complete", [])


def test_a_held_session_that_is_denied_says_so_on_its_channel(gate: SshGate) -> None:
    with ssh(gate, "true", name="vault-web") as client:
        told(client, "recgate:")
        requests(gate, "deny", waiting(gate, "door")["id"], "--reason", "not now")
        _, err = client.communicate(timeout=60)
    assert client.returncode == 1
    assert "recgate: door: carol denied it: not now (recgate session " in err


def test_a_held_session_that_nobody_decides_on_ends(gate: SshGate) -> None:
    with ssh(gate, "true", name="quick-web") as client:
        _, err = client.communicate(timeout=60)
    assert client.returncode == 1
    assert "recgate: quick-door: nobody approved it in time" in err


def test_a_client_that_leaves_withdraws_its_session(gate: SshGate) -> None:
    with ssh(gate, "true", name="vault-web") as client:
        row = waiting(gate, "door")
        client.kill()
    gate.until(lambda: shown(gate, row["id"])["status"] == "withdrawn", "the withdrawn session")


def test_a_channel_that_is_closed_withdraws_what_it_asked(gate: SshGate, tmp_path: Path) -> None:
    """The connection goes on: it is a multiplexed one (threat 14 for what is held)."""
    control = {"ControlPath": str(tmp_path / "c")}
    master = {**control, "ControlMaster": "yes", "ControlPersist": "no"}
    with ssh(gate, "cat", **master) as first:
        gate.until((tmp_path / "c").exists, "the master")
        with ssh(gate, "echo restarted", **control) as second:
            row = waiting(gate, "restarts")
            second.kill()
        gate.until(lambda: shown(gate, row["id"])["status"] == "withdrawn", "the withdrawn request")
        out, _ = first.communicate("still here\n", timeout=60)
    assert out == "still here\n"


def test_a_channel_that_is_closed_before_the_session_is_approved_runs_nothing(
    gate: SshGate, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    control = {"ControlPath": str(tmp_path / "c")}
    master = {**control, "ControlMaster": "yes", "ControlPersist": "no"}
    with ssh(gate, "cat", name="vault-web", **master) as first:
        told(first, "recgate:")
        gate.until((tmp_path / "c").exists, "the master")
        with ssh(gate, f"touch {marker}", name="vault-web", **control) as second:
            told(second, "recgate:")
            second.kill()
            second.wait()
        # The gateway reads a connection in order: whose channel it answers now, it has seen the close before.
        with ssh(gate, "true", name="vault-web", **control) as third:
            told(third, "recgate:")
            requests(gate, "approve", waiting(gate, "door")["id"], "--reason", "ok")
            third.communicate(timeout=60)
        out, _ = first.communicate("still here\n", timeout=60)
    assert out == "still here\n"
    assert not marker.exists()


def test_a_shell_of_a_held_session_works(gate: SshGate) -> None:
    line = [*gate.line(name="vault-web"), "-tt"]
    line = [line[0], "-tt", *line[1:-1]]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    ) as client:
        requests(gate, "approve", waiting(gate, "door")["id"], "--reason", "ok")
        out, err = client.communicate(b"echo 6 times 7 is $((6*7))\rexit\r", timeout=60)
    assert b"6 times 7 is 42" in out
    assert b"waits for approval" in err + out
