"""Keys of a shipped gateway in OpenBao's transit engine: without it nothing begins, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.keygate import Gate
from tests.peers.openbao import OpenBao
from tests.peers.postgres import Cluster, debian_bin

RIGHTS = {f"transit/{what}/recgate-*": "update" for what in ("sign", "encrypt", "decrypt")}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture
def bao() -> Iterator[OpenBao]:
    with OpenBao() as server:
        server.mount("transit", "transit")
        server.policy("gate", **RIGHTS, **{"transit/keys/recgate-*": "create update read"})
        yield server


def test_recordings_rest_on_keys_that_openbao_keeps(tmp_path: Path, cluster: Cluster, bao: OpenBao) -> None:
    token = tmp_path / "vault-token"
    token.touch(mode=0o600)
    token.write_text(bao.token("gate", period="1h"))
    auth = {"token": {"file": str(token)}}
    server = {
        "name": "hv",
        "address": bao.address,
        "ca": str(bao.authority.path),
        "auth": auth,
        "timeout": "3s",
    }
    gate = Gate(tmp_path, cluster, vaults=[{"vault": server}], keys={"transit": {"vault": "hv"}})
    with gate:
        shutil.copy(gate.data_dir / "trust.json", gate.auditors)
        with gate.connect() as connection:
            connection.execute("SELECT 'before'")
            gate.run("keys", "rotate", "identity")
            gate.run("keys", "rotate", "journal")
            bao.stop()
            gate.until(lambda: "recording.key-away" in gate.log(), "the server missed")
            with pytest.raises(psycopg.OperationalError):
                gate.connect()
            (told,) = gate.until(lambda: gate.events("session.refused"), "session.refused")
            assert f"keys: vault hv: {bao.address} cannot be reached" in str(told["reason"])
            connection.execute("SELECT 'meanwhile'")
        bao.start()
        gate.until(lambda: "recording.key-back" in gate.log(), "the server found again")
        with gate.connect() as connection:
            connection.execute("SELECT 'after'")
        gate.settled()
    assert {row["key"] for row in gate.rows("keys", "ls") if row["at"] == "transit"} == {
        "identity",
        "journal",
    }
    bao.stop()
    assert gate.statuses() == ["complete", "complete"]
    with pytest.raises(AssertionError, match=r"keys: vault hv: .* cannot be reached"):
        gate.start()
