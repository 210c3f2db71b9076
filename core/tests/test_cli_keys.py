"""`recgate keys` on a gateway that is stopped: list, rotate, go on after a loss."""

from __future__ import annotations

import pytest

from core.tests.recorded import SQL, Archive
from recgate.ids import new_session_id
from recgate.keys import GatewayKeys
from recgate.recording.journal import Journal


@pytest.fixture
def own(tmp_path):
    """An archive of this test's own, with one recording."""
    archive = Archive(tmp_path)
    (archive.session,) = archive.record(SQL)
    return archive


def test_keys_are_listed(own):
    rows = own.run_json("keys", "ls")
    assert {"identity", "journal", "tls", "ssh-user-ca"} <= {row["key"] for row in rows}
    line = next(line for line in own.run("keys", "ls").splitlines() if line.startswith("identity"))
    assert "Ed25519" in line
    assert next(row["fingerprint"] for row in rows if row["key"] == "identity") in line


def test_old_and_new_recordings_verify_with_the_old_trust_file_and_the_new(own, tmp_path):
    old = tmp_path / "old.json"
    old.write_bytes((own.data / "trust.json").read_bytes())
    (said,) = own.run_json("keys", "rotate", "identity")
    assert said["old"] != said["new"]
    assert "in the place of" in own.run("keys", "rotate", "journal")
    own.record(SQL)
    for trust in ("old.json", "data/trust.json"):
        rows = own.run_json("verify", "--all", "--trust", str(tmp_path / trust))
        assert [row["status"] for row in rows] == ["complete", "complete"]
        assert len({row["key"] for row in rows}) == 2
    store = str(own.data / "recordings")
    assert "2 complete" in own.run("verify", "--all", "--store", store, "--trust", str(old))
    (own.data / "trust.json").unlink()
    rows = own.run_json("verify", "--all", "--store", store, "--trust", str(old), status=1)
    assert sorted(row["status"] for row in rows) == ["complete", "untrusted"]


def test_lost_keys_end_in_a_refusal_then_in_an_adoption(own, tmp_path):
    old = tmp_path / "old.json"
    old.write_bytes((own.data / "trust.json").read_bytes())
    keys = GatewayKeys(own.data, "gate-1")
    waiting = new_session_id()
    journal = Journal.create(own.data / "journal", waiting, keys.journals.reveal(), synced=False)
    journal.append(2, "opened", b"\xa0")
    journal.release()
    for path in keys.directory.iterdir():
        path.unlink()
    own.run("keys", "rotate", "identity", status=2)
    assert "recgate keys adopt" in own.errors
    said = own.run("keys", "adopt")
    assert f"bytes of session {waiting} that were not sealed yet" in said
    (own.session2,) = own.record(SQL)
    # The old file vouches for the old ledger, and for no other.
    (aside,) = own.data.glob("ledger.lost-*")
    before = own.run_json("verify", own.session, "--trust", str(old), "--ledger", str(aside))
    assert before[0]["status"] == "complete"
    assert own.run_json("verify", own.session2, "--trust", str(old), status=1)[0]["status"] == "untrusted"
    assert own.run_json("verify", own.session2)[0]["status"] == "complete"
    assert own.run_json("keys", "ls")[-1]["purpose"] == "signed recordings until it was lost"


def test_nothing_is_adopted_that_is_not_lost(own):
    own.run("keys", "adopt", status=2)
    assert "no key is lost" in own.errors
