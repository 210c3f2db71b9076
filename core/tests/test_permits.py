"""Permits: in somebody's own name, on record first, and no two for one person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.tests.test_recording_unsealing import CANARY, Keeping, given
from recgate.errors import AccessDenied, RecgateError, RecordingDamaged
from recgate.ids import session_bytes
from recgate.ledger.entries import read_entry, who_is
from recgate.model import Principal
from recgate.permits import MAX_WHY, PERMITS_FILE, Permits, Wanted
from recgate.recipients.keys import Identity

ALICE, BOB = (Principal("local", name, name) for name in ("alice", "bob"))


@pytest.fixture
def maker(tmp_path):
    return Keeping(tmp_path)


@pytest.fixture
def ledger(maker):
    return maker.ledger


@pytest.fixture
def permits(maker, ledger, tmp_path):
    return Permits(tmp_path / PERMITS_FILE, maker.store, maker.permits, ledger)


def wanted(maker, session, person=0, entry=2, why="court order 17"):
    return Wanted(session, entry, maker.people[person].recipient.text, why)


def leaves(ledger):
    return [read_entry(each) for batch in ledger.open().backwards() for each in batch]


def test_two_people_with_their_permits_open_what_was_masked(maker, permits, ledger):
    session, told = maker.recorded(), []
    for n, principal in enumerate((ALICE, BOB)):
        permit = permits.give(principal, wanted(maker, session, n), lambda *facts: told.append(facts))
        assert permit == maker.permit(session, maker.people[n])
    share = given(maker, session, maker.people[0], maker.people[1])
    reader = maker.unsealing(session, maker.people[1])
    assert reader.originals(permit, [share], maker.erasure) == [CANARY]
    assert told == [(1, maker.people[n].recipient.id.hex()) for n in (0, 1)]
    found = [each for each in leaves(ledger) if each.kind == "unseal"]
    assert {each.bytes("who") for each in found} == {
        who_is(ledger.subjects, "local", name) for name in ("alice", "bob")
    }
    assert all(each.session == session_bytes(session) for each in found)


def test_one_person_gets_one_permit_and_one_key_is_one_persons(maker, permits, ledger):
    session = maker.recorded()
    permits.give(ALICE, wanted(maker, session, 0), lambda *_: None)
    permits.give(ALICE, wanted(maker, session, 0), lambda *_: None)
    with pytest.raises(AccessDenied, match="different people"):
        permits.give(ALICE, wanted(maker, session, 1), lambda *_: None)
    with pytest.raises(AccessDenied, match="somebody else has the permit"):
        permits.give(BOB, wanted(maker, session, 0), lambda *_: None)
    assert sum(each.kind == "unseal" for each in leaves(ledger)) == 2


def test_what_cannot_be_put_on_record_is_not_given(maker, permits, ledger):
    session = maker.recorded()

    def broken(*_):
        raise RecgateError("the audit trail is full")

    with pytest.raises(RecgateError, match="the audit trail is full"):
        permits.give(ALICE, wanted(maker, session), broken)
    assert not [each for each in leaves(ledger) if each.kind == "unseal"]


def test_a_permit_takes_a_reason_a_holder_and_originals(maker, permits):
    session = maker.recorded()
    asked = wanted(maker, session)
    for wrong, error, said in (
        (replace(asked, why="  "), AccessDenied, "takes a reason"),
        (replace(asked, why="x" * (MAX_WHY + 1)), RecgateError, "at most"),
        (replace(asked, holder=Identity.generate().recipient.text), AccessDenied, "not sealed to that key"),
        (replace(asked, holder="rgpub1x"), RecgateError, "the holder's key"),
        (replace(asked, entry=99), RecordingDamaged, "does not exist"),
        (replace(asked, entry=-1), RecordingDamaged, "does not exist"),
        (replace(asked, session="../../etc"), RecgateError, "name it by its id"),
    ):
        with pytest.raises(error, match=said):
            permits.give(ALICE, wrong, lambda *_: None)


def test_a_request_of_any_shape_is_read():
    assert Wanted.read({"session": 7, "entry": True, "holder": None}) == Wanted("7", -1, "None", "")
