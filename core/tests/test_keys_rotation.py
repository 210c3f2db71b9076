"""Keys change without a moment in which none is there, and are never made up in the place of lost ones."""

from __future__ import annotations

import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.recordings import Maker
from recgate.errors import ConfigurationError, RecordingDamaged
from recgate.ids import new_session_id
from recgate.keys import GatewayKeys
from recgate.keys import rotation as rotation_module
from recgate.keys.adoption import adopt
from recgate.keys.files import write_atomically
from recgate.keys.history import History, Past
from recgate.keys.listing import key_rows
from recgate.keys.rotation import (
    drop_journal_keys,
    finish_rotations,
    rotate_identity,
    rotate_journal,
)
from recgate.recording.cose import key_id, public_bytes
from recgate.recording.journal import Journal
from recgate.recording.journalfiles import DAMAGED, head_key, read_head, wrapping_id
from recgate.recording.trust import Trust, fingerprint


@pytest.fixture
def keys(tmp_path):
    found = GatewayKeys(tmp_path / "data", "gate-1")
    found.prepare()
    return found


def again(keys):
    """A start of the gateway."""
    found = GatewayKeys(keys.data_dir, "gate-1")
    found.prepare()
    return found


def trusted(path):
    return Trust.load(path)


def name(key):
    return fingerprint(key_id(public_bytes(key)))


def wait(keys, *, damaged=False):
    """Leave a journal, as a gateway that was killed does."""
    root = keys.data_dir / "journal"
    place = root / DAMAGED if damaged else root
    place.mkdir(parents=True, exist_ok=True)
    session = new_session_id()
    journal = Journal.create(place, session, keys.journals.reveal(), synced=False)
    journal.append(2, "opened", b"\xa0")
    journal.release()
    return place / session


# -- identity ------------------------------------------------------------------------------------------------


def test_an_old_trust_file_believes_every_later_key_by_the_new_ones_statements(keys, tmp_path):
    old = (keys.data_dir / "trust.json").read_bytes()
    (tmp_path / "old").write_bytes(old)
    first = keys.identity
    said = rotate_identity(keys)
    second = keys.identity
    assert said == (name(first), name(second))
    rotate_identity(keys)
    third = again(keys).identity
    assert len({name(key) for key in (first, second, third)}) == 3
    published = keys.data_dir / "trust.json"
    for trust in (trusted(published), Trust.load(tmp_path / "old", beside=[published])):
        assert all(trust.key(key_id(public_bytes(key))) for key in (first, second, third))
        assert trust.retired(key_id(public_bytes(first))) is not None
        assert trust.retired(key_id(public_bytes(third))) is None
    assert Trust.load(tmp_path / "old").key(key_id(public_bytes(third))) is None


def test_the_old_private_key_is_nowhere_any_more(keys):
    old = keys.identity.private_bytes_raw()
    pem = (keys.directory / "identity.pem").read_bytes()
    rotate_identity(keys)
    content = b"".join(path.read_bytes() for path in keys.data_dir.rglob("*") if path.is_file())
    assert old not in content
    assert pem.splitlines()[1] not in content
    assert {path.stat().st_mode & 0o777 for path in keys.directory.iterdir()} == {0o600}


class Killed(BaseException):
    pass


STEPS = 5  # looking for an older one, the staged key, the history, the rename, trust.json


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_killed_anywhere_there_is_one_identity_and_its_trust_file_says_so(keys, tmp_path, monkeypatch, at):
    (tmp_path / "old").write_bytes((keys.data_dir / "trust.json").read_bytes())
    before, count = name(keys.identity), [0]

    def counted(real):
        def call(*arguments, **more):
            count[0] += 1
            if count[0] == at:
                raise Killed
            return real(*arguments, **more)

        return call

    monkeypatch.setattr(rotation_module, "write_atomically", counted(write_atomically))
    monkeypatch.setattr(rotation_module, "finish_rotations", counted(finish_rotations))
    monkeypatch.setattr(History, "save", counted(History.save))
    monkeypatch.setattr(GatewayKeys, "publish_trust", counted(GatewayKeys.publish_trust))
    with pytest.raises(Killed):
        rotate_identity(keys)
    monkeypatch.undo()
    after = again(keys)
    changed = at > 3  # the statement is written
    assert (name(after.identity) == before) is not changed
    assert not (keys.directory / "identity.next").exists()
    trust = Trust.load(tmp_path / "old", beside=[keys.data_dir / "trust.json"])
    assert trust.key(key_id(public_bytes(after.identity)))
    assert trust.retired(key_id(public_bytes(after.identity))) is None
    assert not trust.contradicted


