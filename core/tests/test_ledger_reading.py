"""A reader believes a signature and nothing else, and says where what it reads is not what was signed."""

from __future__ import annotations

import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.plaintree import plain_root
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.log import Ledger
from recgate.ledger.note import parse_note
from recgate.ledger.reading import LedgerReading
from recgate.ledger.tail import WRITING
from recgate.ledger.tiles import join_entries, tile_name

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "recgate/gate-1/0011223344556677"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger", KEY, ORIGIN)


def entries_of(count, start=0):
    return [b"entry %d" % number for number in range(start, start + count)]


def read(ledger, keys=None, older=()):
    found: list[bytes] = []
    reading = LedgerReading(
        ledger.directory,
        [ledger.vkey] if keys is None else keys,
        lambda index, entry: found.append(entry),
        older,
    )
    reading.read()
    return reading, found


def findings(reading):
    return [f"{each.where}: {each.what}" for each in reading.findings]


@pytest.mark.parametrize("publish", [True, False])
@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_what_is_sound_is_read_whole_and_all_of_it_is_signed(ledger, count, publish):
    """Also what is under no checkpoint: every batch is signed when it is appended."""
    ledger.append(entries_of(count))
    if publish:
        ledger.publish()
    reading, found = read(ledger)
    assert (findings(reading), found) == ([], entries_of(count))
    assert (reading.size, reading.signed) == (count, count)
    assert reading.frontier.root() == plain_root(entries_of(count))


@pytest.mark.parametrize("count", [3, 256, 300])
def test_a_mirror_has_what_the_checkpoint_signs(ledger, count):
    ledger.append(entries_of(count))
    ledger.publish()
    ledger.append(entries_of(5, count))
    shutil.rmtree(ledger.directory / WRITING)
    reading, found = read(ledger)
    assert (findings(reading), found, reading.signed) == ([], entries_of(count), count)


def test_reading_goes_on_where_it_was(ledger):
    ledger.append(entries_of(250))
    reading, found = read(ledger)
    for _ in range(3):
        ledger.append(entries_of(10, reading.size))
        ledger.publish()
        reading.read()
        assert findings(reading) == []
    assert found == entries_of(280)


def test_a_changed_entry_is_named(ledger):
    ledger.append(entries_of(300))
    ledger.publish()
    path = ledger.directory / tile_name("entries", 0)
    path.write_bytes(path.read_bytes().replace(b"entry 37", b"entry 73"))
    reading, _ = read(ledger)
    assert findings(reading) == ["entry 37: is not what was signed (tile/entries/000, its number 37)"]
    assert reading.signed == 0


def test_a_bundle_that_is_gone_is_named(ledger):
    ledger.append(entries_of(600))
    ledger.publish()
    (ledger.directory / tile_name("entries", 1)).unlink()
    reading, _ = read(ledger)
    assert findings(reading)[0] == "tile/entries/001: is missing, though later entries are there"
    assert "entries 256 to 599 are missing" in findings(reading)[1]


def test_entries_and_tiles_that_were_rewritten_together_are_seen(ledger, tmp_path):
    ledger.append(entries_of(300))
    ledger.publish()
    other = Ledger(tmp_path / "other", KEY, ORIGIN)
    other.append([*entries_of(299), b"another"])
    other.publish()
    (other.directory / "checkpoint").write_bytes((ledger.directory / "checkpoint").read_bytes())
    shutil.rmtree(other.directory / WRITING)
    assert "entries were changed and the tiles with them" in findings(read(other)[0])[0]


def test_another_key_s_signature_is_not_taken(ledger, tmp_path):
    ledger.append(entries_of(3))
    ledger.publish()
    forged = Ledger(tmp_path / "forged", Ed25519PrivateKey.generate(), ORIGIN)
    forged.append(entries_of(2))
    forged.publish()
    reading, _ = read(forged, [ledger.vkey])
    assert findings(reading)[0] == f"checkpoint: it is not signed by {ORIGIN}"
    assert reading.signed == 0


def test_without_a_trusted_key_it_is_untrusted_and_not_altered(ledger):
    ledger.append(entries_of(3))
    ledger.publish()
    reading, _ = read(ledger, [])
    assert [each.untrusted for each in reading.findings] == [True]
    assert reading.signed == 0


def test_a_forged_tail_behind_an_honest_checkpoint_is_seen(ledger, tmp_path):
    ledger.append(entries_of(3))
    ledger.publish()
    forged = Ledger(tmp_path / "forged", Ed25519PrivateKey.generate(), ORIGIN)
    forged.append([*entries_of(3), b"never appended"])
    shutil.rmtree(ledger.directory / WRITING)
    shutil.copytree(forged.directory / WRITING, ledger.directory / WRITING)
    reading, _ = read(ledger)
    assert findings(reading) == ["entry 3 is: not what the ledger's key has signed"]
    assert reading.signed == 3


def test_an_older_checkpoint_shows_a_roll_back_and_a_fork(ledger, tmp_path):
    ledger.append(entries_of(2))
    shutil.copytree(ledger.directory, tmp_path / "before")
    ledger.append(entries_of(2, 2))
    kept = parse_checkpoint(parse_note(ledger.publish()).text)
    assert findings(read(ledger, older=[("kept", kept)])[0]) == []
    rolled = Ledger(tmp_path / "before", KEY, ORIGIN)
    rolled.publish()
    assert (
        "kept: signs 4 entries, and the ledger has 2: it was rolled back"
        in findings(read(rolled, older=[("kept", kept)])[0])[0]
    )
    rolled.append([b"x", b"y", b"z"])
    rolled.publish()
    assert findings(read(rolled, older=[("kept", kept)])[0]) == [
        "kept: signs other entries before 4 than the ledger has: one of the two was forked"
    ]


def test_a_checkpoint_that_is_gone_is_missed_on_a_mirror(ledger):
    ledger.append(entries_of(2))
    ledger.publish()
    shutil.rmtree(ledger.directory / WRITING)
    (ledger.directory / "checkpoint").unlink()
    assert findings(read(ledger)[0]) == ["checkpoint: there is none"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_single_change_is_reported_and_none_raises(tmp_path_factory, data):
    """On a mirror, of which nothing is spare: hashes in tiles are no evidence."""
    path = tmp_path_factory.mktemp("tamper")
    ledger = Ledger(path / "ledger", KEY, ORIGIN)
    ledger.append(entries_of(300))
    ledger.publish()
    shutil.rmtree(ledger.directory / WRITING)
    names = ["checkpoint", tile_name("entries", 0), tile_name("entries", 1, 44)]
    target = ledger.directory / data.draw(st.sampled_from(names))
    content = target.read_bytes()
    match data.draw(st.sampled_from(["flip", "cut", "splice", "remove", "swap", "directory"])):
        case "flip":
            place = data.draw(st.integers(0, len(content) - 1))
            changed = bytearray(content)
            changed[place] ^= 1 << data.draw(st.integers(0, 7))
            target.write_bytes(changed)
        case "cut":
            target.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        case "splice":
            place = data.draw(st.integers(0, len(content)))
            target.write_bytes(
                content[:place] + data.draw(st.binary(min_size=1, max_size=9)) + content[place:]
            )
        case "remove":
            target.unlink()
        case "swap":
            target.write_bytes(join_entries([b"entry 1", *entries_of(255)]))
        case _:
            target.unlink()
            target.mkdir()
    reading, _ = read(ledger)
    assert findings(reading) != []
    shutil.rmtree(path)
