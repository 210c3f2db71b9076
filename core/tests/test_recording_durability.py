"""Group commit: what was told to be on disk survives a power cut to the byte, and errors stop what they concern."""

from __future__ import annotations

import errno
import os
import random
import threading
from contextlib import asynccontextmanager

import cbor2
import pytest
import trio
import trio.testing

from core.tests.powercuts import PowerCut, tree
from core.tests.recordings import Maker
from recgate.errors import RecordingFailed
from recgate.ids import new_session_id
from recgate.recording import durability, logfiles, replay
from recgate.recording.commitlog import LOG_NAME
from recgate.recording.durability import IN_PLACE, GroupCommit
from recgate.recording.journal import Journal
from recgate.recording.sealer import Work
from recgate.recording.segment import read_segment
from recgate.sansio.frames import CLIENT, GATEWAY


@asynccontextmanager
async def serving(root):
    commit = GroupCommit(root)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(commit.run)
            yield commit
            nursery.cancel_scope.cancel()


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture
def small_log(monkeypatch):
    """Files of 128 KiB: a few rounds fill one."""
    for module in (logfiles, replay):
        monkeypatch.setattr(module, "LOG_BYTES", 128 << 10)
    monkeypatch.setattr(durability, "LOG_BLOCK", 32 << 10)


async def until(true):
    with trio.fail_after(20):
        while not true():  # noqa: ASYNC110 - what is waited for happens in threads
            await trio.sleep(0.001)


def session_of(maker):
    session = new_session_id()
    journal = Journal.create(maker.journals, session, maker.wrapping, synced=True)
    opened = {"session": session, "user": "alice", "protocol": "tiny", "started": 1, "policy": "00" * 32}
    journal.append(GATEWAY, "opened", cbor2.dumps(opened, canonical=True))
    return journal


def name_of(descriptor):
    return os.readlink(f"/proc/self/fd/{descriptor}").rpartition("/")[2]


def broken(*_):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def released(*journals):
    for journal in journals:
        journal.release()
        for part in journal.retired:
            os.close(part.descriptor)


async def test_a_round_serves_all_who_asked_during_the_last(maker, monkeypatch):
    journals = [session_of(maker) for _ in range(20)]
    async with serving(maker.journals) as commit:
        synced = []
        real = os.fdatasync
        monkeypatch.setattr("os.fdatasync", lambda fd: (synced.append(name_of(fd)), real(fd)))
        async with trio.open_nursery() as waiting:
            for journal in journals * 2:
                waiting.start_soon(commit.wait, journal)
        assert synced == ["1.log"]
        assert all(journal.unsettled == 0 for journal in journals)
        await commit.wait(journals[0])  # nothing is new, so nothing is written
        assert synced == ["1.log"]
    released(*journals)


class Gates:
    """Syncs of the log that wait until they are let through, by the order in which they began."""

    def __init__(self, monkeypatch):
        self.begun: list[threading.Event] = []
        self.open = False
        self.errors: dict[int, int] = {}
        self._real = os.fdatasync
        monkeypatch.setattr("os.fdatasync", self._sync)

    def _sync(self, fd):
        if self.open or name_of(fd) != "1.log":
            self._real(fd)
            return
        gate, number = threading.Event(), len(self.begun)
        self.begun.append(gate)
        assert gate.wait(20)
        if number in self.errors:
            raise OSError(self.errors[number], os.strerror(self.errors[number]))
        self._real(fd)

    async def until_begun(self, count):
        await until(lambda: len(self.begun) >= count)


async def ask(commit, journal, ended):
    """Wait for the disk, and note who has come back and how."""
    try:
        await commit.wait(journal)
    except RecordingFailed:
        ended[journal] = "failed"
    else:
        ended[journal] = "on disk"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_sync_that_is_back_first_ends_those_before_it_as_well(maker, monkeypatch, fails):
    """It began when their blocks were written; an error in it is theirs too, since nobody reads beyond a torn block."""
    one, two, last = (session_of(maker) for _ in range(3))
    ended = {}
    async with serving(maker.journals) as commit:
        gates = Gates(monkeypatch)
        async with trio.open_nursery() as waiting:
            for count, journal in enumerate((one, two), 1):
                waiting.start_soon(ask, commit, journal, ended)
                await gates.until_begun(count)
            waiting.start_soon(ask, commit, last, ended)
            if fails:
                gates.errors[1] = errno.EIO
            gates.open = True
            gates.begun[1].set()
            await until(lambda: one in ended and two in ended)
            assert ended[one] == ended[two] == ("failed" if fails else "on disk")
            gates.begun[0].set()
        assert ended[last] == "on disk"
    released(one, two, last)


