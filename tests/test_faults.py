"""Threats 20 and 21 through the shipped gateway: death, full disks, lost workers. Delivered means recorded."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recgate import config as configuration
from recgate.plugins import Registry
from recgate.recording.reader import open_archive
from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.rawpostgres import RawClient

FLOOD = "SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 2000000) AS i"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


def make(directory: Path, cluster: Cluster, **gateway: object) -> GatewayProcess:
    target = {
        "name": "prod-db",
        "protocol": "postgres",
        "address": f"127.0.0.1:{cluster.port}",
        "options": {"database": "postgres", "tls": "disable"},
        "credential": "local:prod-db",
        "allow": ["user:alice"],
    }
    config = {
        "gateway": gateway,
        "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}],
        "targets": [target],
    }
    gate = GatewayProcess(directory, config)
    if "data_dir" in gateway:
        gate.data_dir = Path(str(gateway["data_dir"]))
    gate.run("user", "add", "alice")
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    gate.run(*secret, stdin=PASSWORD + "\n")
    return gate


def recorded(gate: GatewayProcess, session: str) -> bytes:
    """Everything that the recording says went to the client after login."""
    registry = Registry()
    config = configuration.load(gate.config_file, registry)
    registry.bind(config)
    frames = open_archive(config, registry).frames(session)
    return b"".join(frame.data for frame in frames if frame.kind == "B")


def only_session(gate: GatewayProcess, status: str) -> dict[str, object]:
    """Wait until the one session has that status."""
    gate.until(lambda: [row["status"] for row in gate.rows("sessions")] == [status], f"one session, {status}")
    return gate.rows("sessions")[0]


def children(pid: int) -> list[int]:
    """The processes that `pid` started: whichever thread it was, so not `/proc/PID/task/PID/children`."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def oldest_session(gate: GatewayProcess) -> str:
    """Wait until none is open or unsealed, and give the first."""
    ended = {"sealed", "recovered"}
    gate.until(lambda: {row["status"] for row in gate.rows("sessions")} <= ended, "every session sealed")
    return str(gate.rows("sessions")[-1]["id"])


def flooded(gate: GatewayProcess, token: str, reads: int) -> RawClient:
    client = RawClient(gate.port("postgres"), "prod-db", token)
    client.query(FLOOD)
    for _ in range(reads):
        client.read()
    return client


@pytest.mark.parametrize("seed", range(3))
def test_threat_21_what_was_delivered_before_kill_9_is_in_the_recording(
    tmp_path: Path, cluster: Cluster, seed: int
) -> None:
    gate = make(tmp_path, cluster)
    token = gate.token("alice")
    gate.start()
    client = flooded(gate, token, random.Random(seed).randrange(1, 200))
    gate.kill()
    delivered = client.read_rest()
    client.close()
    with gate:
        row = only_session(gate, "recovered")
        recording = recorded(gate, str(row["id"]))
        start = recording.find(delivered[:64])
        assert start >= 0
        assert recording[start : start + len(delivered)] == delivered
        verified = gate.command("verify", "--all", "--json")
        assert '"recovered"' in verified.stdout
        assert '"altered"' not in verified.stdout


def test_threat_20_a_dead_sealing_worker_ends_no_more_than_it_must(tmp_path: Path, cluster: Cluster) -> None:
    gate = make(tmp_path, cluster)
    token = gate.token("alice")
    with gate:
        client = flooded(gate, token, 20)
        # Once a segment is sealed, the key for the next one is the worker's alone.
        gate.until(lambda: any(gate.data_dir.rglob("*.seg")), "a segment")
        (worker,) = children(gate.pid)
        os.kill(worker, signal.SIGKILL)
        delivered = client.read_rest()  # ends: with the worker this session's signing key is gone
        client.close()
        row = only_session(gate, "recovered")
        assert delivered[-2_000:] in recorded(gate, str(row["id"]))
        # A new session is recorded by a new worker.
        gate.until(lambda: answers(gate, token), "a new session")


def answers(gate: GatewayProcess, token: str) -> bool:
    """Whether a session can be opened and used."""
    try:
        client = RawClient(gate.port("postgres"), "prod-db", token)
    except ConnectionError:
        return False
    client.query("SELECT 1")
    found = b"SELECT 1\0" in client.read()
    client.close()
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(ballast: Path) -> None:
    """Take every page that is left."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


def test_threat_20_a_full_disk_stops_sessions_and_keeps_what_was_delivered(
    tmp_path: Path, cluster: Cluster, small_disk: Path
) -> None:
    gate = make(tmp_path, cluster, data_dir=str(small_disk / "data"))
    token = gate.token("alice")
    with gate:
        client = flooded(gate, token, 5)
        idle = RawClient(gate.port("postgres"), "prod-db", token)
        ballast = small_disk / "ballast"
        fill(ballast)
        delivered = client.read_rest()  # ends within a row: nothing can be said there any more
        client.close()
        fill(ballast)
        idle.query(f"SELECT 'not recorded' -- {'x' * 20_000}")
        said = idle.read_rest()
        idle.close()
        assert b"not recorded\0" not in said
        assert b"cannot be recorded" in said, "who can still be told is told, in the protocol's words"
        with pytest.raises(ConnectionError):
            RawClient(gate.port("postgres"), "prod-db", token)
        assert "no space left" in gate.log().lower()
        ballast.unlink()
        recording = recorded(gate, oldest_session(gate))
        assert recording[recording.find(delivered[:64]) :].startswith(delivered)
        assert [row["status"] for row in gate.rows("verify", "--all")] == ["complete", "complete"]
        again = RawClient(gate.port("postgres"), "prod-db", token)
        again.close()


def test_threat_20_a_store_that_cannot_be_written_opens_no_session(tmp_path: Path, cluster: Cluster) -> None:
    gate = make(tmp_path, cluster)
    token = gate.token("alice")
    with gate:
        recordings = gate.data_dir / "recordings"
        recordings.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(recordings)], check=True)
        try:
            with pytest.raises(ConnectionError):
                RawClient(gate.port("postgres"), "prod-db", token)
        finally:
            subprocess.run(["umount", "-l", str(recordings)], check=True)
        assert "recording is mandatory" in gate.log()