def test_a_staged_key_that_nobody_named_is_not_taken_up(keys):
    before = name(keys.identity)
    thief = GatewayKeys(keys.data_dir.parent / "other", "gate-1")
    thief.prepare()
    (thief.directory / "identity.pem").rename(keys.directory / "identity.next")
    finish_rotations(keys.directory, None)
    assert name(again(keys).identity) == before


def test_a_history_that_is_damaged_is_refused(keys):
    rotate_identity(keys)
    (keys.directory / "history.json").write_text('{"past": [{}]}')
    with pytest.raises(ConfigurationError, match=r"history\.json: is damaged\. Restore it"):
        again(keys)


def test_a_history_that_nobody_could_follow_is_not_written(keys):
    history = History(tuple(Past(bytes(32), 1, "rotated") for _ in range(1000)))
    with pytest.raises(ConfigurationError, match="new data_dir"):
        history.adding(Past(bytes(32), 1, "rotated"))


# -- loss ----------------------------------------------------------------------------------------------------


def test_a_gateway_does_not_become_another_one_because_its_keys_are_gone(keys):
    said = (keys.data_dir / "trust.json").read_bytes()
    (keys.directory / "identity.pem").unlink()
    with pytest.raises(ConfigurationError, match=r"is gone: .* Restore .* `recgate keys adopt`"):
        again(keys)
    assert (keys.data_dir / "trust.json").read_bytes() == said
    assert not (keys.directory / "identity.pem").exists()


def test_nor_because_they_are_another_ones(keys, tmp_path):
    other = GatewayKeys(tmp_path / "other", "gate-1")
    other.prepare()
    (keys.directory / "identity.pem").write_bytes((other.directory / "identity.pem").read_bytes())
    with pytest.raises(ConfigurationError, match="one of them is of another gateway"):
        again(keys)


def test_a_journal_key_that_journals_wait_for_is_not_made_up(keys):
    (keys.directory / "journal").unlink()
    again(keys)  # nothing waits
    wait(keys)
    (keys.directory / "journal").unlink()
    with pytest.raises(ConfigurationError, match="1 sessions wait"):
        again(keys)


def test_adopting_says_what_is_lost_and_the_start_goes_on(keys, tmp_path):
    rotate_identity(keys)
    old = (keys.data_dir / "trust.json").read_bytes()
    (tmp_path / "old").write_bytes(old)
    lost = keys.identity
    waiting = wait(keys)
    for path in keys.directory.iterdir():
        path.unlink()
    fresh = GatewayKeys(keys.data_dir, "gate-1")
    done = adopt(fresh, None)
    assert done.lost == (name(lost),)
    assert [(each.session, each.size > 0) for each in done.journals] == [(waiting.name, True)]
    assert done.identity == name(fresh.identity)
    assert done.identity != name(lost)
    assert waiting.exists()  # the start sets it aside, and says so
    again(keys)
    trust = trusted(keys.data_dir / "trust.json")
    assert trust.retired(key_id(public_bytes(lost))) is not None
    entries = json.loads((keys.data_dir / "trust.json").read_text())["identity"]
    assert [each.get("why") for each in entries] == [None, "lost", "rotated"]
    # Nothing proves that the new one follows: not with the statements of the old ones either.
    known = Trust.load(tmp_path / "old", beside=[keys.data_dir / "trust.json"])
    assert known.key(key_id(public_bytes(lost)))
    assert known.key(key_id(public_bytes(fresh.identity))) is None


def test_adopting_takes_the_trust_file_that_an_auditor_has(keys, tmp_path):
    auditors = tmp_path / "auditors"
    (keys.data_dir / "trust.json").rename(auditors)
    lost = keys.identity
    (keys.directory / "identity.pem").unlink()
    done = adopt(GatewayKeys(keys.data_dir, "gate-1"), auditors)
    assert done.lost == (name(lost),)
    assert trusted(keys.data_dir / "trust.json").key(key_id(public_bytes(lost)))


