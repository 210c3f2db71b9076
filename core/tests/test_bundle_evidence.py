"""What goes from a ledger into a bundle, and what a reader makes of it: entries, cosigned heads, time stamps."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.recordings import Maker
from core.tests.timestampauthority import TimestampAuthority
from recgate.bundle.bundleledger import BundleLedger
from recgate.bundle.container import ContainerReader
from recgate.bundle.evidence import evidence_of
from recgate.bundle.layout import About, numbered
from recgate.bundle.reading import Bundle
from recgate.bundle.readme import readme
from recgate.bundle.writing import Source, write_bundle
from recgate.errors import RecgateError, RecordingDamaged
from recgate.ids import new_session_id, session_bytes
from recgate.ledger.cosignature import cosign, cosignatures, witness_key
from recgate.ledger.entries import pack_entry
from recgate.ledger.note import parse_note
from recgate.recording.reader import Archive
from recgate.recording.report import Answer, Status
from recgate.recording.seal import read_header
from recgate.witness.timestamps import Query, authorities
from recgate.witness.vouching import keep


@pytest.fixture
def maker(tmp_path):
    made = Maker(tmp_path)
    made.trust.ledgers = (made.ledger.open().vkey,)
    return made


def grow(maker, count):
    maker.ledger.open().append([pack_entry("node", number, "gate-1") for number in range(count)])


def bundle_of(maker, session):
    out = io.BytesIO()
    ledger = Path(maker.ledger.directory)
    write_bundle(out, Source(Archive(maker.store), ledger, None), session)
    return Bundle(out)


def verified(maker, session):
    return bundle_of(maker, session).verify(maker.trust)


def recorded(maker):
    return maker.record([(0, "F", b"one")], [(0, "F", b"two")])


@pytest.mark.parametrize(("before", "behind"), [(0, 0), (3, 700), (255, 1), (600, 300)])
def test_entries_are_proven_wherever_they_stand(maker, before, behind):
    grow(maker, before)
    session = recorded(maker)
    grow(maker, behind)
    maker.ledger.open().publish()
    found = evidence_of(Path(maker.ledger.directory), session_bytes(session))
    assert len(found.entries) == 4
    assert all(proof.proves(found.entries[proof.index]) for proof in found.proofs)
    report = verified(maker, session).report
    assert (report.status, report.levels["logged"]) == (Status.COMPLETE, Answer.OK)


def test_a_checkpoint_that_does_not_reach_so_far_is_waited_for(maker):
    recorded(maker)
    maker.ledger.open().publish()
    session = recorded(maker)
    with pytest.raises(RecgateError, match="does not reach entry 8 of this recording yet"):
        bundle_of(maker, session)


def test_a_cosigned_head_that_was_kept_vouches(maker):
    session = recorded(maker)
    ledger, key = maker.ledger.open(), Ed25519PrivateKey.generate()
    note = parse_note(ledger.publish())
    witness = witness_key("w", key)
    ledger.countersign(note.text, [cosign(note.text, "w", key, 1_700_000_000)])
    note = parse_note((ledger.directory / "checkpoint").read_bytes())
    (said,) = cosignatures(note, [witness])
    keep(ledger.directory, note, said)
    grow(maker, 300)
    ledger.publish()
    maker.trust.witnesses = (witness,)
    found = verified(maker, session)
    assert found.report.levels["witnessed"] is Answer.OK
    assert found.said == ["w vouches for the first 5 entries, as of 2023-11-14 22:13:20 UTC"]
    maker.trust.witnesses = (witness_key("w", Ed25519PrivateKey.generate()),)
    report = verified(maker, session).report
    assert (report.status, report.levels["witnessed"]) == (Status.INCOMPLETE, Answer.FAILED)


def test_a_time_stamp_vouches_and_a_spoilt_one_is_altered(maker, tmp_path):
    session = recorded(maker)
    ledger, authority = maker.ledger.open(), TimestampAuthority(tmp_path / "tsa")
    text = parse_note(ledger.publish()).text
    token = authority.answer(Query.over(text).data)
    place = ledger.directory / "timestamps"
    place.mkdir()
    (place / "5.tsr").write_bytes(token)
    maker.trust.authorities = tuple(authorities(authority.ca))
    found = verified(maker, session)
    assert (found.report.status, found.report.levels["witnessed"]) == (Status.COMPLETE, Answer.OK)
    assert found.said[0].startswith("time stamp vouches for the first 5 entries")
    (place / "5.tsr").write_bytes(token[:-9] + b"x" + token[-8:])
    assert verified(maker, session).report.status is Status.ALTERED


def test_a_ledger_that_nobody_named_is_untrusted(maker):
    session = recorded(maker)
    maker.ledger.open().publish()
    bundle = bundle_of(maker, session)
    maker.trust.ledgers = ()
    report = bundle.verify(maker.trust).report
    assert report.status is Status.UNTRUSTED
    assert "is not among the trusted ledgers" in report.problems[-1].what


def test_a_bundle_without_the_ledger_is_unknown_where_one_is_named(maker):
    session = recorded(maker)
    out = io.BytesIO()
    write_bundle(out, Source(Archive(maker.store), None, None), session)
    assert Bundle(out).verify(maker.trust).report.status is Status.UNKNOWN
    maker.trust.ledgers = ()
    assert Bundle(out).verify(maker.trust).report.status is Status.COMPLETE


def test_another_sessions_entries_prove_nothing(maker):
    session, other = recorded(maker), recorded(maker)
    maker.ledger.open().publish()
    out = io.BytesIO()
    write_bundle(out, Source(Archive(maker.store), Path(maker.ledger.directory), None), session)
    ledger = BundleLedger(ContainerReader(out), other, maker.trust)
    assert not ledger.reading.sound
    leaves = ledger.of(other)
    assert leaves is not None
    assert leaves.opened is None


def test_what_it_says_of_itself_comes_back():
    about = About(new_session_id(), True)
    assert About.read(about.encode()) == about
    with pytest.raises(RecordingDamaged):
        About.read(about.encode() + b"\0")
    assert [numbered(f"a/{text}.x", "a/", ".x") for text in ("0", "12", "012", "-1", "", "9" * 20)] == [
        0,
        12,
        *[None] * 4,
    ]


def test_the_page_says_what_is_proven_and_what_is_not(maker):
    session = recorded(maker)
    header, _ = read_header(maker.store.get(session, "header.cbor"))
    page = readme(header, "SHA256:x", frames=False, sealed=False, erasure=False).decode()
    assert session in page
    assert "What it does not prove" in page
    assert "Whoever holds it" not in page
    sealed = readme(header, "SHA256:x", frames=False, sealed=True, erasure=True).decode()
    assert "that does not reach this file" in sealed
