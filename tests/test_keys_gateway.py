"""Keys of a shipped gateway change while people work, and are lost: what was recorded verifies, before and after."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from recgate.ledger.note import Vkey, parse_note
from tests.keygate import Gate
from tests.peers.postgres import PASSWORD, Cluster, debian_bin


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


def test_keys_change_under_a_session_and_everything_verifies_with_the_old_trust_file(
    tmp_path: Path, cluster: Cluster
) -> None:
    gate = Gate(tmp_path, cluster)
    with gate:
        shutil.copy(gate.data_dir / "trust.json", gate.auditors)
        with gate.connect() as open_before:
            open_before.execute("SELECT 'before'")
            (identity,) = gate.rows("keys", "rotate", "identity")
            (journal,) = gate.rows("keys", "rotate", "journal")
            (ledger,) = gate.rows("keys", "rotate", "ledger")
            open_before.execute("SELECT 'after'")
            with gate.connect() as open_after:
                open_after.execute("SELECT 'new'")
        gate.settled()
        assert (gate.statuses(), gate.ledger) == (["complete", "complete"], [])
        rotated = gate.events("key.rotated")
        assert [(each["key"], each["old"]) for each in rotated] == [
            ("identity", identity["old"]),
            ("journal", journal["old"]),
            ("ledger", ledger["old"]),
        ]
        assert all(str(each["by"]).startswith("local:") for each in rotated)
        head = parse_note((gate.data_dir / "ledger" / "checkpoint").read_bytes())
        (vkey,) = (
            Vkey.parse(each["vkey"])
            for each in json.loads((gate.data_dir / "trust.json").read_text())["ledger"]
        )
        gate.until(lambda: head.verified(vkey), "the head signed by the new key")
        # One that lives while the gateway dies is recovered under the newest identity.
        alive = gate.connect()
        alive.execute("SELECT 'alive'")
        gate.run("keys", "rotate", "identity")
        gate.run("keys", "rotate", "journal")
        gate.kill()
        with contextlib.suppress(psycopg.Error):
            alive.close()
        gate.start()
        gate.settled()
        assert gate.statuses() == ["complete", "complete", "recovered"]
        until = "the journal keys that no journal needs are removed"
        gate.until(lambda: not list((gate.data_dir / "keys").glob("journal.*")), until)
        assert journal["old"] in [each["old"] for each in gate.events("key.dropped")]
    # Of another gateway nobody believes a word: the statements are signed, and not by a key of this auditor's.
    stranger = json.loads(gate.auditors.read_text())
    stranger["identity"][0]["public"] = "A" * 43 + "="
    gate.auditors.write_text(json.dumps(stranger))
    assert gate.statuses() == ["untrusted"] * 3


def test_the_keys_are_lost_and_the_gateway_goes_on_without_hiding_it(
    tmp_path: Path, cluster: Cluster
) -> None:
    gate = Gate(tmp_path, cluster)
    with gate:
        shutil.copy(gate.data_dir / "trust.json", gate.auditors)
        with gate.connect() as connection:
            connection.execute("SELECT 'sealed'")
        gate.settled()
        alive = gate.connect()
        alive.execute("SELECT 'lost'")
        gate.until(lambda: gate.listed() == 2, "the session in the catalog")
        gate.kill()
        with contextlib.suppress(psycopg.Error):
            alive.close()
        shutil.rmtree(gate.data_dir / "keys")
        with pytest.raises(AssertionError, match="recgate keys adopt"):
            gate.start()
        (said,) = gate.rows("keys", "adopt", "--trust", str(gate.auditors))
        (journal,) = said["journals"]
        assert Path(said["ledger"]).is_dir()
        assert journal["size"] > 0
        # What is under other keys is lost with them, the sealed vault too.
        (gate.data_dir / "vaults" / "local.sealed").unlink()
        gate.run("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD)
        gate.start()
        gate.until(lambda: gate.events("session.recovered"), "the lost journal told of")
        (told,) = gate.events("session.recovered")
        assert (told["session"], told["status"]) == (journal["session"], "damaged")
        assert "another journal key" in str(told["reason"])
        rows = {row["id"]: row["status"] for row in gate.rows("sessions")}
        assert rows[journal["session"]] == "unsealed"
        with gate.connect() as connection:
            connection.execute("SELECT 'anew'")
        gate.until(lambda: len(gate.statuses()) == 2, "the new recording sealed")
        assert gate.statuses() == ["complete", "untrusted"]
        assert gate.ledger == ["altered"]  # the new one, which the old file does not know
