"""What a dead gateway left behind is sealed as `recovered`, wherever the death came."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import cast

import pytest

from core.tests.recordings import Maker
from recgate.errors import RecordingFailed
from recgate.ids import new_session_id
from recgate.recording.journalfiles import DAMAGED, part_name
from recgate.recording.recovery import recover
from recgate.recording.segment import read_segment
from recgate.recording.verify import Status, verify_session


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


def segments(maker, session):
    names = [name for name in maker.store.objects(session) if name.endswith(".seg")]
    return [read_segment(maker.store.get(session, name)) for name in names]


def frames(maker, session):
    return [frame for segment in segments(maker, session) for frame in segment.frames()]


def status(maker, session):
    report = verify_session(session, maker.store, maker.trust, journal=maker.journals)
    assert report.problems == [], report.problems
    return report.status


def test_a_session_that_was_never_sealed_is_recovered_whole(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"one")
    journal.append(1, "B", b"two")
    journal.release()
    outcome = maker.recover(session)
    assert (outcome.status, outcome.frames, outcome.cut) == ("recovered", 3, 0)
    assert [frame.kind for frame in frames(maker, session)] == ["opened", "F", "B", "closed"]
    assert status(maker, session) is Status.RECOVERED
    assert not (maker.journals / session).exists()


def test_only_what_is_not_sealed_is_added(maker):
    session, journal = maker.open()
    for word in (b"first", b"second"):
        journal.append(0, "F", word)
        maker.seal(session, journal)
    journal.append(0, "F", b"third")
    journal.release()
    lost = segments(maker, session)[-1].seal.next
    assert maker.recover(session).frames == 1
    assert [frame.data for frame in frames(maker, session) if frame.kind == "F"] == [
        b"first",
        b"second",
        b"third",
    ]
    tail = segments(maker, session)[-1].seal
    assert tail.recovered is not None
    assert (tail.recovered.lost, tail.recovered.reason, tail.next) == (lost, "the gateway died", None)
    assert tail.end is not None
    recorded = cast("dict[str, object]", tail.end.counters["recorded"])
    assert recorded["client"] == {"frames": 3, "bytes": 16}
    assert status(maker, session) is Status.RECOVERED


def test_frames_that_are_in_both_are_recorded_once(maker):
    """Killed after the segment was stored and before its part was deleted."""
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    part = maker.journals / session / part_name(1)
    kept = part.read_bytes()
    maker.seal(session, journal)
    part.write_bytes(kept)
    journal.release()
    maker.recover(session)
    assert [frame.kind for frame in frames(maker, session)] == ["opened", "F", "closed"]
    assert status(maker, session) is Status.RECOVERED


def test_a_closed_session_whose_seal_was_lost_keeps_its_reason(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    maker.seal(session, journal)
    journal.append(0, "F", b"second")
    journal.close({"reason": "client-closed", "exit": 3})
    journal.release()
    maker.recover(session)
    end = segments(maker, session)[-1].seal.end
    assert end is not None
    assert (end.reason, end.exit) == ("client-closed", 3)
    assert status(maker, session) is Status.RECOVERED


def test_the_preallocated_end_is_used(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    journal.fail("the disk is full")
    journal.close({"reason": "recording"})
    journal.release()
    maker.recover(session)
    assert len(segments(maker, session)) == 1
    assert [frame.kind for frame in frames(maker, session)] == ["opened", "F", "closed"]
    end = segments(maker, session)[-1].seal.end
    assert end is not None
    assert end.reason == "recording"


def test_a_torn_record_is_cut_and_said(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"whole")
    journal.append(0, "F", b"torn")
    path = maker.journals / session / part_name(1)
    os.truncate(path, path.stat().st_size - 3)
    journal.release()
    outcome = maker.recover(session)
    assert outcome.cut > 0
    tail = segments(maker, session)[-1].seal
    assert tail.recovered is not None
    assert tail.recovered.cut == outcome.cut
    assert [frame.data for frame in frames(maker, session) if frame.kind == "F"] == [b"whole"]
    assert status(maker, session) is Status.RECOVERED


def test_a_hole_in_the_journal_is_a_gap_in_the_recording_and_kept(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    journal.rotate()
    journal.append(0, "F", b"second")
    journal.rotate()
    journal.append(0, "F", b"third")
    path = maker.journals / session / part_name(2)
    path.write_bytes(bytes(path.stat().st_size))
    journal.release()
    outcome = maker.recover(session)
    assert outcome.reason == "000002.part is damaged at byte 0"
    assert [frame.kind for frame in frames(maker, session)] == ["opened", "F", "gap", "closed"]
    assert status(maker, session) is Status.RECOVERED
    assert (maker.journals / DAMAGED / session / part_name(3)).exists()


def test_a_long_backlog_is_recovered_part_by_part(maker):
    session, journal = maker.open()
    for number in range(4):
        journal.append(0, "F", bytes([number]))
        journal.rotate()
    journal.release()
    maker.recover(session)
    assert [segment.seal.count for segment in segments(maker, session)] == [2, 1, 1, 2]
    assert status(maker, session) is Status.RECOVERED


class Killed(BaseException):
    """Stands for SIGKILL at one place: nothing catches it."""


class DyingStore:
    """A store that the process dies in: before or after the object is there."""

    def __init__(self, store, name, when):
        self._store, self._name, self._when = store, name, when
        self.objects, self.get, self.seal, self.sessions = (
            store.objects,
            store.get,
            store.seal,
            store.sessions,
        )

    def put(self, session, name, data):
        if name == self._name and self._when == "before":
            raise Killed
        self._store.put(session, name, data)
        if name == self._name:
            raise Killed


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["header.cbor", "000001.seg", "000002.seg", "000003.seg"])
@pytest.mark.parametrize("twice", [False, True])
def test_death_at_any_write_leaves_what_can_be_recovered(maker, name, when, twice):
    session, journal = maker.open()
    maker.sealer = maker.new_sealer(DyingStore(maker.store, name, when))
    written = [b"first", b"second", b"third"]
    for word in written[:2]:
        journal.append(0, "F", word)
        journal.rotate()
    journal.append(0, "F", written[2])
    try:
        maker.seal(session, journal, {"reason": "client-closed"})
    except Killed:
        journal.release()
    if twice:  # the recovery dies as well
        maker.sealer = maker.new_sealer(DyingStore(maker.store, "000003.seg", when))
        with suppress(Killed):
            recover(maker.sealer, session, "died once")
    outcome = maker.recover(session)
    assert outcome.status in ("recovered", "sealed", "empty")
    assert [frame.data for frame in frames(maker, session) if frame.kind == "F"] == written
    wanted = Status.COMPLETE if (name, when) == ("000003.seg", "after") else Status.RECOVERED
    assert status(maker, session) is wanted
    assert not (maker.journals / session).exists()


def test_a_store_that_fails_leaves_the_journal(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"kept")
    journal.release()
    maker.store.root.write_bytes(b"")
    with pytest.raises(RecordingFailed):
        maker.recover(session)
    maker.store.root.unlink()
    assert maker.recover(session).status == "recovered"
    assert frames(maker, session)[1].data == b"kept"


def test_a_journal_without_a_frame_was_no_session(maker):
    session = new_session_id()
    (maker.journals / session).mkdir()
    assert maker.recover(session).status == "empty"
    assert not (maker.journals / session).exists()
    assert maker.recover(session).status == "empty"
    assert maker.store.objects(session) == []


def test_a_journal_under_another_key_is_set_aside_not_deleted(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"kept")
    journal.release()
    maker.signer = type(maker.signer)("gate-1", maker.identity, bytes(32))
    outcome = maker.recover(session)
    assert outcome.status == "damaged"
    assert "restore that key in keys/journal" in outcome.reason
    assert (maker.journals / DAMAGED / session / part_name(1)).exists()


def test_a_damaged_store_is_not_added_to(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    maker.seal(session, journal)
    journal.append(0, "F", b"second")
    journal.release()
    place = maker.store.place(session) / "000001.seg"
    place.chmod(0o600)
    place.write_bytes(place.read_bytes()[:-1])
    assert maker.recover(session).status == "damaged"
    assert list(maker.store.objects(session)) == ["header.cbor", "000001.seg"]


class Diary:
    """An indexer that writes down what it is told, and keeps how much it has seen as its state."""

    def __init__(self):
        self.calls = []
        self.seen = 0

    def restore(self, session, opened, state):
        self.seen = int(state or b"0")
        self.calls.append(("restore", opened["user"], self.seen))

    def feed(self, session, opened, frames):
        self.seen += len(frames)
        self.calls.append(("feed", frames[0].seq, frames[-1].seq))

    def save(self, session):
        return str(self.seen).encode()

    def finish(self, session, end, status):
        self.calls.append(("finish", status, end.get("index_problem", ""), end["ended"]))


def test_the_index_goes_on_where_its_saved_state_ends(maker):
    session, journal = maker.open(started=1_000)
    maker.sealer.indexer = Diary()
    journal.append(0, "F", b"first")
    maker.seal(session, journal)
    journal.append(0, "F", b"second")
    journal.release()
    maker.sealer = maker.new_sealer()
    diary = maker.sealer.indexer = Diary()
    recover(maker.sealer, session, "died")
    last = frames(maker, session)[-1]
    assert diary.calls == [
        ("restore", "alice", 2),
        ("feed", 2, 3),
        ("finish", "recovered", "", 1_000 + last.t * 1000),
    ]


def test_an_index_that_lost_its_state_says_so(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    maker.seal(session, journal)
    journal.append(0, "F", b"second")
    (maker.journals / session / "state").write_bytes(b"gone")
    journal.release()
    maker.sealer = maker.new_sealer()
    diary = maker.sealer.indexer = Diary()
    recover(maker.sealer, session, "died")
    assert diary.calls[0] == ("restore", "alice", 0)
    assert diary.calls[-1][:3] == ("finish", "recovered", "frames 0 to 1 were not indexed")
    assert status(maker, session) is Status.RECOVERED


def test_a_full_disk_keeps_the_seal_and_notes_the_lost_state(maker, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recgate.recording.sealer.write_state", full)
    session = maker.record([(0, "F", b"x")])
    assert status(maker, session) is Status.COMPLETE
    assert json.dumps(maker.notes).count("recording.state-unsaved") == 1


def test_a_store_that_is_not_mounted_is_waited_for(maker):
    """What is gone from the journal was stored: begun anew, the recording would be in two halves."""
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    maker.seal(session, journal)
    journal.append(0, "F", b"second")
    journal.release()
    away = maker.store.root.rename(maker.store.root.with_name("away"))
    for _ in range(2):
        with pytest.raises(RecordingFailed, match="is its file system mounted"):
            maker.recover(session)
        maker.store.root.mkdir(exist_ok=True)  # the empty place where it is mounted
    maker.store.root.rmdir()
    away.rename(maker.store.root)
    assert maker.recover(session).status == "recovered"
    assert [frame.data for frame in frames(maker, session) if frame.kind == "F"] == [b"first", b"second"]
    assert status(maker, session) is Status.RECOVERED


def test_a_whole_recording_with_a_rest_of_a_journal_is_no_damage(maker):
    """Lost power may keep a part whose removal was not on the disk yet, and not the head."""
    session, journal = maker.open()
    journal.append(0, "F", b"first")
    journal.release()
    part = (maker.journals / session / part_name(1)).read_bytes()
    maker.recover(session)
    (maker.journals / session).mkdir()
    (maker.journals / session / part_name(1)).write_bytes(part)
    assert maker.recover(session).status == "recovered"
    assert not (maker.journals / session).exists()
    assert not (maker.journals / DAMAGED).exists()


def test_what_cannot_be_read_is_kept_before_the_rest_is_sealed(maker, monkeypatch):
    session, journal = maker.open()
    for word in (b"first", b"second", b"third"):
        journal.append(0, "F", word)
        journal.rotate()
    path = maker.journals / session / part_name(2)
    path.write_bytes(bytes(path.stat().st_size))
    journal.release()
    put = maker.store.put

    def killed(session, name, data):
        if name.endswith(".seg"):
            raise RecordingFailed("killed")
        put(session, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(maker.store, "put", killed)
        with pytest.raises(RecordingFailed, match="killed"):
            maker.recover(session)
    assert (maker.journals / DAMAGED / session / part_name(3)).exists()
    maker.recover(session)
    assert [frame.kind for frame in frames(maker, session)] == ["opened", "F", "gap", "closed"]
    assert (maker.journals / DAMAGED / session / part_name(3)).exists()
