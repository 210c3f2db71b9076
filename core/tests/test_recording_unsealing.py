"""Originals from the mask to the two people who open them: sealed by the gateway's own code, opened as documented."""

from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest

from core.tests.recordings import Maker
from recgate.errors import AccessDenied, RecordingDamaged, RecordingSealed
from recgate.model import Secret
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.recipients.escrow import Escrow, permit_of
from recgate.recipients.keyring import Keyring
from recgate.recipients.keys import HYBRID, X25519, Identity
from recgate.recipients.wrapping import ORIGINALS, Context
from recgate.recording.originals import with_originals
from recgate.recording.reader import Archive
from recgate.recording.sealer import Work
from recgate.recording.segment import read_segment
from recgate.recording.unsealing import Permit, SealedShare, Unsealing, segment_of
from recgate.recording.verify import Status, verify_session
from recgate.sansio.frames import GATEWAY, UPSTREAM

CANARY = b"4111-1111-1111-1111"
OTHER = b"somebody.else@example.com"
BODY = cbor2.dumps({"rule": "pii.card", "place": "number", "count": 1})


class Keeping(Maker):
    """A gateway that seals originals to three people, any two of whom open them."""

    def __init__(self, path):
        super().__init__(path)
        self.people = [Identity.generate(kind) for kind in (X25519, HYBRID, X25519)]
        self.permits = Secret(b"p" * 32)
        self.erasure = ErasureKeys(path / ERASURE_FILE)
        holders = tuple(each.recipient for each in self.people)
        self.auditors.escrow = Escrow(holders, 2, self.permits)

    def recorded(self):
        session, journal = self.open()
        for value in (CANARY, OTHER):
            journal.append(UPSTREAM, "row", b"*" * len(value))
            journal.append(GATEWAY, "mask", with_originals(BODY, [value]))
        self.seal(session, journal)
        journal.append(UPSTREAM, "row", b"nothing to mask")
        self.seal(session, journal, {"reason": "client closed", "wire": {}})
        return session

    def permit(self, session, person, entry=2):
        segment, _ = segment_of(self.archive(), session, entry)
        place = segment.place
        context = Context(place.session, place.segment, ORIGINALS)
        holder = person.recipient.id
        return Permit(session, place.segment, entry, holder, permit_of(self.permits, context, holder))

    def archive(self, keyring=None):
        return Archive(self.store, keyring=keyring or Keyring())

    def unsealing(self, session, person, entry=2):
        return Unsealing(self.archive(), session, entry, [person])

    def stored(self):
        files = [path for path in self.journals.parent.rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in files)


@pytest.fixture
def maker(tmp_path):
    return Keeping(tmp_path)


def given(maker, session, giver, reader, entry=2):
    share = maker.unsealing(session, giver, entry).passed_on(
        maker.permit(session, giver, entry), reader.recipient
    )
    return SealedShare.unpack(share.pack())


def test_two_people_open_one_entry_and_no_other(maker):
    session, (one, two, _) = maker.recorded(), maker.people
    share = given(maker, session, one, two)
    permit = Permit.unpack(maker.permit(session, two).pack())
    assert maker.unsealing(session, two).originals(permit, [share], maker.erasure) == [CANARY]


def test_the_recording_verifies_and_no_byte_of_an_original_is_readable(maker):
    session = maker.recorded()
    report = verify_session(session, maker.store, maker.trust)
    assert (report.status, report.problems) == (Status.COMPLETE, [])
    for value in (CANARY, OTHER):
        assert value not in maker.stored()
    bodies = [cbor2.loads(frame.data) for frame in maker.archive().frames(session) if frame.kind == "mask"]
    assert [body["originals"] for body in bodies] == [[0], [1]]
    first, second = (read_segment(maker.store.get(session, f"00000{n}.seg")) for n in (1, 2))
    assert first.escrowed is not None
    assert second.escrowed is None


def test_what_is_read_from_the_journal_of_a_live_session_has_no_originals(maker):
    session, journal = maker.open()
    journal.append(GATEWAY, "mask", with_originals(BODY, [CANARY]))
    archive = Archive(maker.store, maker.journals, maker.wrapping)
    assert [frame.data for frame in archive.frames(session) if frame.kind == "mask"] == [BODY]
    journal.release()


def test_what_is_recovered_keeps_its_originals(maker):
    session, journal = maker.open()
    journal.append(UPSTREAM, "row", b"****")
    journal.append(GATEWAY, "mask", with_originals(BODY, [CANARY]))
    journal.release()
    assert maker.recover(session).status == "recovered"
    assert verify_session(session, maker.store, maker.trust).ok
    share = given(maker, session, maker.people[0], maker.people[1])
    permit = maker.permit(session, maker.people[1])
    assert maker.unsealing(session, maker.people[1]).originals(permit, [share], maker.erasure) == [CANARY]
    assert CANARY not in maker.stored()


