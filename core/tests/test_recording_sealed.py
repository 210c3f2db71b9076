"""Recordings that are sealed to auditors: nobody else reads them, everybody can verify them."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from core.tests.recordings import Maker
from core.tests.test_recording_service import Ground, opened
from recgate.errors import RecordingDamaged, RecordingFailed, RecordingSealed
from recgate.ids import session_bytes
from recgate.model import Secret
from recgate.recipients.auditors import Auditors
from recgate.recipients.bech import BadText
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.recipients.keyring import Keyring
from recgate.recipients.keys import HYBRID, Identity
from recgate.recipients.wrapping import Context
from recgate.recording.indexer import NoIndexer
from recgate.recording.reader import Archive
from recgate.recording.seal import read_header
from recgate.recording.sealer import Sealer, Work
from recgate.recording.segment import build_segment, read_segment
from recgate.recording.verify import Answer, Status, verify_all, verify_session
from recgate.sansio.frames import CLIENT

CANARY = b"select 'the canary of a statement'"
ONE, TWO = "000001.seg", "000002.seg"


class Sealed(Maker):
    """Recordings for two auditors, one of each kind."""

    def __init__(self, path):
        super().__init__(path)
        self.ours, self.theirs = Identity.generate(), Identity.generate(HYBRID)
        self.auditors.become([self.ours.recipient.text, self.theirs.recipient.text])

    def keyring(self, *identities):
        return Keyring(identities or [self.ours], self.erasure)

    def segments(self, session):
        names = [name for name in self.store.objects(session) if name.endswith(".seg")]
        return [read_segment(self.store.get(session, name)) for name in names]

    def data(self, session, keyring):
        return [frame.data for frame in Archive(self.store, keyring=keyring).frames(session)]


@pytest.fixture
def maker(tmp_path):
    return Sealed(tmp_path)


def two(maker):
    return maker.record([(0, "F", CANARY)], [(1, "B", os.urandom(200_000)), (0, "F", b"tail")])


def test_each_auditor_reads_all_of_it_and_the_gateway_none(maker):
    session = two(maker)
    plain = maker.data(session, maker.keyring())

    assert CANARY in plain
    assert plain == maker.data(session, maker.keyring(maker.theirs))
    for name in maker.store.objects(session):
        assert CANARY not in maker.store.get(session, name)
    with pytest.raises(RecordingSealed, match=f"{session}: 000001.seg: sealed to 2 auditors; read it with"):
        maker.data(session, Keyring((), maker.erasure))
    with pytest.raises(RecordingSealed, match="none of the identities given"):
        maker.data(session, maker.keyring(Identity.generate()))
    with pytest.raises(RecordingSealed, match="--erasure FILE"):
        maker.data(session, Keyring([maker.ours]))


def test_header_and_segments_name_whom_they_are_sealed_to(maker):
    session = two(maker)
    ids = (maker.ours.recipient.id, maker.theirs.recipient.id)

    assert read_header(maker.store.get(session, "header.cbor"))[0].recipients == ids
    assert [tuple(wrap.recipient for wrap in segment.wraps) for segment in maker.segments(session)] == [
        ids,
        ids,
    ]


def test_a_destroyed_erasure_key_leaves_what_verifies_and_nobody_reads(maker):
    session = two(maker)
    assert maker.erasure.destroy(session_bytes(session))

    with pytest.raises(RecordingSealed, match="it was erased"):
        maker.data(session, maker.keyring())
    report = verify_session(session, maker.store, maker.trust, keyring=maker.keyring())
    assert report.status is Status.COMPLETE
    assert report.levels["contents"] is Answer.UNAVAILABLE
    assert "it was erased" in report.sealed


def test_anybody_verifies_and_an_auditor_verifies_contents(maker):
    session = two(maker)
    (blind,) = verify_all(maker.store, maker.trust)
    assert (blind.status, blind.levels["file"]) == (Status.COMPLETE, Answer.OK)
    assert blind.levels["contents"] is Answer.UNAVAILABLE
    assert blind.sealed.startswith("000001.seg (frames 0 to 1): sealed to 2 auditors")
    assert blind.as_json()["sealed"] == blind.sealed

    seeing = verify_session(session, maker.store, maker.trust, keyring=maker.keyring())
    assert (seeing.status, seeing.levels["contents"], seeing.sealed) == (Status.COMPLETE, Answer.OK, "")


@pytest.mark.parametrize("place", [0, 10, 60, 200, 1500, 1600, -1])
def test_any_change_is_seen_without_a_key_and_with_one(maker, place):
    session = two(maker)
    shelf = maker.shelf(session)
    data = bytearray(shelf.content[session][ONE])
    data[place] ^= 1
    shelf.content[session][ONE] = bytes(data)

    for keyring in (Keyring(), maker.keyring()):
        assert not verify_session(session, shelf, maker.trust, keyring=keyring).ok


def test_what_an_insider_sealed_under_a_key_that_does_not_open_is_seen_by_the_auditor(maker):
    """The gateway's own signature over a wrap that opens nothing: for keyless eyes it is whole."""
    session = two(maker)
    shelf = maker.shelf(session)
    segment = read_segment(shelf.content[session][ONE])
    frames = list(segment.frames(maker.keyring()))
    cipher, wraps = maker.auditors.content_key(Context(segment.place.session, 1))
    wrong = tuple(replace(wrap, sealed=bytes(len(wrap.sealed))) for wrap in wraps)
    data, _ = build_segment(
        segment.place,
        frames,
        maker.identity,
        wall=1,
        following=segment.seal.next,
        content_key=(cipher, wrong),
    )
    with pytest.raises(RecordingDamaged, match="its key does not open for rgpub1"):
        list(read_segment(data).frames(maker.keyring()))


