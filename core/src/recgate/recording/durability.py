"""Group commit: one `fdatasync` for all that was appended while the last one ran."""

from __future__ import annotations

import os
from typing import Final

import trio

from recgate.errors import RecordingFailed
from recgate.recording.journal import Journal

__all__ = ["GroupCommit"]

# Syncs of one round that run side by side: the file system commits them together, so more gains little.
PARALLEL: Final = 8


class GroupCommit:
    """Makes appended frames durable in rounds: whoever asks during a round is served by the next one."""

    def __init__(self) -> None:
        self._waiting: set[Journal] = set()
        self._asked = trio.Event()
        self._round = trio.Event()

    async def wait(self, journal: Journal) -> None:
        """Return when all that `journal` had accepted is on disk. Cancelled, it may be there or not.

        Raises:
            RecordingFailed: it could not be synced; the journal accepts nothing more.
        """
        self.collect(journal)
        await self._round.wait()
        if journal.failure:
            raise RecordingFailed(journal.failure)

    def collect(self, journal: Journal) -> None:
        """Have the next round sync a journal, and close the descriptors that it has put away."""
        self._waiting.add(journal)
        self._asked.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        limiter = trio.CapacityLimiter(PARALLEL)
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            journals, self._waiting = self._waiting, set[Journal]()
            done, self._round = self._round, trio.Event()
            async with trio.open_nursery() as nursery:
                for journal in journals:
                    nursery.start_soon(_sync, journal, limiter)
            done.set()


async def _sync(journal: Journal, limiter: trio.CapacityLimiter) -> None:
    # Descriptors are closed by this task alone, so none can be reused while the thread still has it.
    retired, journal.retired = journal.retired, []
    directories, journal.stale_directories = journal.stale_directories, set()
    current = [journal.current] if journal.current >= 0 else []
    try:
        await trio.to_thread.run_sync(
            _sync_all, retired + current, [str(each) for each in directories], limiter=limiter
        )
    except OSError as error:
        journal.fail(
            f"journal: {journal.directory.parent} cannot be synced ({error.strerror}); "
            "recording is mandatory, so nothing more is forwarded: check the disk under it"
        )
    finally:
        for descriptor in retired:
            os.close(descriptor)


def _sync_all(descriptors: list[int], directories: list[str]) -> None:
    for descriptor in descriptors:
        os.fdatasync(descriptor)
    for directory in directories:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
