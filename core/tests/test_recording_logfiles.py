"""The log's files: few, filled again once their journals are on disk, and kept when those cannot be."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from core.tests import disks
from core.tests.powercuts import PowerCut
from core.tests.recordings import Maker
from core.tests.test_recording_durability import broken, name_of, released, serving, session_of, until
from recgate.errors import RecordingFailed
from recgate.recording import logfiles
from recgate.recording.commitlog import HEAD, LOG_NAME
from recgate.recording.journalfiles import DAMAGED
from recgate.recording.limits import LOG_FILES
from recgate.recording.logfiles import LogFiles, settle
from recgate.recording.replay import replay
from recgate.sansio.frames import CLIENT


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture(autouse=True)
def small_log(monkeypatch):
    """Each file has room for eight small blocks."""
    monkeypatch.setattr(logfiles, "LOG_BYTES", 32 << 10)
    monkeypatch.setattr(logfiles, "RETRY", 0.01)


async def rounds(commit, journal, count):
    for _ in range(count):
        journal.append(CLIENT, "F", b"x" * 100)
        await commit.wait(journal)


async def test_the_log_takes_no_more_than_its_files_however_much_goes_through(maker):
    journal = session_of(maker)
    async with serving(maker.journals) as commit:
        await rounds(commit, journal, 200)
        sizes = [path.stat().st_size for path in (maker.journals / LOG_NAME).iterdir()]
        assert len(sizes) <= LOG_FILES
        assert set(sizes) == {32 << 10}
    released(journal)


async def test_a_file_is_filled_again_only_when_its_journals_are_on_disk(maker, monkeypatch):
    journal = session_of(maker)
    part = journal.directory / "000001.part"
    synced = []
    real = os.fdatasync

    def watched(fd):
        if os.readlink(f"/proc/self/fd/{fd}") == str(part):
            synced.append(part.stat().st_size)
        real(fd)

    monkeypatch.setattr("os.fdatasync", watched)
    async with serving(maker.journals) as commit:
        await rounds(commit, journal, 8)
        assert synced == []
        full = journal.size
        await rounds(commit, journal, 9)
        while len(synced) < 2:
            await trio.lowlevel.checkpoint()
        assert synced[0] >= full
    released(journal)


async def test_a_journal_that_cannot_be_synced_ends_and_its_file_is_kept_until_it_is_sealed(
    maker, monkeypatch
):
    good, bad = session_of(maker), session_of(maker)
    real = os.fdatasync

    def sick(fd):
        if bad.directory.name in os.readlink(f"/proc/self/fd/{fd}"):
            broken()
        real(fd)

    monkeypatch.setattr("os.fdatasync", sick)
    async with serving(maker.journals) as commit:
        await commit.wait(bad)
        await rounds(commit, good, 60)
        assert "check the disk" in bad.failure
        assert good.failure == ""
        (kept,) = [file for file in commit._files._full if file.bad]
        monkeypatch.setattr(
            "os.fdatasync", real
        )  # a second sync would succeed without having written anything
        await rounds(commit, good, 60)
        assert kept.bad
        released(bad)
        bad.remove()
        await until(lambda: not kept.bad)
    released(good)


async def test_when_every_file_is_kept_nothing_more_is_forwarded(maker, monkeypatch):
    journals = [session_of(maker) for _ in range(LOG_FILES + 1)]

    def sick(fd):
        if "part" in os.readlink(f"/proc/self/fd/{fd}"):
            broken()

    monkeypatch.setattr("os.fdatasync", sick)
    async with serving(maker.journals) as commit:
        for journal in journals:
            with pytest.raises(RecordingFailed, match="cannot be synced"):
                await rounds(commit, journal, 1000)
        last = session_of(maker)
        with pytest.raises(RecordingFailed, match="cannot be synced"):
            await rounds(commit, last, 1000)
        names = os.listdir(maker.journals / LOG_NAME)
    assert len(names) == LOG_FILES
    assert sorted(os.listdir(maker.journals / LOG_NAME)) == sorted(names), "the log stays for the next start"
    released(*journals, last)


async def test_what_is_free_to_be_filled_again_is_not_put_back(maker, monkeypatch, tmp_path):
    """A session that is gone would come back with a mark of it written over: that is in another file."""
    disk = PowerCut(maker.journals, monkeypatch)
    gone, other = session_of(maker), session_of(maker)
    async with serving(maker.journals) as commit:
        await commit.wait(gone)
        first = commit._files.current
        assert first is not None
        released(gone)
        gone.remove()
        while (gone, HEAD) in first.holds:
            await rounds(commit, other, 1)
        place = disk.leave(tmp_path / "cut")
    replay(place)
    assert not (place / gone.directory.name).exists()
    released(other)


def test_what_was_set_aside_is_synced_where_it_is(maker, monkeypatch):
    journal = session_of(maker)
    released(journal)
    (maker.journals / DAMAGED).mkdir()
    journal.directory.rename(maker.journals / DAMAGED / journal.directory.name)
    synced = []
    real = os.fdatasync
    monkeypatch.setattr("os.fdatasync", lambda fd: (synced.append(name_of(fd)), real(fd)))
    assert settle(maker.journals, frozenset({(journal, 0), (journal, 1)}), again=False) == {}
    assert sorted(synced) == ["000001.part", "head"]


async def test_without_space_there_is_no_log_and_with_little_one_file_is_enough(tmp_path, monkeypatch):
    with disks.small_disk(tmp_path / "small", "48k") as disk:
        filler = disks.use_up(disk)
        with pytest.raises(RecordingFailed, match="free or add space"):
            await LogFiles(disk).open()
        filler.unlink()
        files = LogFiles(disk)
        await files.open()
        await files._make_spare()
        assert files._free == []
        files.put_down()


def test_what_is_gone_counts_as_settled_and_what_failed_once_does_not(maker, monkeypatch):
    journal = session_of(maker)
    holds = frozenset({(journal, 0), (journal, 1), (journal, 7)})
    assert settle(maker.journals, holds, again=False) == {}
    failed = settle(maker.journals, holds, again=True)
    assert {number for _, number in failed} == {0, 1}
    assert {error.errno for error in failed.values()} == {errno.EIO}
    monkeypatch.setattr("os.fsync", broken)
    assert {number for _, number in settle(maker.journals, holds, again=False)} == {0, 1}
    journal.remove()
    monkeypatch.undo()
    assert settle(maker.journals, holds, again=True) == {}
    released(journal)
