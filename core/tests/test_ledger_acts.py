"""Acts are entered under hashes and digests: words bind, guesses do not, and what is not entered is not done."""

from __future__ import annotations

import errno
import os

import pytest

from core.tests.recordings import Maker
from recgate.errors import RecordingFailed
from recgate.ids import new_session_id, session_bytes
from recgate.ledger.acts import PROCESS, Actor, Acts, Words
from recgate.ledger.entries import NOBODY, read_entry, who_is
from recgate.model import Principal

EVE = Actor.of(Principal("https://idp", "sub-eve", "eve"))


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture
def acts(maker):
    return Acts(maker.ledger, lambda: 7)


def entries(maker):
    return [read_entry(each) for batch in maker.ledger.open().backwards() for each in batch][1:]


def test_every_act_is_an_entry_by_somebody(maker, acts):
    session, request, words = new_session_id(), new_session_id(), Words.of("token.issued", user="alice")
    numbers = [
        acts.configured("ab" * 32, PROCESS),
        acts.administered(words, EVE),
        acts.viewed(session, "replay", EVE),
        acts.exported(session, "csv", EVE),
        acts.decided(session, request, words, EVE, approved=True),
        acts.held(session, words, EVE, on=True),
        acts.removed("erase", session, words, EVE),
    ]
    found = entries(maker)
    assert numbers == list(range(1, 8))
    assert [each.kind for each in found] == ["policy", "admin", "view", "export", "decide", "hold", "erase"]
    assert [each.session for each in found] == [None, None, *[session_bytes(session)] * 5]
    assert {each.wall for each in found} == {7}
    assert found[0].bytes("who") == NOBODY
    assert {each.bytes("who") for each in found[1:]} == {
        who_is(maker.ledger.subjects, "https://idp", "sub-eve")
    }
    assert found[1].bytes("details") == found[4].bytes("why") == words.digest
    assert found[4].bytes("request") == session_bytes(request)


def test_the_digest_binds_every_word_and_tells_none():
    one, two = Words.of("user.added", user="alice"), Words.of("user.added", user="alice")
    assert one.digest != two.digest
    assert Words("user.added", one.fields).digest == one.digest
    assert Words("user.removed", one.fields).digest != one.digest
    assert Words("user.added", {**one.fields, "user": "bob"}).digest != one.digest


def test_a_local_user_is_nobody_elses_namesake(acts):
    assert acts.who(Actor.local(0)) != acts.who(Actor("local", "0"))


def test_a_ledger_that_cannot_be_written_says_so(acts, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(RecordingFailed, match="no space left"):
        acts.administered(Words.of("token.issued"), EVE)
