"""One real sshd for all tests of SSH, and a gate in front of it for each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from plugins.ssh.tests.gate import Gate, open_gate
from tests.peers.sshd import Sshd


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
async def gate(sshd: Sshd, tmp_path: Path) -> AsyncIterator[Gate]:
    async with open_gate(tmp_path / "gate", sshd) as running:
        yield running
        assert running.errors == []
