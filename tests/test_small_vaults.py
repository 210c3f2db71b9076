"""Variables, files and commands as vaults through the shipped gateway: they open sessions, and leave no trace."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import Cluster, debian_bin

CANARY = "canary-2b9e-of-the-small-vaults"
WRONG = "canary-77aa-that-the-target-refuses"
ROLE = json.dumps({"username": "canary", "password": CANARY})
PATHS = {
    "env-db": "env:prod-db",
    "file-db": "file:prod/db",
    "command-db": "command:prod/db",
    "wrong-db": "file:wrong",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        running.psql(f"CREATE ROLE canary LOGIN PASSWORD '{CANARY}'")
        yield running


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayProcess]:
    kept = tmp_path / "kept"
    (kept / "prod").mkdir(parents=True)
    for name, text in (("prod/db", ROLE), ("wrong", json.dumps({"username": "canary", "password": WRONG}))):
        (kept / name).touch(mode=0o600)
        (kept / name).write_text(text)
    monkeypatch.setenv("RECGATE_SECRET_PROD_DB", ROLE)
    program = "import pathlib, sys; print((pathlib.Path(sys.argv[1]) / sys.argv[2]).read_text())"
    vaults = [
        {"env": {}},
        {"file": {"directory": str(kept)}},
        {"command": {"run": [sys.executable, "-c", program, str(kept)]}},
    ]
    targets = [
        {
            "name": name,
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": path,
            "allow": ["user:alice"],
        }
        for name, path in PATHS.items()
    ]
    listeners = [
        {"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require"},
        {"protocol": "metrics", "bind": "127.0.0.1:0"},
    ]
    config = {"listeners": listeners, "vaults": vaults, "targets": targets, "log": {"level": "debug"}}
    process = GatewayProcess(tmp_path, config)
    process.run("user", "add", "alice")
    with process:
        yield process


def connect(gate: GatewayProcess, target: str) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user=target, password=gate.token("alice"),
        sslmode="verify-full", sslrootcert=str(gate.data_dir / "ca.pem"), autocommit=True, connect_timeout=20,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    """What the process started, whichever of its threads did."""
    lists = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    found = [int(each) for each in " ".join(lists).split()]
    assert found, "the sealing worker at least"
    return found


@pytest.mark.parametrize("target", ["env-db", "file-db", "command-db"])
def test_a_session_opens_with_what_is_kept(gate: GatewayProcess, target: str) -> None:
    with connect(gate, target) as connection:
        assert connection.execute("SELECT session_user").fetchone() == ("canary",)


def test_no_canary_is_in_anything_that_the_gateway_wrote_said_or_started(gate: GatewayProcess) -> None:
    """Law 4, and threat 26's cousin: recordings in clear, transcripts, index, log, audit, metrics, errors, children."""
    said: list[str] = []
    for target in ("env-db", "file-db", "command-db"):
        with connect(gate, target) as connection:
            connection.execute("SELECT 1")
            (worker, *_) = children(gate.pid)
            environment = Path(f"/proc/{worker}/environ").read_bytes()
            assert b"PATH=" in environment
            assert CANARY.encode() not in environment
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(gate, "wrong-db")
    said.append(str(refused.value))
    gate.until(lambda: not gate.rows("sessions", "--live"), "the sessions ended")
    with urllib.request.urlopen(f"http://127.0.0.1:{gate.port('metrics')}/metrics") as page:
        said.append(page.read().decode())
    sessions = [str(row["id"]) for row in gate.rows("sessions")]
    assert len(sessions) == 4
    for session in sessions:
        said += [
            gate.run("show", session, "--rows", "--json"),
            gate.run("export", session, "--format", "jsonl"),
        ]
    said += [Path(f"/proc/{pid}/cmdline").read_text() for pid in (gate.pid, *children(gate.pid))]
    written = [path for path in gate.directory.rglob("*") if path.is_file() and "kept" not in path.parts]
    assert len(written) > 10
    for canary in (CANARY, WRONG):
        assert not [path for path in written if canary.encode() in path.read_bytes()]
        assert not [text for text in said if canary in text]


def test_no_core_is_ever_written(gate: GatewayProcess) -> None:
    for pid in (gate.pid, *children(gate.pid)):
        (line,) = [
            line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line
        ]
        assert line.split()[4:6] == ["0", "0"], line
