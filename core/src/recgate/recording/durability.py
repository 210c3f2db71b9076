"""Group commit: one write and one sync of the commit log serve everybody who waits for the disk.

A round takes what all sessions have appended and not yet settled: a write into the log's file, which costs no more
than any other, and a word to a thread that syncs it. As many rounds are at the disk as there are threads; whoever
comes later is in the next one. What is too large to be written twice is synced where it lies, beside the rounds.
All that happens at every round is a plain call from the task that serves the sockets: a turn of trio's own loop
costs as much as a round.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import trio

from recgate.errors import RecordingFailed
from recgate.readiness import Readiness
from recgate.recording.commitlog import GONE, HEAD, file_name, pack_block, pack_entry
from recgate.recording.journal import Journal
from recgate.recording.limits import LOG_BLOCK, LOG_SYNCS
from recgate.recording.logfiles import LogFile, LogFiles, fail, sync_directory
from recgate.recording.syncer import Order, Syncer

__all__ = ["GroupCommit"]

# Above this a journal is synced in place: a second copy would cost more than the sync of one more file.
IN_PLACE: Final = 64 << 10
# Where this many syncs in a row took less than so many seconds, the next is done on the spot, as a write is: two
# changes of thread cost as much, and whoever comes meanwhile is served by the next one. Else threads wait for the disk.
QUICK: Final = 0.001
IN_A_ROW: Final = 16
# Syncs in place that run side by side: the file system commits them together, so more gains little.
PARALLEL: Final = 8

Call = Callable[[], None]

log = structlog.get_logger("recgate.recording")


@dataclass(slots=True, eq=False)
class _Round:
    block: bytes
    journals: list[Journal]
    calls: list[Call]
    held: set[tuple[Journal, int]]
    order: Order | None = None  # once it is written


class GroupCommit:
    """Makes appended frames durable. `root` is the journals' directory; one a process, and `run` serves it.

    `readiness` is what serves the sockets of those who wait; without one it runs its own.
    """

    def __init__(self, root: Path, readiness: Readiness | None = None) -> None:
        self._asking: dict[Journal, list[Call]] = {}
        self._gone: list[bytes] = []
        self._rounds: deque[_Round] = deque()  # at the disk, all in one file, the oldest first
        self._delayed: _Round | None = None  # waits for a file that has room for it
        self._beginning = False
        self._moving = trio.Event()  # there is one
        self._idle = trio.Event()  # there is no round at the disk any more
        self._serving = False
        self._quick = 0  # syncs in a row that were
        self._number = 0
        self._files = LogFiles(root)
        self._syncer = Syncer(LOG_SYNCS)
        self._own = readiness is None
        self._readiness = Readiness() if readiness is None else readiness
        self._in_place: dict[Journal, trio.Lock] = {}
        self._limiter = trio.CapacityLimiter(PARALLEL)
        self._nursery: trio.Nursery

    # -- who waits -------------------------------------------------------------------------------------

    async def wait(self, journal: Journal) -> None:
        """Return when all that `journal` had accepted is on disk. Cancelled, it may be there or not.

        Raises:
            RecordingFailed: it could not be synced; the journal accepts nothing more.
        """
        settled = trio.Event()
        self.then(journal, settled.set)
        await settled.wait()
        if journal.failure:
            raise RecordingFailed(journal.failure)

    def then(self, journal: Journal, call: Call) -> None:
        """Call `call` once all that `journal` had accepted is on disk, or the journal has failed: it has to look.

        It must neither raise nor block, and is never called from in here.
        """
        if self._is_large(journal):
            self._nursery.start_soon(self._settle_in_place, journal, [call])
        else:
            self._asking.setdefault(journal, []).append(call)
            self._soon()

    def collect(self, journal: Journal) -> None:
        """Have the next round settle a journal, and close the descriptors that it has put away."""
        self._asking.setdefault(journal, [])
        self._soon()

    def gone(self, session: bytes) -> None:
        """A journal is sealed and removed: with the next round, what the log has of it will not be put back."""
        if self._serving:
            self._gone.append(session)

    def mark(self) -> None:
        """Have a round of its own for what is gone, if none has taken it along meanwhile."""
        if self._gone:
            self._soon()

    # -- rounds ----------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; report when asking is possible.

        Cancelled, what was told to be on disk is in the journals themselves, or the log stays for the next start.

        Raises:
            RecordingFailed: there can be no log, or nobody to sync it.
        """
        await self._files.open()
        try:
            async with self._syncer as syncer, trio.open_nursery() as nursery:
                self._nursery = nursery
                if self._own:
                    nursery.start_soon(self._readiness.run)
                self._readiness.watch(syncer.descriptor, self._came_back)
                try:
                    self._serving = True
                    task_status.started()
                    nursery.start_soon(self._move)
                    await self._files.keep()
                finally:
                    self._serving = False
                    self._readiness.unwatch(syncer.descriptor)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._files.put_down)

    def _soon(self) -> None:
        if not self._beginning:
            self._beginning = True
            self._readiness.after(self._begin)

    def _begin(self) -> None:
        """Begin as many rounds as may be under way."""
        self._beginning = False
        while (self._asking or self._gone) and self._serving and self._syncer.free and self._delayed is None:
            each = self._gather()
            if each is None:
                continue
            file = self._files.current
            if file is None or file.failed or not file.room_for(len(each.block)):
                self._delayed = each
                self._moving.set()
                return
            self._write(each, file)
            if not self._rounds:  # done already: first look who has come meanwhile
                if self._asking:
                    self._soon()
                return

    def _gather(self) -> _Round | None:
        """Take what may go into one block; None when that is nothing, and nobody has to wait for it."""
        entries = [pack_entry(session, GONE, 0, b"") for session in self._gone]
        self._gone.clear()
        journals: list[Journal] = []
        calls: list[Call] = []
        held: set[tuple[Journal, int]] = set()
        size = 0
        while self._asking and size < LOG_BLOCK:
            journal = next(iter(self._asking))
            theirs = self._asking.pop(journal)
            if self._is_large(journal):
                self._nursery.start_soon(self._settle_in_place, journal, theirs)
                continue
            size += _take(journal, entries, held)
            journals.append(journal)
            calls += theirs
        if entries:
            block = pack_block(self._number, entries)
            self._number += 1
            return _Round(block, journals, calls, held)
        # All of it is on disk, or on its way there.
        if self._rounds:
            self._rounds[-1].journals += journals
            self._rounds[-1].calls += calls
        else:
            _call(calls)
        return None

    def _write(self, each: _Round, file: LogFile) -> None:
        """Write a round's block and have it synced."""
        file.holds |= each.held
        try:
            file.write(each.block)
        except OSError as error:
            self._failed(file, error)
        each.order = order = Order(file)
        self._rounds.append(each)
        if self._quick >= IN_A_ROW and len(self._rounds) == 1:
            order.carry_out(LOG_SYNCS)
            self._end_rounds(order)
        else:
            self._syncer.take(order)

    def _failed(self, file: LogFile, error: OSError) -> None:
        if file.failed is None:
            log.error("recording.log-unwritten", file=str(file.path), reason=str(error))
            file.failed = error

    def _came_back(self) -> None:
        """End the rounds that threads have synced, and go on."""
        for order in self._syncer.done():
            self._end_rounds(order)
        if self._asking:
            self._soon()

    def _end_rounds(self, order: Order) -> None:
        """End the rounds that a sync was for, which are on the disk now, or cannot be."""
        rounds = self._rounds
        self._quick = self._quick + 1 if order.took < QUICK else 0
        if order.error is not None:
            self._failed(order.file, order.error)
        # Unless a later one was back before it: that had this one's block to write as well.
        while any(each.order is order for each in rounds):
            each = rounds.popleft()
            if order.file.failed is not None:
                # Its own block, or one before it in the file, which nobody will read beyond.
                fail(each.journals, order.file.failed)
            _call(each.calls)
        if not rounds:
            self._idle.set()

    async def _move(self) -> None:
        """Go on in another file whenever one is full or cannot be written to."""
        while True:
            await self._moving.wait()
            self._moving = trio.Event()
            while self._rounds:  # what the old file has is on disk before what the next one has
                self._idle = trio.Event()
                await self._idle.wait()
            each = self._delayed
            assert each is not None
            try:
                file = await self._files.next()
            except OSError as error:
                self._delayed = None
                fail(each.journals, error)
                _call(each.calls)
            else:
                self._delayed = None
                self._write(each, file)
            self._soon()

    # -- in place ----------------------------------------------------------------------------------------

    def _is_large(self, journal: Journal) -> bool:
        # Behind a sync in place that is under way even a little has to wait for that.
        return journal in self._in_place or journal.unsettled > IN_PLACE

    async def _settle_in_place(self, journal: Journal, calls: list[Call]) -> None:
        lock = self._in_place.setdefault(journal, trio.Lock())
        async with lock:
            if journal.unsettled:
                await _sync_in_place(journal, self._limiter)
        if not lock.statistics().tasks_waiting:
            self._in_place.pop(journal, None)
        _call(calls)