def test_segments_of_two_sessions_share_no_key(maker):
    one, other = two(maker), two(maker)
    ours, theirs = maker.segments(one)[0], maker.segments(other)[0]
    moved = replace(ours, wraps=theirs.wraps)
    with pytest.raises(RecordingDamaged):
        list(moved.frames(maker.keyring()))
    moved = replace(maker.segments(one)[1], wraps=ours.wraps)
    with pytest.raises(RecordingDamaged):
        list(moved.frames(maker.keyring()))


class Flaky:
    """A store that takes an object and then says that it did not."""

    def __init__(self, store):
        self._store, self.failures = store, 0
        self.objects, self.get, self.seal = store.objects, store.get, store.seal

    def put(self, session, name, data):
        self._store.put(session, name, data)
        if self.failures:
            self.failures -= 1
            raise RecordingFailed("the store says no")


def test_a_second_try_is_the_same_bytes_whatever_was_reloaded_between(maker):
    flaky = Flaky(maker.store)
    maker.sealer = maker.new_sealer(flaky)
    session, journal = maker.open()
    journal.append(0, "F", CANARY)
    work = Work(session, ((1, journal.size),))
    for failures in (1, 2, 1):
        flaky.failures = failures
        with pytest.raises(RecordingFailed, match="says no"):
            maker.sealer.seal(work)
        maker.auditors.become([Identity.generate().recipient.text])
    maker.sealer.seal(work)
    assert maker.sealer._chains[session].content_key is None  # nobody here reads it from now on
    assert CANARY in maker.data(session, maker.keyring())
    journal.release()


def test_nothing_is_sealed_under_an_erasure_key_that_is_not_durable(maker, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    auditors = Auditors(ErasureKeys(blocked), [maker.ours.recipient])
    maker.sealer = Sealer(maker.journals, maker.signer, maker.store, NoIndexer(), lambda *_: None, auditors)
    session, journal = maker.open()
    with pytest.raises(RecordingFailed):
        maker.sealer.seal(Work(session, ((1, journal.size),)))
    assert maker.store.objects(session) == []
    assert (journal.directory / "000001.part").exists()
    journal.release()


def test_what_is_recovered_is_sealed_as_well(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    maker.seal(session, journal)
    journal.append(0, "F", CANARY)
    journal.release()
    assert maker.recover(session).status == "recovered"

    assert maker.data(session, maker.keyring())[1:3] == [b"first", CANARY]
    assert all(segment.wraps for segment in maker.segments(session))
    report = verify_session(session, maker.store, maker.trust, keyring=maker.keyring())
    assert (report.status, report.levels["contents"]) == (Status.RECOVERED, Answer.OK)


def test_recovery_needs_no_sealed_segment_even_without_the_saved_state(maker):
    session, journal = maker.open()
    maker.seal(session, journal)
    journal.append(0, "F", CANARY)
    journal.release()
    (journal.directory / "state").unlink()

    assert maker.recover(session).status == "recovered"
    assert CANARY in maker.data(session, maker.keyring())
    assert verify_session(session, maker.store, maker.trust, keyring=maker.keyring()).ok


def test_auditors_are_changed_all_or_not_at_all(maker):
    before = maker.auditors.recipients
    with pytest.raises(BadText):
        maker.auditors.become([Identity.generate().recipient.text, "rgpub1x"])
    assert maker.auditors.recipients == before


def test_a_keyring_of_another_erasure_key_does_not_pass_for_damage_only(maker):
    class Other:
        def find(self, session):
            return Secret(bytes(32))

    session = two(maker)
    with pytest.raises(RecordingDamaged, match="or the erasure key is another recording's"):
        maker.data(session, Keyring([maker.ours], Other()))


# -- the service -------------------------------------------------------------------------------------------


@pytest.fixture
def ground(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return Ground(tmp_path / "ground")


async def test_auditors_may_change_while_a_session_runs(ground):
    before, after = Identity.generate(), Identity.generate()
    async with ground.service(recipients=(before.recipient.text,)) as service:
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"for the first one")
        recorder.journal.rotate()
        while recorder.unsealed:
            await service.changed()
        service.seal_to((after.recipient.text,))
        recorder.append(CLIENT, "F", b"for the second one")
        await recorder.close({"reason": "client-closed"})
    first, second = ground.segments(recorder.session_id)
    assert [wrap.recipient for wrap in first.wraps] == [before.recipient.id]
    assert [wrap.recipient for wrap in second.wraps] == [after.recipient.id]
    erasure = ErasureKeys(ground.path / ERASURE_FILE)
    assert b"for the second one" in [frame.data for frame in second.frames(Keyring([after], erasure))]
    with pytest.raises(RecordingSealed):
        next(second.frames(Keyring([before], erasure)))


async def test_a_worker_that_is_started_anew_seals_to_those_of_now(ground):
    auditor = Identity.generate()
    async with ground.service() as service:
        service.seal_to((auditor.recipient.text,))
        os.kill(service._worker.pid, signal.SIGKILL)
        recorder = service.open(opened())
        await recorder.close({"reason": "client-closed"})
    (segment,) = ground.segments(recorder.session_id)
    assert [wrap.recipient for wrap in segment.wraps] == [auditor.recipient.id]
