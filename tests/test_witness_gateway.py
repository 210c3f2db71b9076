"""The shipped gateway under the eyes of witnesses: our own command, and one that is not ours (aics-witness)."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recgate.keys import GatewayKeys
from recgate.ledger.cosignature import cosignatures
from recgate.ledger.note import ED25519, Vkey, parse_note
from recgate.testing.process import GatewayProcess
from tests.peers.c2spwitness import ForeignWitness, run_foreign
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

# Their reader: the checkpoint with both cosignatures, and every tile under it.
READER = """
import sys
from pathlib import Path
from aics_tlog import FileSystemTileReader, audit_tiles, parse_checkpoint, parse_note, parse_vkey, verify_checkpoint
ledger, log, *witnesses = sys.argv[1:]
note = parse_note((Path(ledger) / "checkpoint").read_bytes())
said = verify_checkpoint(note, parse_vkey(log), [parse_vkey(each) for each in witnesses], quorum=len(witnesses))
assert said.ok, said
head = parse_checkpoint(note.text)
print(audit_tiles(FileSystemTileReader(ledger), head.size, head.root))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@contextmanager
def own_witness(state: Path) -> Iterator[tuple[str, str]]:
    """Run `recgate witness serve`; gives where, and its key."""
    command = [sys.executable, "-m", "recgate", "witness", "serve", "--state", str(state), "--json"]
    with (state.parent / "own.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--name", "own.example/w"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield f"http://127.0.0.1:{ready['port']}", ready["key"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


class House:
    """A gateway with one target and alice, whose witnesses are set before it starts."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        target = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": "local:prod-db",
            "allow": ["user:alice"],
        }
        listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require"}]
        self.config: dict[str, Any] = {"listeners": listeners, "targets": [target]}
        self.gate = GatewayProcess(directory, self.config)
        self.gate.run("user", "add", "alice")
        secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
        self.gate.run(*secret, stdin=PASSWORD + "\n")
        keys = GatewayKeys(self.gate.data_dir, "gate-test")
        self.vkey = Vkey(keys.ledger_origin, ED25519, keys.ledger.public_key().public_bytes_raw())
        self.ledger = self.gate.data_dir / "ledger"

    def watched_by(self, *witnesses: dict[str, str], **silence: str) -> None:
        self.gate.configure(
            {**self.config, "recording": {"witnesses": witnesses, "witness_silence": silence}}
        )

    def session(self) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self.gate.port("postgres"), user="prod-db", password=self.gate.token("alice"),
            sslmode="verify-full", sslrootcert=str(self.gate.data_dir / "ca.pem"), autocommit=True,
        ) as connection:  # fmt: skip
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.gate.data_dir / "audit.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def is_cosigned_by(self, *keys: str) -> bool:
        try:
            note = parse_note((self.ledger / "checkpoint").read_bytes())
        except FileNotFoundError:
            return False
        return len(cosignatures(note, [Vkey.parse(key) for key in keys])) == len(keys)


@pytest.fixture
def house(tmp_path: Path, cluster: Cluster) -> House:
    return House(tmp_path, cluster)


def follow(state: Path, log: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "recgate", "witness", "follow", "--state", str(state), log],
        check=True,
        capture_output=True,
    )


def test_our_witness_and_one_that_is_not_ours_cosign_what_the_gateway_records(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "foreign").mkdir()
    foreign = ForeignWitness(tmp_path / "foreign")
    foreign.follow(house.vkey.name, house.vkey.text)
    state = tmp_path / "own"
    with own_witness(state) as (url, key), foreign:
        follow(state, house.vkey.text)
        house.gate.until(foreign.address, "the other witness serves")
        house.watched_by({"url": url, "key": key}, {"url": foreign.address(), "key": foreign.key})
        with house.gate:
            house.session()
            house.gate.until(lambda: house.is_cosigned_by(key, foreign.key), "both cosignatures")
            trust = json.loads((house.gate.data_dir / "trust.json").read_text())
            assert trust["witnesses"] == [key, foreign.key]
            house.session()
            house.gate.until(lambda: house.is_cosigned_by(key, foreign.key), "both cosignatures of the next")
            run_foreign(READER, str(house.ledger), house.vkey.text, key, foreign.key)
        assert not house.events("witness.refused")
        assert foreign.evidence().strip() == "[]"
        # The administrator deletes the ledger, and with it what was done.
        shutil.rmtree(house.ledger)
        with house.gate:
            house.session()
            house.session()
            house.gate.until(
                lambda: (
                    {each["witness"] for each in house.events("witness.refused")}
                    == {"own.example/w", "foreign.example/w"}
                ),
                "both refuse",
            )
        assert all("seen" in each["reason"] for each in house.events("witness.refused"))


def test_sessions_wait_for_a_witness_if_told_to_and_the_client_is_told_why(
    house: House, tmp_path: Path
) -> None:
    state = tmp_path / "own"
    with own_witness(state) as (url, key):
        pass  # and gone
    follow(state, house.vkey.text)
    house.watched_by({"url": url, "key": key}, after="3s", then="refuse")
    with house.gate:
        house.session()  # nothing is owed yet
        house.gate.until(lambda: house.events("witness.silent"), "witness.silent")
        with pytest.raises(psycopg.OperationalError) as caught:
            house.session()
        assert "FATAL" in str(caught.value)
        (refused,) = house.gate.until(lambda: house.events("session.refused"), "session.refused")
        assert "witness own.example/w has not vouched for the ledger for 3 s" in refused["reason"]
        house.watched_by({"path": str(state), "key": key}, after="3s", then="refuse")
    with house.gate:
        house.session()
        house.gate.until(lambda: house.is_cosigned_by(key), "a cosignature")
