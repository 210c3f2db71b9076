"""Threat 20, place by place: a bad disk stops what cannot be recorded, the reason is said, and it passes by itself."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashhouse import CrashGate
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.rawpostgres import RawClient
from tests.peers.sshd import Sshd

WRITES = ("open", "write", "writev", "pwrite", "mkdir", "link", "rename", "replace", "posix_fallocate")
SYNCS = ("fsync", "fdatasync")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


class Caller:
    """Alice at her psql: opens sessions, and asks for one row in them."""

    def __init__(self, gate: CrashGate) -> None:
        self.gate = gate

    def open(self) -> RawClient:
        return RawClient(self.gate.port("postgres"), "prod-db", self.gate.token_of_alice)

    def ask(self, client: RawClient, word: str) -> bytes:
        client.query(f"SELECT '{word}'")
        found = bytearray()
        while (more := client.read()) and b"SELECT 1\0" not in found:
            found += more
            if b"SELECT 1\0" in found:
                break
        return bytes(found)

    def works(self) -> bool:
        """Whether a session can be opened and used."""
        try:
            client = self.open()
        except ConnectionError:
            return False
        said = self.ask(client, "works")
        client.close()
        return b"SELECT 1\0" in said

    def audited(self, kind: str) -> list[str]:
        """The reasons of events of a kind."""
        lines = (self.gate.data_dir / "audit.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [str(event.get("reason", "")) for event in events if event["event"] == kind]


def refused(caller: Caller) -> str:
    """Open a session, which must not be possible; gives what the client is told."""
    with pytest.raises(ConnectionError) as told:
        caller.open()
    return str(told.value)


def settled(gate: CrashGate) -> list[str]:
    """Wait until all is sealed; gives what `recgate verify` says of each."""
    gate.recovered()
    reports = gate.verified()
    assert [report["problems"] for report in reports if report["problems"]] == []
    return [str(report["status"]) for report in reports]


@pytest.mark.parametrize(
    ("durability", "calls"), [("written", WRITES), ("synced", SYNCS)], ids=["writes", "syncs"]
)
def test_a_journal_on_a_bad_disk_ends_sessions_until_it_is_well(
    tmp_path: Path,
    cluster: Cluster,
    sshd: Sshd,
    monkeypatch: pytest.MonkeyPatch,
    durability: str,
    calls: tuple[str, ...],
) -> None:
    gate = CrashGate(tmp_path, cluster, sshd, durability=durability)
    disk = gate.on_faulty_disk(monkeypatch)
    caller = Caller(gate)
    with gate:
        assert caller.works()
        live = caller.open()
        assert b"SELECT 1\0" in caller.ask(live, "before")
        disk.fails("journal", *calls, errno=errno.EIO)
        said = caller.ask(live, "not recorded")
        live.close()
        assert b"not recorded\0" not in said
        assert b"cannot be recorded" in said
        assert "cannot be recorded" in refused(caller) or durability == "synced"
        disk.well()
        gate.until(caller.works, "a session after the disk is well")
        assert any("check the disk" in reason for reason in caller.audited("session.closed"))
        statuses = settled(gate)
    assert set(statuses) <= {"complete", "recovered"}
    assert "Traceback" not in gate.log()


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS])
def test_a_store_on_a_bad_disk_is_waited_for(
    tmp_path: Path, cluster: Cluster, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Sessions go on: what they record waits in the journal, and is stored as soon as the store takes it."""
    gate = CrashGate(tmp_path, cluster, sshd)
    disk = gate.on_faulty_disk(monkeypatch)
    caller = Caller(gate)
    with gate:
        live = caller.open()
        disk.fails("recordings", *WRITES, *SYNCS, errno=code)
        assert b"SELECT 1\0" in caller.ask(live, "waits")
        live.close()
        gate.until(lambda: "recording.unsealed" in gate.log(), "a seal that is tried again")
        assert list((gate.data_dir / "journal").glob("*/000001.part"))
        disk.well()
        assert settled(gate) == ["complete"]
    assert "Traceback" not in gate.log()


def test_a_slow_store_holds_nobody_up(
    tmp_path: Path, cluster: Cluster, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = CrashGate(tmp_path, cluster, sshd)
    disk = gate.on_faulty_disk(monkeypatch)
    caller = Caller(gate)
    with gate:
        disk.fails("recordings", *SYNCS, delay=2.0)
        first, second = caller.open(), caller.open()
        first.close()  # its seal takes some syncs
        for number in range(50):
            assert b"SELECT 1\0" in caller.ask(second, f"quick {number}")
        disk.well()
        second.close()
        assert settled(gate) == ["complete", "complete"]
