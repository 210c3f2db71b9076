"""Threat 21: real SIGKILLs of a real gateway under load, at moments of chance. What either end received is recorded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashhouse import CrashGate, proven
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kills", [20, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_what_either_end_received_survives_every_kill(
    tmp_path: Path, cluster: Cluster, sshd: Sshd, kills: int
) -> None:
    """Each start recovers what the last one left, while the next load is on already."""
    gate = CrashGate(tmp_path, cluster, sshd)
    chance = random.Random(kills)
    for _ in range(kills):
        gate.start()
        gate.strike(chance, 0.9)
    with gate:
        total = proven(gate)
        reports = gate.verified()
    assert total > kills * 50_000
    found = Counter(report["status"] for report in reports)
    assert set(found) == {"recovered"}, found
    assert [report["problems"] for report in reports if report["problems"]] == []
    assert "Traceback" not in gate.log()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("cuts", [3, pytest.param(40, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_with_synced_what_either_end_received_survives_lost_power(
    tmp_path: Path, cluster: Cluster, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, cuts: int
) -> None:
    """Of what was not synced nothing is left, or (every other time) some of it by chance; a cut may meet a recovery."""
    gate = CrashGate(tmp_path, cluster, sshd, durability="synced")
    disk = gate.on_faulty_disk(monkeypatch)
    chance = random.Random(cuts)
    for number in range(cuts):
        disk.watch_syncs()
        gate.start()
        gate.strike(chance, 1.0, under_way=True)
        disk.cut_power(chance if number % 2 else None)
    monkeypatch.undo()
    with gate:
        total = proven(gate)
        reports = gate.verified()
    assert total > cuts * 20_000
    assert {report["status"] for report in reports} == {"recovered"}
    assert [report["problems"] for report in reports if report["problems"]] == []
    assert "Traceback" not in gate.log()
