"""A sealed vault that a real OpenBao unlocks, through the shipped gateway and its command."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import cbor2
import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.openbao import OpenBao
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

RIGHTS = {"transit/encrypt/recgate": "update", "transit/decrypt/recgate": "update"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture
def bao() -> Iterator[OpenBao]:
    with OpenBao() as server:
        server.mount("transit", "transit")
        server("transit/keys/recgate", {"derived": True})
        server.policy("gate", **RIGHTS)
        yield server


class Gate(GatewayProcess):
    """A gateway whose sealed vault is unlocked by OpenBao, and one target with a secret in it."""

    def __init__(self, directory: Path, cluster: Cluster, bao: OpenBao) -> None:
        self.token_file = directory / "vault-token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(bao.token("gate", period="1h"))
        auth = {"token": {"file": str(self.token_file)}}
        hv = {
            "name": "hv",
            "address": bao.address,
            "ca": str(bao.authority.path),
            "auth": auth,
            "timeout": "3s",
        }
        target = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": "local:prod-db",
            "allow": ["user:alice"],
        }
        self.shape = {
            "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require"}],
            "vaults": [{"vault": hv}, {"sealed": {"unlock": {"vault": "hv", "key": "recgate"}}}],
            "targets": [target],
        }
        super().__init__(directory, self.shape)
        self.file = self.data_dir / "vaults" / "local.sealed"

    def sealed(self, **settings: object) -> None:
        """Change the sealed vault's settings."""
        self.configure({**self.shape, "vaults": [self.shape["vaults"][0], {"sealed": settings}]})

    def answer(self) -> object:
        """Open a session as alice and give what the target says who it is."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port("postgres"), user="prod-db", password=self.token("alice"),
            sslmode="verify-full", sslrootcert=str(self.data_dir / "ca.pem"), connect_timeout=20,
        ) as connection:  # fmt: skip
            row = connection.execute("SELECT session_user").fetchone()
            return row[0] if row else None

    def refused(self) -> None:
        """Open a session as alice, in vain."""
        with pytest.raises(psycopg.OperationalError, match="no credential could be had for this target"):
            self.answer()

    def events(self, *names: str) -> list[dict[str, object]]:
        """Give the audit events of these names."""
        lines = (self.data_dir / "audit.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] in names]


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster, bao: OpenBao) -> Gate:
    gate = Gate(tmp_path, cluster, bao)
    gate.run("user", "add", "alice")
    return gate


def keep(gate: Gate) -> None:
    gate.run("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD)


def reload(gate: Gate) -> None:
    before = len(gate.events("configuration.loaded"))
    os.kill(gate.pid, signal.SIGHUP)
    gate.until(lambda: len(gate.events("configuration.loaded")) > before, "the configuration read anew")


def test_the_key_is_nowhere_on_disk_and_sessions_open(gate: Gate) -> None:
    keep(gate)
    with gate:
        assert gate.answer() == "scram_user"
        gate.until(lambda: gate.events("vault.unlocked"), "the unlocking told")
    assert not list((gate.data_dir / "keys").glob("sealed-*"))
    assert cbor2.loads(gate.file.read_bytes())["wrapped"].startswith("vault:v1:")
    assert [row["name"] for row in gate.rows("secret", "ls")] == ["prod-db"]


def test_once_unlocked_it_lends_while_openbao_is_down_even_over_a_reload(gate: Gate, bao: OpenBao) -> None:
    keep(gate)
    with gate:
        gate.until(lambda: gate.events("vault.unlocked"), "unlocked")
        bao.stop()
        assert gate.answer() == "scram_user"
        reload(gate)
        assert gate.answer() == "scram_user"
    assert not gate.events("vault.locked")


def test_openbao_away_at_start_refuses_these_targets_until_it_is_back(gate: Gate, bao: OpenBao) -> None:
    keep(gate)
    bao.stop()
    with gate:
        gate.until(lambda: gate.events("vault.locked"), "told that it is locked")
        (told,) = gate.events("vault.locked")
        assert (told["vault"], told["by"]) == ("local", "hv")
        assert f"{bao.address} cannot be reached" in str(told["reason"])
        gate.refused()
        gate.until(
            lambda: (
                "sealed vault local is locked" in json.dumps(gate.events("session.closed", "session.refused"))
            ),
            "the reason in the audit trail",
        )
        assert gate.command("secret", "ls").returncode == 2

        bao.start()

        gate.until(lambda: gate.events("vault.unlocked"), "unlocked without anybody's doing")
        assert gate.answer() == "scram_user"


def test_a_killed_gateway_needs_openbao_again(gate: Gate, bao: OpenBao) -> None:
    keep(gate)
    with gate:
        assert gate.answer() == "scram_user"
        bao.stop()
        gate.kill()
        gate.start()
        gate.refused()


def test_wrong_permissions_are_told_with_the_remedy_and_mended_while_it_runs(
    gate: Gate, bao: OpenBao
) -> None:
    keep(gate)
    bao.policy("gate", **{"transit/encrypt/recgate": "update"})
    with gate:
        gate.until(lambda: gate.events("vault.locked"), "told that it is locked")
        assert 'path "transit/decrypt/recgate" { capabilities = ["update"] }' in str(
            gate.events("vault.locked")[0]["reason"]
        )
        gate.refused()

        bao.policy("gate", **RIGHTS)

        gate.until(lambda: gate.events("vault.unlocked"), "unlocked with the right")
        assert gate.answer() == "scram_user"


def test_a_key_rotated_in_transit(gate: Gate, bao: OpenBao) -> None:
    """The old version opens until it may not; `rewrap` takes the newest, under a running gateway."""
    keep(gate)
    bao("transit/keys/recgate/rotate", {})
    with gate:
        assert gate.answer() == "scram_user"
        assert "1 secrets sealed anew" in gate.run("secret", "rewrap")
        assert cbor2.loads(gate.file.read_bytes())["wrapped"].startswith("vault:v2:")
        bao("transit/keys/recgate/config", {"min_decryption_version": 2})
        assert gate.answer() == "scram_user"
    with gate:
        assert gate.answer() == "scram_user"
        bao("transit/keys/recgate/rotate", {})
        bao("transit/keys/recgate/config", {"min_decryption_version": 3})
    with gate:
        gate.refused()
        assert "min_decryption_version" in str(gate.events("vault.locked")[-1]["reason"])


def test_a_wrapped_key_that_was_altered_opens_nothing(gate: Gate) -> None:
    keep(gate)
    fields = cbor2.loads(gate.file.read_bytes())
    fields["wrapped"] = (
        fields["wrapped"][:-9] + ("A" if fields["wrapped"][-9] != "A" else "B") + fields["wrapped"][-8:]
    )
    gate.file.write_bytes(cbor2.dumps(fields, canonical=True))
    with gate:
        gate.until(lambda: gate.events("vault.locked"), "told that it is locked")
        gate.refused()
    assert "was altered, or wrapped for another vault" in str(gate.events("vault.locked")[0]["reason"])


def test_a_file_moves_to_transit_and_back_with_one_command(gate: Gate) -> None:
    gate.sealed()
    keep(gate)
    old_key = gate.data_dir / "keys" / "sealed-local"
    assert old_key.exists()
    with gate:
        assert gate.answer() == "scram_user"
        gate.configure(gate.shape)
        refused = gate.command("secret", "ls")
        assert refused.returncode == 2
        assert "recgate secret rewrap --vault local" in refused.stderr

        moved = gate.command("secret", "rewrap")
        reload(gate)

        assert "1 secrets sealed anew, with a key from the vault hv (transit/recgate)" in moved.stdout
        assert f"Remove the old key once backups of the old file are gone: {old_key}" in moved.stderr
        old_key.unlink()
        assert gate.answer() == "scram_user"
    own = gate.directory / "own-key"
    own.touch(mode=0o600)
    own.write_bytes(b"x" * 32)
    gate.sealed(key={"file": str(own)})
    assert "--from vault:NAME:MOUNT/KEY" in gate.command("secret", "rewrap").stderr
    assert gate.command("secret", "rewrap", "--from", "vault:vh:transit/recgate").returncode == 2
    assert gate.command("secret", "rewrap", "--from", "nonsense").returncode == 2
    assert "1 secrets" in gate.run("secret", "rewrap", "--from", "vault:hv:transit/recgate")
    with gate:
        assert gate.answer() == "scram_user"


def test_a_vault_that_nothing_can_unlock_refuses_the_start(gate: Gate) -> None:
    gate.sealed(unlock={"vault": "vh", "key": "recgate"})
    with pytest.raises(AssertionError, match="to be unlocked by 'vh', and there is no such vault"):
        gate.start()
