"""Tiles are what mirrors serve: one that is not what the entries give is named."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.ledger.log import Ledger
from recgate.ledger.reading import LedgerReading
from recgate.ledger.tilecheck import TileCheck

ORIGIN = "recgate/gate-1/00"


@pytest.fixture
def ledger(tmp_path):
    """600 entries: two full tiles, and partial ones at two levels."""
    made = Ledger(tmp_path / "ledger", Ed25519PrivateKey.generate(), ORIGIN)
    made.append([b"entry %d" % number for number in range(600)])
    made.publish()
    return made


def findings(ledger):
    reading = LedgerReading(ledger.directory, [ledger.vkey])
    reading.read()
    return [(each.where, each.what) for each in reading.findings]


TILES = ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/002.p/88"]


def test_tiles_that_are_whole_are_not_found(ledger):
    assert findings(ledger) == []


@pytest.mark.parametrize("name", TILES)
def test_a_changed_tile_is_named(ledger, name):
    path = ledger.directory / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert findings(ledger) == [(name, "is not what the entries give")]
    path.write_bytes(data[:-5])
    assert findings(ledger) == [(name, "is not what the entries give")]
    path.write_bytes(b"")
    assert findings(ledger) == [(name, "is not what the entries give")]


@pytest.mark.parametrize("name", TILES)
def test_a_missing_tile_is_named(ledger, name):
    (ledger.directory / name).unlink()
    assert findings(ledger) == [(name, "is missing")]


def test_a_ledger_that_grows_is_read_on_with_its_tiles(ledger):
    reading = LedgerReading(ledger.directory, [ledger.vkey])
    reading.read()
    ledger.append([b"more %d" % number for number in range(300)])
    reading.read()  # the head is the older one, and its partial tiles went with the full one
    ledger.publish()
    reading.read()
    assert reading.sound
    (ledger.directory / "tile/0/002").write_bytes(bytes(256 * 32))
    assert findings(ledger) == [("tile/0/002", "is not what the entries give")]


def test_what_is_in_older_partial_tiles_is_nobodys(ledger):
    ledger.append([b"one more"])
    ledger.publish()
    (ledger.directory / "tile/0/002.p/88").write_bytes(b"x")
    assert findings(ledger) == []


def test_a_tile_above_that_is_full_is_looked_at():
    asked = {}
    check = TileCheck(lambda name: asked.setdefault(name, b"another"))
    for number in range(65_536):
        check.add(b"%d" % number, bytes(32))
    assert "tile/1/000" in asked
    named = [name for name, _ in check.wrong(65_536)]
    assert named[:2] == ["tile/0/000", "tile/0/001"]
    assert len(named) == 51  # more of the full ones are not listed


def test_a_full_tile_that_is_missing_counts_once_a_head_covers_it():
    check = TileCheck(lambda name: None)
    for number in range(256):
        check.add(b"%d" % number, bytes(32))
    assert list(check.wrong(255)) == []  # it is being written
    assert list(check.wrong(256)) == [("tile/0/000", "is missing"), ("tile/1/000.p/1", "is missing")]