def test_a_second_try_stores_the_same_bytes(maker):
    session, journal = maker.open()
    journal.append(GATEWAY, "mask", with_originals(BODY, [CANARY]))
    journal.rotate()
    part = maker.parts[session][0]
    puts = []

    class Failing:
        def __getattr__(self, name):
            return getattr(maker.store, name)

        def put(self, session, name, data):
            puts.append((name, data))
            if name.endswith(".seg") and len(puts) < 3:
                raise OSError(5, "EIO")
            maker.store.put(session, name, data)

    sealer = maker.new_sealer(Failing())
    work = Work(session, ((part.number, part.size),))
    with pytest.raises(OSError, match="EIO"):
        sealer.seal(work)
    sealer.seal(work)
    tries = [data for name, data in puts if name.endswith(".seg")]
    assert len(tries) == 2
    assert tries[0] == tries[1]
    journal.release()


def test_without_anybody_to_seal_to_they_are_gone(maker):
    maker.auditors.escrow = None
    session = maker.recorded()
    assert verify_session(session, maker.store, maker.trust).ok
    bodies = [cbor2.loads(frame.data) for frame in maker.archive().frames(session) if frame.kind == "mask"]
    assert [(body["originals"], body["unkept"]) for body in bodies] == [([], 1), ([], 1)]
    with pytest.raises(RecordingDamaged, match="holds no originals"):
        maker.unsealing(session, maker.people[0])


def test_one_person_opens_nothing(maker):
    session, (one, two, _) = maker.recorded(), maker.people
    alone = maker.unsealing(session, two)
    with pytest.raises(AccessDenied, match="takes 2 people"):
        alone.originals(maker.permit(session, two), [], maker.erasure)
    with pytest.raises(AccessDenied, match="permit does not fit"):
        alone.originals(maker.permit(session, one), [given(maker, session, one, two)], maker.erasure)
    with pytest.raises(AccessDenied, match="somebody else"):
        alone.passed_on(maker.permit(session, two), two.recipient)
    with pytest.raises(AccessDenied, match="give the key of one of them"):
        Unsealing(maker.archive(), session, 2, [one, two])
    with pytest.raises(RecordingSealed, match="none of the identities"):
        maker.unsealing(session, Identity.generate())


def test_a_share_is_for_one_reader_and_one_entry(maker):
    session, (one, two, three) = maker.recorded(), maker.people
    share = given(maker, session, one, two)
    with pytest.raises(AccessDenied, match="made for somebody else"):
        maker.unsealing(session, three).originals(maker.permit(session, three), [share], maker.erasure)
    with pytest.raises(AccessDenied, match="was given for entry 2, not for entry 4"):
        maker.unsealing(session, two, 4).originals(maker.permit(session, two, 4), [share], maker.erasure)
    moved = replace(share, entry=4)
    with pytest.raises(AccessDenied, match="does not open: it was altered"):
        maker.unsealing(session, two, 4).originals(maker.permit(session, two, 4), [moved], maker.erasure)
    with pytest.raises(AccessDenied, match="not sealed to whom the share is for"):
        maker.unsealing(session, one).passed_on(maker.permit(session, one), Identity.generate().recipient)


def test_an_altered_share_and_the_share_of_another_recording_are_named(maker):
    session, other, (one, two, _) = maker.recorded(), maker.recorded(), maker.people
    share = given(maker, session, one, two)
    reader = maker.unsealing(session, two)
    altered = replace(share, sealed=share.sealed[:-1] + bytes([share.sealed[-1] ^ 1]))
    for wrong, said in (
        (altered, "does not open: it was altered"),
        (replace(share, holder=maker.people[2].recipient.id), "does not open: it was altered"),
        (given(maker, other, one, two), "is for segment 1 of"),
    ):
        with pytest.raises(AccessDenied, match=said):
            reader.originals(maker.permit(session, two), [wrong], maker.erasure)


def test_an_entry_that_is_no_mask_has_no_originals(maker):
    session, (one, two, _) = maker.recorded(), maker.people
    share = given(maker, session, one, two, 1)
    with pytest.raises(RecordingDamaged, match="does not tell of anything that was masked"):
        maker.unsealing(session, two, 1).originals(maker.permit(session, two, 1), [share], maker.erasure)
    with pytest.raises(RecordingDamaged, match="does not exist"):
        maker.unsealing(session, two, 99)


def test_a_session_that_was_erased_opens_for_nobody(maker):
    session, (one, two, _) = maker.recorded(), maker.people
    share = given(maker, session, one, two)
    maker.erasure.destroy(segment_of(maker.archive(), session, 2)[0].place.session)
    with pytest.raises(RecordingSealed, match="erased"):
        maker.unsealing(session, two).originals(maker.permit(session, two), [share], maker.erasure)


@pytest.mark.parametrize("kind", [Permit, SealedShare])
def test_files_that_are_no_permits_or_shares_are_refused(kind, maker):
    session, (one, two, _) = maker.recorded(), maker.people
    files = {Permit: maker.permit(session, one).pack(), SealedShare: given(maker, session, one, two).pack()}
    other = files[SealedShare if kind is Permit else Permit]
    for data in (b"", b"\xff" * 40, bytes(9000), other, files[kind][:-1], files[kind] + b"\0"):
        with pytest.raises(RecordingDamaged):
            kind.unpack(data)


def test_blocks_and_wraps_of_originals_go_together(maker):
    session = maker.recorded()
    data = maker.store.get(session, "000001.seg")
    opening = cbor2.loads(data)
    length = len(cbor2.dumps(opening, canonical=True))
    opening[4] = []
    with pytest.raises(RecordingDamaged, match="if and only if"):
        read_segment(cbor2.dumps(opening, canonical=True) + data[length:])