def test_what_is_not_lost_is_not_adopted(keys, tmp_path):
    with pytest.raises(ConfigurationError, match="no key is lost"):
        adopt(GatewayKeys(keys.data_dir, "gate-1"), None)
    other = GatewayKeys(tmp_path / "other", "gate-2")
    other.prepare()
    (keys.directory / "identity.pem").unlink()
    with pytest.raises(ConfigurationError, match="is of the gateway gate-2, and this is gate-1"):
        adopt(GatewayKeys(keys.data_dir, "gate-1"), other.data_dir / "trust.json")


def test_killed_while_adopting_the_next_start_knows_that_it_was_meant(keys, monkeypatch):
    lost = keys.identity
    (keys.directory / "identity.pem").unlink()
    monkeypatch.setattr(GatewayKeys, "prepare", lambda self: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        adopt(GatewayKeys(keys.data_dir, "gate-1"), None)
    monkeypatch.undo()
    again(keys)
    assert trusted(keys.data_dir / "trust.json").retired(key_id(public_bytes(lost))) is not None


# -- journal -------------------------------------------------------------------------------------------------


def test_journals_of_both_keys_can_be_read_and_the_old_key_goes_with_the_last(keys):
    before = wait(keys)
    old, new = rotate_journal(keys)
    after = wait(keys)
    assert [(head_key(each) or b"").hex() for each in (before, after)] == [old, new]
    fresh = again(keys)
    for journal in (before, after):
        read_head(journal, fresh.journals.reveal())
    with pytest.raises(RecordingDamaged, match="another journal key"):
        read_head(before, fresh.journal.reveal())
    assert drop_journal_keys(fresh) == []
    for path in sorted(before.iterdir()):
        path.unlink()
    before.rmdir()
    assert drop_journal_keys(fresh) == [old]
    assert len(again(keys).journals.reveal()) == 32
    read_head(after, fresh.journals.reveal())


def test_a_journal_that_was_set_aside_keeps_its_key_and_one_without_a_head_keeps_all(keys):
    aside = wait(keys, damaged=True)
    rotate_journal(keys)
    assert drop_journal_keys(keys) == []
    (aside / "head").write_bytes(b"\x00\x00")
    assert drop_journal_keys(keys) == []
    (aside / "head").unlink()
    assert drop_journal_keys(keys) == []


def test_the_key_that_wraps_comes_first_and_is_named(tmp_path):
    maker = Maker(tmp_path)
    ring = maker.wrapping + os.urandom(32)
    session, journal = maker.open()
    journal.release()
    assert head_key(maker.journals / session) == wrapping_id(maker.wrapping)
    assert read_head(maker.journals / session, ring) == read_head(
        maker.journals / session, ring[32:] + ring[:32]
    )


# -- listing -------------------------------------------------------------------------------------------------


def test_every_key_is_listed_and_nothing_secret(keys):
    rotate_identity(keys)
    rotate_journal(keys)
    rows = list(key_rows(keys.directory))
    listed = [(row.key, row.algorithm, row.at) for row in rows]
    assert ("identity", "Ed25519", "file") in listed
    assert ("identity", "Ed25519", "gone") in listed
    assert listed.count(("journal", "AES-256", "file")) == 2
    assert {row.key for row in rows} == {
        "identity", "journal", "ledger", "subjects", "ca", "tls", "ssh-host", "ssh-host-ca", "ssh-user-ca"
    }  # fmt: skip
    assert all(row.algorithm and row.fingerprint and row.purpose for row in rows if row.key != "subjects")
    assert next(row.fingerprint for row in rows if row.key == "identity") == name(keys.identity)
    shown = repr(rows).encode()
    for path in keys.directory.iterdir():
        if path.name != "history.json":
            assert path.read_bytes().hex().encode() not in shown
    assert isinstance(keys.identity, Ed25519PrivateKey)


def test_a_directory_that_is_not_there_has_no_keys(tmp_path):
    assert list(key_rows(tmp_path / "absent")) == []
    assert not (tmp_path / "absent").exists()
