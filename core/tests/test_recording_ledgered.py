"""What the ledger adds to `verify`: whole recordings that are gone, tails that are, and those that nobody logged."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from core.tests.recordings import Maker
from recgate.ids import new_session_id, session_bytes
from recgate.ledger.entries import NOBODY, pack_entry
from recgate.recording.ledgered import LedgerIndex
from recgate.recording.report import Answer, Status
from recgate.recording.verify import verify_session


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


def index_of(maker):
    ledger = maker.ledger.open()
    ledger.publish()
    index = LedgerIndex(Path(maker.ledger.directory), [ledger.vkey])
    index.read()
    return index


def verified(maker, session, index=None, store=None, journal=None):
    return verify_session(
        session, store or maker.store, maker.trust, ledger=index or index_of(maker), journal=journal
    )


def said(report):
    return [f"{each.where}: {each.what}" for each in report.problems]


def two_segments(maker):
    return maker.record([(0, "F", b"one")], [(0, "F", b"two")])


def test_a_recording_that_is_whole_holds_at_both_levels(maker):
    report = verified(maker, two_segments(maker))
    assert (report.status, said(report)) == (Status.COMPLETE, [])
    assert report.levels["logged"] is report.levels["complete"] is Answer.OK


def test_without_a_ledger_both_are_not_available(maker):
    report = verify_session(two_segments(maker), maker.store, maker.trust)
    assert report.levels["logged"] is report.levels["complete"] is Answer.UNAVAILABLE


def test_a_recovered_one_is_logged_too(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"one")
    journal.release()
    maker.recover(session)
    report = verified(maker, session)
    assert (report.status, report.levels["complete"]) == (Status.RECOVERED, Answer.OK)


def test_a_whole_recording_that_was_removed_is_missing(maker):
    session = two_segments(maker)
    index = index_of(maker)
    shelf = maker.shelf(session)
    del shelf.content[session]
    assert index.names() == [session]
    report = verified(maker, session, index, shelf)
    assert report.status is Status.MISSING
    assert "the ledger opened it at 20" in said(report)[0]
    assert "logged 2 segments; nothing of it is in the store" in said(report)[0]
    assert report.levels["complete"] is Answer.FAILED


def test_a_tail_that_was_dropped_is_named_by_its_frames(maker):
    session = maker.record([(0, "F", b"one")], [(0, "F", b"two")], [(0, "F", b"three")])
    shelf = maker.shelf(session)
    del shelf.content[session]["000003.seg"]
    report = verified(maker, session, store=shelf)
    assert report.status is Status.INCOMPLETE
    assert "000003.seg: missing: the ledger has it (entry 4, frames 3 to 4)" in said(report)
    assert any(
        each.startswith("the end: missing: the ledger has it (entry 5: 3 segments") for each in said(report)
    )


def test_a_recording_that_nobody_logged_is_unknown(maker):
    two_segments(maker)
    maker.sealer.leaves = None
    session = two_segments(maker)
    report = verified(maker, session)
    assert report.status is Status.UNKNOWN
    assert "though it goes back to" in said(report)[0]
    assert not report.ok


def test_one_from_before_the_ledger_says_since_when_there_is_one(maker):
    maker.sealer.leaves = None
    session = two_segments(maker)
    maker.sealer = maker.new_sealer()
    two_segments(maker)
    assert "opened before the ledger began, at" in said(verified(maker, session))[0]


def test_a_recording_that_was_made_again_with_the_gateways_keys_is_seen(maker, tmp_path):
    """The identity key signs whatever it is given; the ledger remembers what it was given first."""
    session = two_segments(maker)
    forger = Maker(tmp_path / "forger")
    forger.identity, forger.signer, forger.wrapping = maker.identity, maker.signer, maker.wrapping
    forger.sealer = forger.new_sealer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.tests.recordings.new_session_id", lambda: session)
        forger.record([(0, "F", b"one")], [(0, "F", b"lies")])
    report = verified(maker, session, store=forger.store)
    assert report.status is Status.ALTERED
    assert "header.cbor: the ledger logged another opening (entry 1)" in said(report)
    assert any("is not what the ledger logged (entry 2)" in each for each in said(report))
    assert report.levels["file"] is Answer.OK


def test_what_was_sealed_while_verify_ran_is_read_after(maker):
    first = two_segments(maker)
    index = index_of(maker)
    second = two_segments(maker)
    assert verified(maker, first, index).status is Status.COMPLETE
    assert verified(maker, second, index).status is Status.COMPLETE


def test_a_live_session_is_unsealed_and_nothing_is_missing(maker):
    session, journal = maker.open()
    maker.sealer.begin(session)
    report = verified(maker, session, journal=maker.journals)
    assert (report.status, report.levels["complete"]) == (Status.UNSEALED, Answer.UNAVAILABLE)
    journal.append(0, "F", b"one")
    maker.seal(session, journal)
    report = verified(maker, session, journal=maker.journals)
    assert report.status is Status.UNSEALED
    assert report.levels["logged"] is Answer.OK
    # Its journal was removed, too: what the ledger has opened did not end.
    journal.release()
    report = verified(maker, session)
    assert report.status is Status.INCOMPLETE


@pytest.mark.parametrize("kind", ["erase", "retention"])
def test_what_went_lawfully_is_no_loss_and_a_copy_of_it_still_verifies(maker, kind):
    session = two_segments(maker)
    maker.ledger.open().append([pack_entry(kind, 1, session_bytes(session), NOBODY, bytes(32))])
    shelf = maker.shelf(session)
    report = verified(maker, session, store=shelf)
    assert (report.status, report.ok, said(report)) == (Status.ERASED, True, [])
    assert "its files are here" in report.reason
    del shelf.content[session]["000002.seg"]  # while it is being removed
    report = verified(maker, session, store=shelf)
    assert (report.status, said(report)) == (Status.ERASED, [])
    assert "1 of 2 segments are here" in report.reason
    shelf.content[session]["000001.seg"] = shelf.content[session]["000001.seg"][:-9]
    assert verified(maker, session, store=shelf).status is Status.ALTERED
    shelf.content.clear()
    report = verified(maker, session, store=shelf)
    assert (report.status, report.ok, said(report)) == (Status.ERASED, True, [])
    assert kind in report.reason


def test_an_aborted_session_says_why_nothing_came(maker):
    session = new_session_id()
    maker.ledger.open().append(
        [
            pack_entry("open", 1, session_bytes(session), bytes(32), NOBODY),
            pack_entry("abort", 2, session_bytes(session), "nothing-recorded"),
        ]
    )
    report = verified(maker, session)
    assert report.status is Status.INCOMPLETE
    assert "gave it up: nothing-recorded (entry 2)" in said(report)[0]


def test_of_a_damaged_ledger_no_recording_holds_and_none_is_called_unknown(maker):
    for _ in range(90):
        last = two_segments(maker)
    maker.ledger.open().publish()
    path = Path(maker.ledger.directory) / "tile/entries/000"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    index = LedgerIndex(Path(maker.ledger.directory), [maker.ledger.open().vkey])
    index.read()
    report = verified(maker, last, index)
    assert report.levels["logged"] is report.levels["complete"] is Answer.FAILED
    assert report.status is Status.COMPLETE
    ledger = index.report()
    assert ledger is not None
    assert ledger.status is Status.ALTERED
    assert any(problem.where.startswith("entry ") for problem in ledger.problems)


def test_an_entry_that_is_none_is_said(maker):
    two_segments(maker)
    maker.ledger.open().append([b"\xff\xffgarbage"])
    index = index_of(maker)
    report = index.report()
    assert report is not None
    assert report.problems[0].where == "entry 5"


def test_a_removed_directory_of_the_file_store_is_missing(maker):
    session = two_segments(maker)
    place = maker.store.place(session)
    os.chmod(place, stat.S_IRWXU)
    shutil.rmtree(place)
    assert verified(maker, session).status is Status.MISSING
