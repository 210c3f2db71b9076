"""Sealing part by part: the same bytes when tried again, and nothing that was not in the journal."""

from __future__ import annotations

import pytest

from core.tests.recordings import Maker
from recgate.errors import RecordingDamaged, RecordingFailed
from recgate.recording.chain import Chain, SavedState, end_of, opened_of
from recgate.recording.frames import RecordedFrame
from recgate.recording.indexer import Indexer, NoIndexer
from recgate.recording.journalfiles import JournalKeys, part_name
from recgate.recording.sealer import KeyLost, Sealed, Work
from recgate.recording.segment import read_segment


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


class Flaky:
    """A store that takes an object and then says that it did not, as one whose sync failed."""

    def __init__(self, store):
        self._store = store
        self.failures = 0
        self.objects, self.get, self.seal = store.objects, store.get, store.seal

    def put(self, session, name, data):
        self._store.put(session, name, data)
        if self.failures:
            self.failures -= 1
            raise RecordingFailed("the store says no")


def test_a_segment_that_is_sealed_again_is_the_same_bytes(maker):
    flaky = Flaky(maker.store)
    maker.sealer = maker.new_sealer(flaky)
    session, journal = maker.open()
    journal.append(0, "F", b"one")
    work = Work(session, ((1, journal.size),))
    for failures in (1, 2, 1):
        flaky.failures = failures
        with pytest.raises(RecordingFailed, match="says no"):
            maker.sealer.seal(work)
    flaky.failures = 0
    assert (journal.directory / part_name(1)).exists()
    sealed = maker.sealer.seal(work)
    assert sealed == Sealed(1, 2, len(maker.store.get(session, "000001.seg")))
    assert not (journal.directory / part_name(1)).exists()
    journal.release()


def test_another_process_cannot_go_on_with_a_chain(maker):
    session, journal = maker.open()
    maker.seal(session, journal)
    maker.sealer = maker.new_sealer()
    with pytest.raises(KeyLost):
        maker.sealer.seal(Work(session, ((2, journal.size),)))
    journal.release()


def test_a_forgotten_chain_cannot_be_gone_on_with(maker):
    session, journal = maker.open()
    maker.seal(session, journal)
    maker.sealer.forget(session)
    with pytest.raises(KeyLost):
        maker.sealer.begin(session)
    journal.release()


def test_parts_are_sealed_in_their_order_only(maker):
    session, journal = maker.open()
    sizes = {}
    for number in (1, 2, 3):
        journal.append(0, "F", bytes([number]))
        sizes[number] = journal.size
        journal.rotate()
    with pytest.raises(RecordingDamaged, match="does not go on with frame 0"):
        maker.sealer.seal(Work(session, ((2, sizes[2]),)))
    with pytest.raises(RecordingDamaged, match="does not go on with frame 0"):
        maker.sealer.seal(Work(session, ((1, sizes[1]), (3, sizes[3]))))
    with pytest.raises(RecordingDamaged, match="does not end with the session's end"):
        maker.sealer.seal(Work(session, ((1, sizes[1]),), final=True))
    maker.sealer.seal(Work(session, ((1, sizes[1]), (2, sizes[2]))))
    maker.sealer.seal(Work(session, ((3, sizes[3]),)))
    segments = [read_segment(maker.store.get(session, f"00000{n}.seg")).seal for n in (1, 2)]
    assert [(seal.first, seal.count) for seal in segments] == [(0, 3), (3, 1)]
    journal.release()


def test_a_journal_without_a_first_frame_is_not_begun(maker):
    session, journal = maker.open()
    (journal.directory / part_name(1)).write_bytes(b"")
    with pytest.raises(RecordingDamaged, match="has no first frame"):
        maker.sealer.begin(session)
    journal.release()


def test_no_indexer_is_an_indexer():
    indexer: Indexer = NoIndexer()
    indexer.restore("s", {}, None)
    indexer.feed("s", {}, [])
    assert indexer.save("s") == b""
    indexer.finish("s", {}, "sealed")


def test_the_state_comes_back(tmp_path):
    chain = Chain("s", tmp_path, JournalKeys(b"", b""), {"user": "alice"}, fed=7, problem="none")
    data = chain.pack_state([[1, 2], [3, 4], [5, 6]], 9, b"indexed")
    state = SavedState.unpack(data)
    assert (state.sealed, state.fed, state.totals) == (9, 7, [[1, 2], [3, 4], [5, 6]])
    assert (state.opened, state.problem, state.indexed) == ({"user": "alice"}, "none", b"indexed")
    for broken in (b"", data[:-1], b"\xa0", b"\x01"):
        with pytest.raises(RecordingDamaged):
            SavedState.unpack(broken)


def test_the_first_frame_must_say_who(tmp_path):
    assert opened_of(RecordedFrame(0, 0, 0, 2, "opened", b"\xa1dusere" + b"alice")) == {"user": "alice"}
    for frame in (
        RecordedFrame(0, 0, 0, 2, "note", b"\xa0"),
        RecordedFrame(1, 0, 0, 2, "opened", b"\xa0"),
        RecordedFrame(0, 0, 0, 2, "opened", b"\x80"),
        RecordedFrame(0, 0, 0, 2, "opened", b"\xff"),
    ):
        with pytest.raises(RecordingDamaged):
            opened_of(frame)


def test_the_end_counts_what_was_sealed():
    closed = RecordedFrame(9, 0, 0, 2, "closed", b"\xa2freason" + b"dgone" + b"dexit\x03")
    end = end_of(closed, [[1, 10], [2, 20], [3, 30]])
    assert (end.reason, end.exit) == ("gone", 3)
    assert end.counters["recorded"] == {
        "client": {"frames": 1, "bytes": 10},
        "upstream": {"frames": 2, "bytes": 20},
        "gateway": {"frames": 3, "bytes": 30},
    }