async def test_a_quick_disk_is_waited_for_on_the_spot_and_a_slow_one_by_threads(maker, monkeypatch):
    journal = session_of(maker)
    on_the_spot = []
    real = os.fdatasync

    def watched(fd):
        on_the_spot.append(threading.current_thread() is threading.main_thread())
        real(fd)

    async with serving(maker.journals) as commit:
        monkeypatch.setattr("os.fdatasync", watched)
        monkeypatch.setattr(durability, "IN_A_ROW", 2)
        for quick in (9.0, 9.0, 0.0, 9.0, 9.0, 9.0):
            monkeypatch.setattr(durability, "QUICK", quick)
            journal.append(CLIENT, "F", b"x")
            await commit.wait(journal)
        assert on_the_spot == [False, False, True, False, False, True]
    released(journal)


async def test_descriptors_that_were_put_away_are_closed(maker):
    journal = session_of(maker)
    async with serving(maker.journals) as commit:
        await commit.wait(journal)
        retired = journal.current
        journal.append(CLIENT, "F", b"the last")
        journal.release()
        commit.collect(journal)
        await commit.wait(other := session_of(maker))
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(retired)
    released(other)


async def test_what_is_large_is_synced_in_place_and_not_written_twice(maker, monkeypatch):
    journal = session_of(maker)
    async with serving(maker.journals) as commit:
        await commit.wait(journal)
        synced, written = [], []
        fdatasync, pwrite = os.fdatasync, os.pwrite
        monkeypatch.setattr("os.fdatasync", lambda fd: (synced.append(name_of(fd)), fdatasync(fd))[1])
        monkeypatch.setattr("os.pwrite", lambda *call: (written.append(name_of(call[0])), pwrite(*call))[1])
        journal.append(CLIENT, "F", b"x" * 1_100_000)
        journal.append(CLIENT, "F", b"in part 2")
        async with trio.open_nursery() as waiting:
            waiting.start_soon(commit.wait, journal)
            waiting.start_soon(commit.wait, journal)
        # The log's second file is made in its own time, and that may be now.
        assert [name for name in synced if not name.startswith("2.log")] == ["000001.part", "000002.part"]
        assert [name for name in written if not name.startswith("2.log")] == []
        assert journal.unsettled == 0
    released(journal)


@pytest.mark.parametrize("seed", range(4))
async def test_a_power_cut_takes_nothing_that_was_told_to_be_on_disk(
    maker, monkeypatch, tmp_path, small_log, seed
):
    """Sessions of all sizes, cuts at any moment; what is left is recovered, and holds every promised frame."""
    rng = random.Random(seed)
    if seed % 2:
        monkeypatch.setattr(durability, "IN_A_ROW", 0)  # no thread waits for the disk
    disk = PowerCut(maker.journals, monkeypatch)
    journals = [session_of(maker) for _ in range(5)]
    said: dict[Journal, list[bytes]] = {journal: [] for journal in journals}
    promised = dict.fromkeys(journals, 0)
    cuts = []

    async def talk(commit: GroupCommit, journal: Journal, sizes: list[int]) -> None:
        for size in sizes:
            data = os.urandom(size)
            said[journal].append(data)
            journal.append(CLIENT, "F", data)
            count = len(said[journal])
            await commit.wait(journal)
            promised[journal] = count
            if rng.random() < 0.02:
                cuts.append((disk.leave(tmp_path / f"cut-{len(cuts)}"), dict(promised)))

    async with serving(maker.journals) as commit:
        async with trio.open_nursery() as talking:
            for journal in journals:
                sizes = [rng.choice((1, 300, 3_000, 30_000, 2 * IN_PLACE)) for _ in range(60)]
                talking.start_soon(talk, commit, journal, sizes)
        cuts.append((disk.leave(tmp_path / "cut-last"), dict(promised)))
    monkeypatch.undo()
    for module in (logfiles, replay):
        monkeypatch.setattr(module, "LOG_BYTES", 128 << 10)
    assert len(cuts) > 1
    for number, (place, counts) in enumerate(cuts):
        torn(place, rng)
        replay.replay(place)
        for journal, count in counts.items():
            exact(journal, place, count, said)
        if number == len(cuts) - 1:
            recovered(maker, place, said, counts)
    released(*journals)


def torn(place, rng):
    """A block that was being written when the power failed is half there."""
    for path in (place / LOG_NAME).iterdir():
        data = bytearray(path.read_bytes())
        end = rng.randrange(len(data))
        if not any(data[end:]):
            data[end : end + 100] = rng.randbytes(100)[: len(data) - end]
        path.write_bytes(data)


def exact(journal, place, count, said):
    """Every part begins with what the session's own has, as far as it was promised."""
    if not count:
        return
    wanted = sum(map(len, said[journal][:count]))
    got = 0
    for name, data in tree(place / journal.directory.name).items():
        if name.endswith(".part"):
            original = (journal.directory / name).read_bytes()
            got += next(
                (n for n, (a, b) in enumerate(zip(data, original, strict=False)) if a != b),
                min(len(data), len(original)),
            )
    assert got >= wanted


def recovered(maker, place, said, counts):
    maker.journals = place
    for journal, count in counts.items():
        session = journal.directory.name
        assert maker.recover(session).status == "recovered"
        names = [name for name in maker.store.objects(session) if name.endswith(".seg")]
        segments = [read_segment(maker.store.get(session, name)) for name in names]
        data = [frame.data for segment in segments for frame in segment.frames() if frame.side == CLIENT]
        assert data[:count] == said[journal][:count]


