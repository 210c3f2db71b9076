"""Where a ledger is looked for, and what is said of it on a line."""

from __future__ import annotations

import click
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.cli.ledgerplace import is_ledger, ledger_beside, ledger_line, read_ledger
from recgate.ledger.entries import pack_entry
from recgate.ledger.log import Ledger
from recgate.recording.trust import Trust


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger", Ed25519PrivateKey.generate(), "recgate/gate-1/00")
    made.append([pack_entry("node", 1, "gate-1")])
    made.publish()
    return made


def test_it_is_found_beside_the_recordings_and_in_them(ledger, tmp_path):
    (tmp_path / "store").mkdir()
    assert ledger_beside(tmp_path / "store") == ledger.directory
    assert ledger_beside(tmp_path) == ledger.directory
    assert not is_ledger(tmp_path / "store")


def test_it_is_read_and_said_what_it_is(ledger):
    line = ledger_line(read_ledger(ledger.directory, Trust([], [ledger.vkey])))
    assert line.startswith("ledger recgate/gate-1/00: 1 entries, all of them signed")


def test_what_is_no_checkpoint_is_said_so(ledger, tmp_path):
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(click.UsageError, match="no checkpoint"):
        read_ledger(ledger.directory, Trust(), [tmp_path / "junk"])
