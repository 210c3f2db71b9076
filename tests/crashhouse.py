"""A gateway under load that is killed: real psql and ssh, the bytes that both ends received, and what was recorded."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from core.tests.syncedcopy import cut, keep_all
from recgate import config as configuration
from recgate.plugins import Registry
from recgate.recording.reader import Archive, open_archive
from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd, keygen

__all__ = ["CrashGate", "FaultyDisk", "Flow", "proven"]

PATIENCE: Final = 60.0
MARK: Final = 64  # bytes at the beginning of a flow that tell it from others
ROWS: Final = (
    "COPY (SELECT rpad('{mark} ', 64, '.'), i, repeat(md5(i::text), 12), pg_sleep(0.0005)"
    " FROM generate_series(1, 1000000) AS i) TO STDOUT"
)
LINES: Final = "printf '%-63s\\n' '{mark} '; while :; do head -c 6000 /dev/urandom | base64 -w 0; echo; done"


@dataclass(slots=True)
class Flow:
    """One client, and the file in which its end (or the target's) has every byte that it received."""

    mark: bytes
    side: int  # that the bytes came from: 1 what the client received, 0 what the target did
    copy: Path
    processes: list[subprocess.Popen[bytes]]

    def finish(self) -> None:
        """Wait for it to notice that the gateway is gone."""
        for process in reversed(self.processes):
            process.wait(PATIENCE)

    @property
    def received(self) -> bytes:
        return self.copy.read_bytes() if self.copy.exists() else b""


class CrashGate(GatewayProcess):
    """A gateway in front of a PostgreSQL and an sshd, and alice, who may go to both."""

    def __init__(self, directory: Path, cluster: Cluster, sshd: Sshd, **recording: object) -> None:
        database = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": "local:prod-db",
            "allow": ["user:alice"],
        }
        binds = [{"protocol": word, "bind": "127.0.0.1:0"} for word in ("postgres", "ssh")]
        targets = [database, sshd.target("prod-web", allow=["user:alice"])]
        super().__init__(directory, {"listeners": binds, "targets": targets, "recording": recording})
        self.key = keygen(directory / "alice")
        self.run("user", "add", "alice")
        self.run("key", "add", "--user", "alice", f"{self.key}.pub")
        self.run(
            "secret", "set", "prod-db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n"
        )
        self.run("secret", "set", "prod-web", "--username", sshd.user, "--key-file", str(sshd.user_key))
        self.token_of_alice = self.token("alice")
        self.flows: list[Flow] = []

    def on_faulty_disk(self, patch: pytest.MonkeyPatch) -> FaultyDisk:
        """Put a disk with faults under the data directory, from the next start on."""
        return FaultyDisk(self, patch)

    # -- load ------------------------------------------------------------------------------------------

    def load(self) -> list[Flow]:
        """Begin one flow of each sort: rows, an output, an input."""
        flows = [self._rows(), self._output(), self._input()]
        self.flows += flows
        return flows

    def _name(self, word: str) -> tuple[str, Path]:
        name = f"{word}-{len(self.flows):04d}"
        return name, self.directory / f"{name}.copy"

    def _rows(self) -> Flow:
        name, copy = self._name("rows")
        address = f"host=127.0.0.1 port={self.port('postgres')} user=prod-db dbname=postgres sslmode=disable"
        command = [str(debian_bin() / "psql"), "-X", "-q", "-d", address, "-c", ROWS.format(mark=name)]
        environment = {**os.environ, "PGPASSWORD": self.token_of_alice}
        with copy.open("wb") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=-3, stdin=subprocess.DEVNULL, env=environment
            )
        return Flow(name.encode(), 1, copy, [process])

    def ssh(self) -> list[str]:
        """Give the words of an `ssh` to the target."""
        known = self.directory / "known_hosts"
        known.write_text(f"@cert-authority * {(self.data_dir / 'ssh_host_ca.pub').read_text()}")
        given = ("BatchMode=yes", f"UserKnownHostsFile={known}", f"IdentityFile={self.key}")
        words = [part for each in given for part in ("-o", each)]
        return ["ssh", "-F", "none", "-q", *words, "-p", str(self.port("ssh")), "prod-web@127.0.0.1"]

    def _output(self) -> Flow:
        name, copy = self._name("output")
        with copy.open("wb") as file:
            command = [*self.ssh(), LINES.format(mark=name)]
            process = subprocess.Popen(command, stdout=file, stderr=-3, stdin=subprocess.DEVNULL)
        return Flow(name.encode(), 1, copy, [process])

    def _input(self) -> Flow:
        name, copy = self._name("input")
        source = subprocess.Popen(["sh", "-c", LINES.format(mark=name)], stdout=-1, stderr=-3)
        process = subprocess.Popen([*self.ssh(), f"cat > {copy}"], stdin=source.stdout, stdout=-3, stderr=-3)
        assert source.stdout is not None
        source.stdout.close()
        return Flow(name.encode(), 0, copy, [source, process])

    # -- death -----------------------------------------------------------------------------------------

    def strike(self, chance: random.Random, longest: float, *, under_way: bool = False) -> None:
        """Put a load on it and kill it at a moment of chance, one time in four its sealing process with it.

        `under_way`: not before every flow has brought something.
        """
        flows = self.load()
        if under_way:
            self.until(lambda: all(flow.received for flow in flows), "something of every flow")
        with suppress(subprocess.TimeoutExpired):
            flows[0].processes[-1].wait(chance.uniform(0.05, longest))
        if chance.random() < 0.25:
            for worker in children(self.pid):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        self.kill()
        for flow in flows:
            flow.finish()

    # -- what is left ----------------------------------------------------------------------------------

    def recovered(self) -> list[str]:
        """Wait until every session is sealed; gives their ids."""
        ended = {"sealed", "recovered"}
        self.until(lambda: {row["status"] for row in self.rows("sessions")} <= ended, "every session sealed")
        # One that died before it was listed has a journal, and a row only once that is sealed.
        self.until(
            lambda: all(each["status"] != "unsealed" for each in self.verified()), "every journal sealed"
        )
        return [str(row["id"]) for row in self.rows("sessions")]

    def archive(self) -> Archive:
        """Open the recordings for reading."""
        registry = Registry()
        config = configuration.load(self.config_file, registry)
        registry.bind(config)
        return open_archive(config, registry)

    def recorded(self, archive: Archive, session: str) -> dict[int, bytes]:
        """Give what each side sent, as the recording has it; of PostgreSQL, what its COPY carried."""
        frames = list(archive.frames(session))
        assert [frame.seq for frame in frames] == list(range(len(frames)))
        assert [frame.t for frame in frames] == sorted(frame.t for frame in frames)
        sides = {
            side: b"".join(
                frame.data for frame in frames if frame.side == side and frame.kind in ("data", "B")
            )
            for side in (0, 1)
        }
        if any(frame.kind == "B" for frame in frames):
            sides[1] = copied(sides[1])
        return sides

    def verified(self) -> list[dict[str, Any]]:
        """What `recgate verify` says of all."""
        return [json.loads(line) for line in self.command("verify", "--all", "--json").stdout.splitlines()]


