"""Every recording has its leaves, once what they stand for is durable, and whoever was killed when."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from core.tests.recordings import Maker
from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.ids import session_bytes
from recgate.ledger.entries import read_entry, who_is
from recgate.ledger.log import Ledger
from recgate.recording.leaves import Leaves
from recgate.recording.seal import read_header
from recgate.recording.segment import read_segment


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


def leaves(maker, session=None):
    """What the ledger has, of one session or of all."""
    bundles = list(maker.ledger.open().backwards())
    entries = [read_entry(data) for bundle in reversed(bundles) for data in bundle]
    return [each for each in entries if session is None or each.session == session_bytes(session)]


def kinds(maker, session):
    return [
        f"seal {each.fields['segment']}" if each.kind == "seal" else each.kind
        for each in leaves(maker, session)
    ]


def test_a_recording_has_a_leaf_for_its_begin_each_segment_and_its_end(maker):
    session = maker.record([(0, "F", b"one")], [(0, "F", b"two")])
    assert kinds(maker, session) == ["open", "seal 1", "seal 2", "close"]
    opened, first, second, close = leaves(maker, session)
    header, _ = read_header(maker.store.get(session, "header.cbor"))
    assert opened.fields["opened"] == header.opened
    for entry, name in ((first, "000001.seg"), (second, "000002.seg")):
        data = maker.store.get(session, name)
        seal = read_segment(data)
        assert entry.fields["seal"] == seal.seal_digest
        assert entry.fields["stored"] == hashlib.sha256(data).digest()
        assert (entry.fields["first"], entry.fields["count"]) == (seal.seal.first, seal.seal.count)
    assert close.fields["segments"] == 2
    assert close.fields["frames"] == second.number("first") + second.number("count")
    assert close.fields["seal"] == second.fields["seal"]
    assert leaves(maker)[0].kind == "node"


def test_the_leaf_says_who_without_a_name(maker):
    session, journal = maker.open(issuer="https://idp", subject="alice-1")
    maker.seal(session, journal, {"reason": "client-closed"})
    assert leaves(maker, session)[0].fields["who"] == who_is(bytes(32), "https://idp", "alice-1")
    everything = b"".join(
        path.read_bytes() for path in Path(maker.ledger.directory).rglob("*") if path.is_file()
    )
    assert b"alice" not in everything


def test_a_live_session_is_in_the_ledger_before_anything_is_sealed(maker):
    session, journal = maker.open()
    maker.sealer.begin(session)
    assert kinds(maker, session) == ["open"]
    journal.release()


class Killed(BaseException):
    """Stands for the end of the process: nothing that follows is run."""


@pytest.mark.parametrize("calls", range(1, 12))
def test_killed_at_any_append_or_store_the_leaves_are_made_up_for(maker, monkeypatch, calls):
    """The worker dies at the n-th of what it makes durable, before or after it, and recovery takes over."""
    left = [calls]

    def dying(real):
        def act(*args, **more):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            result = real(*args, **more)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return result

        return act

    session, journal = maker.open()
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", dying(Ledger.append))
        patch.setattr(type(maker.store), "put", dying(type(maker.store).put))
        try:
            journal.append(0, "F", b"one")
            maker.sealer.begin(session)
            maker.seal(session, journal)
            journal.append(0, "F", b"two")
            maker.seal(session, journal, {"reason": "client-closed"})
        except Killed:
            pass
    journal.release()
    with monkeypatch.context() as patch:
        # And once more while recovery is at it.
        left[0] = calls
        patch.setattr(Ledger, "append", dying(Ledger.append))
        patch.setattr(type(maker.store), "put", dying(type(maker.store).put))
        with suppress(Killed):
            maker.recover(session)
    if (maker.journals / session).exists():
        maker.recover(session)
    segments = [name for name in maker.store.objects(session) if name.endswith(".seg")]
    found = leaves(maker, session)
    assert {each.kind for each in found} == {"open", "seal", "close"}
    assert found[0].kind == "open"
    assert found[-1].kind == "close"
    sealed = {each.number("segment"): each.bytes("seal") for each in found if each.kind == "seal"}
    stored = {
        n: read_segment(maker.store.get(session, name)).seal_digest for n, name in enumerate(segments, 1)
    }
    assert sealed == stored
    # Twice is lawful, and says the same.
    assert len({tuple(each.fields.values()) for each in found}) == len(segments) + 2


def test_a_recording_from_before_the_ledger_is_logged_when_it_is_recovered(maker):
    session, journal = maker.open()
    maker.sealer.leaves = None
    journal.append(0, "F", b"one")
    maker.seal(session, journal)
    journal.release()
    maker.recover(session)
    assert kinds(maker, session) == ["open", "seal 1", "seal 2", "close"]


def test_what_never_had_a_frame_is_aborted_once(maker):
    session, journal = maker.open()
    maker.sealer.begin(session)
    journal.release()
    copy = maker.journals.parent / "copy"
    part = maker.journals / session / "000001.part"
    part = (
        part
        if part.exists()
        else next(each for each in (maker.journals / session).iterdir() if "1" in each.name)
    )
    part.write_bytes(b"")
    shutil.copytree(maker.journals / session, copy)
    assert maker.recover(session).status == "empty"
    shutil.copytree(copy, maker.journals / session)
    maker.recover(session)
    assert kinds(maker, session) == ["open", "abort"]


def test_a_ledger_that_cannot_be_written_keeps_the_segment_in_the_journal(maker, monkeypatch):
    session, journal = maker.open()
    journal.append(0, "F", b"one")
    maker.sealer.begin(session)
    before = sorted(path.name for path in (maker.journals / session).iterdir())
    for error in (RecordingFailed("ledger: no space"), LedgerDamaged("ledger: changed")):
        with monkeypatch.context() as patch:

            def fails(*_, error=error):
                raise error

            patch.setattr(Ledger, "append", fails)
            with pytest.raises(RecordingFailed, match="ledger"):
                maker.seal(session, journal)
    assert set(before) <= {path.name for path in (maker.journals / session).iterdir()}
    maker.seal(session, journal, {"reason": "client-closed"})
    segments = [f"seal {number}" for number in range(1, len(maker.store.objects(session)))]
    assert kinds(maker, session) == ["open", *segments, "close"]


def test_one_look_back_finds_what_is_far_behind(maker):
    first, journal = maker.open()
    maker.sealer.begin(first)
    journal.release()
    for _ in range(150):
        maker.record([(0, "F", b"x")])
    maker.recover(first)
    assert kinds(maker, first) == ["open", "seal 1", "close"]


def test_the_key_is_in_no_repr(maker):
    assert repr(maker.ledger.key) not in repr(maker.ledger)
    assert repr(maker.ledger.key) not in repr(Leaves(maker.ledger, maker.journals))