@pytest.mark.parametrize("call", ["os.pwrite", "os.fdatasync"])
async def test_a_log_that_cannot_be_written_ends_who_waits_and_nobody_else(maker, monkeypatch, call):
    one, two = session_of(maker), session_of(maker)
    async with serving(maker.journals) as commit:
        await commit.wait(one)
        with monkeypatch.context() as patch:
            patch.setattr(call, broken)
            with pytest.raises(RecordingFailed, match=r"cannot be synced.*check the disk"):
                await commit.wait(two)
        with pytest.raises(RecordingFailed, match="check the disk"):
            two.append(CLIENT, "F", b"x")
        one.append(CLIENT, "F", b"goes on, in another file")
        await commit.wait(one)
        assert one.failure == ""
    released(one, two)


async def test_the_first_frames_may_be_large_and_the_keys_are_on_disk_with_them(maker, monkeypatch, tmp_path):
    disk = PowerCut(maker.journals, monkeypatch)
    journal = session_of(maker)
    journal.append(CLIENT, "F", bytes(2 * IN_PLACE))
    async with serving(maker.journals) as commit:
        await commit.wait(journal)
        place = disk.leave(tmp_path / "cut")
    replay.replay(place)
    recovered(maker, place, {journal: [bytes(2 * IN_PLACE)]}, {journal: 1})
    released(journal)


async def test_a_part_that_became_shorter_is_not_told_to_be_on_disk(maker):
    journal = session_of(maker)
    os.truncate(journal.directory / "000001.part", 10)
    async with serving(maker.journals) as commit:
        with pytest.raises(RecordingFailed, match="check the disk"):
            await commit.wait(journal)
    released(journal)


async def test_a_sealed_part_that_the_log_half_forgot_does_not_hide_what_came_after(
    maker, monkeypatch, tmp_path, small_log
):
    """The part is sealed and removed; the log has its end, but its beginning is written over; then the power fails."""
    disk = PowerCut(maker.journals, monkeypatch)
    journal, filler = session_of(maker), session_of(maker)
    said = [b"sealed, forgotten", b"sealed, in the log", b"promised"]
    async with serving(maker.journals) as commit:
        journal.append(CLIENT, "F", said[0])
        await commit.wait(journal)
        first = commit._files.current
        assert first is not None
        while first.used and first not in commit._files._free:
            filler.append(CLIENT, "F", bytes(20_000))
            await commit.wait(filler)
        journal.append(CLIENT, "F", said[1])
        await commit.wait(journal)
        size = journal.size
        journal.rotate()
        maker.sealer.seal(Work(journal.directory.name, ((1, size),)))
        journal.append(CLIENT, "F", said[2])
        await commit.wait(journal)
        place = disk.leave(tmp_path / "cut")
        (place / journal.directory.name / "000001.part").unlink(missing_ok=True)
    replay.replay(place)
    maker.journals, maker.sealer = place, None
    maker.sealer = maker.new_sealer()
    assert maker.recover(journal.directory.name).cut == 0
    names = [name for name in maker.store.objects(journal.directory.name) if name.endswith(".seg")]
    segments = [read_segment(maker.store.get(journal.directory.name, name)) for name in names]
    assert [f.data for each in segments for f in each.frames() if f.side == CLIENT] == said
    released(journal, filler)


async def test_a_journal_that_cannot_be_synced_in_place_ends_alone(maker, monkeypatch):
    one, two = session_of(maker), session_of(maker)
    async with serving(maker.journals) as commit:
        one.append(CLIENT, "F", bytes(2 * IN_PLACE))
        with monkeypatch.context() as patch:
            patch.setattr("os.fdatasync", broken)
            with pytest.raises(RecordingFailed, match="check the disk"):
                await commit.wait(one)
        await commit.wait(two)
    released(one, two)


async def test_an_orderly_end_leaves_journals_on_disk_and_no_log(maker, monkeypatch, tmp_path):
    disk = PowerCut(maker.journals, monkeypatch)
    journal = session_of(maker)
    async with serving(maker.journals) as commit:
        await commit.wait(journal)
        assert os.listdir(maker.journals / LOG_NAME)
    assert os.listdir(maker.journals / LOG_NAME) == []
    left = tree(disk.leave(tmp_path / "cut"))
    assert left[f"{journal.directory.name}/000001.part"] == (journal.directory / "000001.part").read_bytes()
    released(journal)


async def test_what_is_gone_is_marked_in_the_next_round_or_one_of_its_own(maker, monkeypatch, tmp_path):
    disk = PowerCut(maker.journals, monkeypatch)
    journal = session_of(maker)
    async with serving(maker.journals) as commit:
        await commit.wait(journal)
        commit.gone(journal.session)
        commit.mark()
        await until(lambda: not commit._gone and not commit._rounds)
        place = disk.leave(tmp_path / "cut")
    replay.replay(place)
    assert tree(place) == {}
    released(journal)