class FaultyDisk:
    """What goes wrong with the disk that a gateway's data directory is on."""

    def __init__(self, gate: GatewayProcess, patch: pytest.MonkeyPatch) -> None:
        self._data = gate.data_dir
        self._place = gate.directory / "disk"
        self._place.mkdir(exist_ok=True)
        (self._place / "root").write_text(str(self._data))
        self.well()
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "faultydisk"))
        patch.setenv("RECGATE_TEST_DISK", str(self._place))

    def well(self) -> None:
        """Let nothing go wrong any more."""
        self._say([])

    def fails(self, below: str, *calls: str, **how: float) -> None:
        """Let these calls below a place fail with `errno`, or take `delay` seconds, from now on."""
        self._say([{"below": str(self._data / below), "calls": calls, **how}])

    def _say(self, rules: list[dict[str, object]]) -> None:
        fresh = self._place / "rules.new"
        fresh.write_text(json.dumps(rules))
        fresh.replace(self._place / "rules.json")

    def watch_syncs(self) -> None:
        """From the next start on, keep what is synced apart."""
        shutil.rmtree(self._power, ignore_errors=True)
        self._power.mkdir()
        keep_all(self._data, self._power)

    def cut_power(self, chance: random.Random | None) -> None:
        """Leave of the data directory what was synced, and by `chance` some of the rest."""
        cut(self._data, self._power, chance)

    @property
    def _power(self) -> Path:
        return self._place / "power"


def children(pid: int) -> list[int]:
    """The processes that `pid` started, whichever thread it was."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def copied(stream: bytes) -> bytes:
    """Give what CopyData messages carried (PostgreSQL protocol 55.7); the last may be cut."""
    found: list[bytes] = []
    offset = 0
    while offset + 5 <= len(stream):
        length = int.from_bytes(stream[offset + 1 : offset + 5], "big")
        if stream[offset : offset + 1] == b"d":
            found.append(stream[offset + 5 : offset + 1 + length])
        offset += 1 + length
    return b"".join(found)


def proven(gate: CrashGate) -> int:
    """Hold every flow against the recordings, byte for byte, and give how many bytes that were."""
    recordings: dict[tuple[int, bytes], bytes] = {}
    gate.recovered()
    archive = gate.archive()
    for session in archive.sessions():
        for side, data in gate.recorded(archive, session).items():
            recordings[side, data[:MARK].split(b" ")[0]] = data
    total = 0
    for flow in gate.flows:
        received = flow.received
        if len(received) < MARK:
            continue  # killed before anything came
        recording = recordings.get((flow.side, flow.mark), b"")
        assert recording[: len(received)] == received, f"{flow.mark!r} is not in the recording"
        total += len(received)
    return total