def _call(calls: list[Call]) -> None:
    for call in calls:
        call()


def _take(journal: Journal, entries: list[bytes], held: set[tuple[Journal, int]]) -> int:
    """Read what is not settled of a journal into entries; gives its bytes. What cannot be read fails the journal.

    It counts as settled from here on: if the round fails, the journal does.
    """
    before, session = len(entries), journal.session
    if journal.unlogged_head:
        entries.append(pack_entry(session, HEAD, 0, journal.unlogged_head))
        held.add((journal, HEAD))
        journal.unlogged_head = b""
    retired, journal.retired = journal.retired, []
    try:
        for part in retired:
            if part.size > part.settled:
                data = _read(part.descriptor, part.settled, part.size)
                entries.append(pack_entry(session, part.number, part.settled, data))
                held.add((journal, part.number))
        size, settled = journal.size, journal.settled
        if size > settled and journal.current >= 0:
            data = _read(journal.current, settled, size)
            entries.append(pack_entry(session, journal.part, settled, data))
            held.add((journal, journal.part))
            journal.settled = size
    except OSError as error:
        fail([journal], error)
    finally:
        for part in retired:
            os.close(part.descriptor)
    return sum(map(len, entries[before:]))


def _read(descriptor: int, start: int, end: int) -> bytes:
    data = os.pread(descriptor, end - start, start)
    if len(data) != end - start:
        raise OSError(errno.EIO, "it has become shorter")
    return data


async def _sync_in_place(journal: Journal, limiter: trio.CapacityLimiter) -> None:
    retired, journal.retired = journal.retired, []
    directories, journal.stale_directories = journal.stale_directories, set()
    number, size = journal.part, journal.size
    descriptors = [part.descriptor for part in retired]
    try:
        if journal.unlogged_head:
            descriptors.append(os.open(journal.directory / file_name(HEAD), os.O_RDONLY | os.O_CLOEXEC))
        if journal.current >= 0:
            # One of our own: the journal may be closed while the thread has it.
            descriptors.append(os.dup(journal.current))
        await trio.to_thread.run_sync(_sync_all, descriptors, directories, limiter=limiter)
        journal.unlogged_head = b""
        if journal.part == number:
            journal.settled = size
    except OSError as error:
        fail([journal], error)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _sync_all(descriptors: list[int], directories: set[Path]) -> None:
    for descriptor in descriptors:
        os.fdatasync(descriptor)
    for directory in directories:
        sync_directory(directory)
