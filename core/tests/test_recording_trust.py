"""Whom a verifier believes: the keys that somebody gave, and those that follow them by their own word."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.recordings import Maker
from recgate.errors import ConfigurationError
from recgate.ledger.note import ED25519, Vkey
from recgate.recording.cose import key_id, public_bytes
from recgate.recording.recovery import recover
from recgate.recording.sealer import Signer
from recgate.recording.succession import sign_succession
from recgate.recording.trust import Trust, moment, read_trust
from recgate.recording.verify import Status, verify_session

FIRST, SECOND, THIRD, THIEF = (Ed25519PrivateKey.generate() for _ in range(4))
HOUR = 3_600_000_000_000
NOW = 1_750_000_000_000_000_000


def kid(key):
    return key_id(public_bytes(key))


def trusting(*statements, key=FIRST):
    trust = Trust([("gate-1", public_bytes(key))])
    trust.follow(statements)
    return trust


def written(path, *keys, statements=(), **more):
    entries = [
        {"algorithm": "Ed25519", "public": base64.b64encode(public_bytes(key)).decode(), **extra}
        for key, extra in keys
    ]
    body = {"version": 1, "gateway": "gate-1", "identity": entries, **more}
    if statements:
        body["successions"] = [base64.b64encode(each).decode() for each in statements]
    path.write_text(json.dumps(body))
    return path


def test_belief_goes_on_from_key_to_key():
    chain = [
        sign_succession("gate-1", FIRST, SECOND, NOW),
        sign_succession("gate-1", SECOND, THIRD, NOW + HOUR),
    ]
    trust = trusting(*reversed(chain))
    assert trust.key(kid(THIRD)) == public_bytes(THIRD)
    assert trust.gateway(kid(THIRD)) == "gate-1"
    assert [trust.retired(kid(key)) for key in (FIRST, SECOND, THIRD)] == [NOW, NOW + HOUR, None]


def test_it_never_goes_back_nor_begins_by_itself():
    statement = sign_succession("gate-1", FIRST, SECOND, NOW)
    assert trusting(statement, key=SECOND).key(kid(FIRST)) is None
    assert trusting(statement, key=THIRD).key(kid(SECOND)) is None
    assert Trust().key(kid(SECOND)) is None


def test_a_key_of_one_gateway_makes_no_key_of_another():
    assert trusting(sign_succession("gate-2", FIRST, SECOND, NOW)).gateway(kid(SECOND)) == "gate-1"


def test_of_two_successors_neither_is_believed():
    trust = trusting(
        sign_succession("gate-1", FIRST, SECOND, NOW), sign_succession("gate-1", FIRST, THIEF, NOW + 1)
    )
    assert trust.key(kid(SECOND)) is None
    assert trust.key(kid(THIEF)) is None
    assert trust.contradicted == {kid(FIRST)}
    assert trust.retired(kid(FIRST)) == NOW


def test_keys_that_follow_in_a_ring_end_somewhere():
    ring = [sign_succession("gate-1", FIRST, SECOND, NOW), sign_succession("gate-1", SECOND, FIRST, NOW)]
    assert len(trusting(*ring)) == 2


@pytest.mark.parametrize("statement", [b"", b"\x80", b"garbage" * 100])
def test_what_is_no_statement_is_as_if_it_were_not_there(statement):
    good = sign_succession("gate-1", FIRST, SECOND, NOW)
    assert trusting(statement, good).key(kid(SECOND)) is not None


def test_files_say_which_keys_are_retired(tmp_path):
    path = written(tmp_path / "t", (SECOND, {}), (FIRST, {"retired": "2026-11-24T22:00:00Z"}))
    trust = Trust.load(path)
    assert trust.retired(kid(FIRST)) == 1_795_557_600 * 10**9
    assert trust.retired(kid(SECOND)) is None
    assert read_trust(path).current == public_bytes(SECOND)
    assert moment(1_795_557_600 * 10**9) == "2026-11-24T22:00:00Z"
    assert moment(1_795_557_600 * 10**9 + 1) == "2026-11-24T22:00:01Z"


@pytest.mark.parametrize("retired", ["yesterday", "2026-11-24T22:00:00", 7])
def test_a_time_that_cannot_be_read_refuses_the_file(tmp_path, retired):
    with pytest.raises(ConfigurationError, match="is not a trust file of this version"):
        Trust.load(written(tmp_path / "t", (FIRST, {"retired": retired})))


def test_of_a_file_beside_the_store_its_statements_alone_count(tmp_path):
    own = written(tmp_path / "own", (FIRST, {}))
    statement = sign_succession("gate-1", FIRST, SECOND, NOW)
    thiefs = {"retired": "2001-01-01T00:00:00Z"}
    beside = written(tmp_path / "beside", (THIEF, {}), (FIRST, thiefs), statements=[statement])
    trust = Trust.load(own, beside=[beside, tmp_path / "absent"])
    assert trust.key(kid(SECOND)) is not None
    assert trust.key(kid(THIEF)) is None
    assert trust.retired(kid(FIRST)) == NOW
    assert Trust.load(own).key(kid(SECOND)) is None


def test_a_ledgers_key_is_followed_under_the_ledgers_name():
    first, second = (Vkey("recgate/gate-1/00", ED25519, public_bytes(key)) for key in (FIRST, SECOND))
    statement = sign_succession("gate-1", FIRST, SECOND, NOW)
    trust = Trust(ledgers=[first])
    trust.follow([statement])
    assert trust.ledgers == (first, second)
    assert trust.key(kid(SECOND)) is None  # which signs no recording for it
    trust = Trust(ledgers=[first])
    trust.follow(
        [statement, sign_succession("gate-1", FIRST, THIEF, NOW), sign_succession("x", SECOND, FIRST, NOW)]
    )
    assert trust.ledgers == (first,)


# -- what verify makes of it ---------------------------------------------------------------------------------


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


def change(maker):
    """Put a new identity key in, as a rotation does; gives the old one."""
    old, maker.identity = maker.identity, Ed25519PrivateKey.generate()
    maker.sealer.signer = maker.signer = Signer("gate-1", maker.identity, maker.wrapping)
    return old


def status(maker, session, trust):
    return verify_session(session, maker.store, trust).status


def test_an_old_trust_file_is_enough_with_the_statement_and_never_without(maker):
    before = maker.record([(0, "F", b"one")])
    old = change(maker)
    after = maker.record([(0, "F", b"two")])
    trust = Trust([("gate-1", public_bytes(old))])
    assert [status(maker, each, trust) for each in (before, after)] == [Status.COMPLETE, Status.UNTRUSTED]
    trust.follow([sign_succession("gate-1", old, maker.identity, 2_000_000_000 * 10**9)])
    assert [status(maker, each, trust) for each in (before, after)] == [Status.COMPLETE, Status.COMPLETE]


def test_a_session_goes_on_over_a_rotation_with_the_header_that_it_has(maker):
    session, journal = maker.open()
    maker.seal(session, journal)
    old = change(maker)
    journal.append(0, "F", b"later")
    maker.seal(session, journal, {"reason": "client-closed"})
    report = verify_session(session, maker.store, Trust([("gate-1", public_bytes(old))]))
    assert (report.status, report.segments) == (Status.COMPLETE, 2)


def test_the_new_key_recovers_what_began_under_the_old_one(maker):
    session, journal = maker.open()
    maker.seal(session, journal)
    old = change(maker)
    journal.append(0, "F", b"later")
    journal.release()
    sealer = maker.new_sealer()
    recover(sealer, session, "the gateway died")
    trust = Trust([("gate-1", public_bytes(old))])
    assert status(maker, session, trust) is Status.UNTRUSTED
    trust.follow([sign_succession("gate-1", old, maker.identity, 2_000_000_000 * 10**9)])
    assert status(maker, session, trust) is Status.RECOVERED


def test_what_a_retired_key_signs_is_altered(maker):
    session = maker.record([(0, "F", b"one")])
    journalled, journal = maker.open()
    journal.release()
    maker.recover(journalled)
    began = verify_session(session, maker.store, maker.trust).opened
    for margin, expected in ((0, Status.COMPLETE), (HOUR, Status.ALTERED)):
        trust = Trust([("gate-1", public_bytes(maker.identity))])
        trust.retire(kid(maker.identity), began - margin)
        report = verify_session(session, maker.store, trust)
        assert report.status is expected
    assert [each.where for each in report.problems] == ["header.cbor"]
    assert "was retired at" in report.problems[0].what
    recovered = verify_session(journalled, maker.store, trust)
    assert [each.where for each in recovered.problems] == ["header.cbor", "000001.seg (frames 0 to 1)"]
