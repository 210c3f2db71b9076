"""Keys of a shipped gateway in a real token (SoftHSM): without the token nothing begins, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.keygate import Gate
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.softtoken import SoftToken


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def test_recordings_are_signed_in_the_token_and_verify_without_it(
    tmp_path: Path, cluster: Cluster, token: SoftToken
) -> None:
    gate = Gate(tmp_path, cluster, keys={"pkcs11": token.settings})
    with gate:
        shutil.copy(gate.data_dir / "trust.json", gate.auditors)
        with gate.connect() as connection:
            connection.execute("SELECT 'one'")
            gate.run("keys", "rotate", "identity")
            gate.run("keys", "rotate", "journal")
        with gate.connect() as connection:
            connection.execute("SELECT 'two'")
        gate.settled()
        # What a dead gateway leaves is opened and signed in the token, too.
        alive = gate.connect()
        alive.execute("SELECT 'three'")
        gate.kill()
        alive.close()
        gate.start()
        gate.settled()
    rows = gate.rows("keys", "ls")
    assert {row["key"] for row in rows if row["at"] == "pkcs11"} == {"identity", "journal"}
    assert b"PRIVATE" not in (gate.data_dir / "keys" / "identity.pem").read_bytes()
    token.take_away()
    assert gate.statuses() == ["complete", "complete", "recovered"]
    with pytest.raises(AssertionError, match=r"keys: the token gate in .* cannot be used"):
        gate.start()


def test_without_the_token_no_session_is_opened_and_those_that_are_open_lose_nothing(
    tmp_path: Path, cluster: Cluster, token: SoftToken
) -> None:
    gate = Gate(tmp_path, cluster, keys={"pkcs11": token.settings})
    with gate:
        shutil.copy(gate.data_dir / "trust.json", gate.auditors)
        with gate.connect() as connection:
            connection.execute("SELECT 'before'")
            token.take_away()
            gate.until(lambda: "recording.key-away" in gate.log(), "the token missed")
            with pytest.raises(psycopg.OperationalError) as refused:
                gate.connect()
            assert str(token.pin_file) not in str(refused.value)
            (told,) = gate.until(lambda: gate.events("session.refused"), "session.refused")
            assert "keys: the token gate" in str(told["reason"])
            connection.execute("SELECT 'meanwhile'")
        token.put_back()
        gate.until(lambda: "recording.key-back" in gate.log(), "the token found again")
        with gate.connect() as connection:
            connection.execute("SELECT 'after'")
        gate.settled()
    assert gate.statuses() == ["complete", "complete"]
