"""The files of the commit log: one is filled, the journals of full ones are synced, then they are filled again.

There are few and they do not grow, so the log takes a known space. A file whose journals cannot be synced is kept
until those are sealed; when all are kept, nothing more can be written.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import trio

from recgate.errors import RecordingFailed
from recgate.recording.commitlog import LOG_NAME, PAGE, file_name
from recgate.recording.journal import Journal, complaint
from recgate.recording.journalfiles import DAMAGED
from recgate.recording.limits import LOG_BYTES, LOG_FILES, LOG_SYNCS

__all__ = ["LogFile", "LogFiles", "fail", "settle", "sync_directory", "write_all"]

RETRY: Final = 1.0  # seconds until a journal that could not be synced is looked at again

log = structlog.get_logger("recgate.recording")


@dataclass(slots=True, eq=False)
class LogFile:
    """A file of the log that is being filled, waits for its journals, or is free to be filled again.

    Each thread that syncs it has a descriptor of its own, the event loop's the last: an error is told once to each
    that was open when it happened, so with one for all the next sync would succeed without what the last could not
    write. `holds` are the journals' files that have bytes in it; one that could not be synced is in `bad` as well.
    """

    path: Path
    descriptors: tuple[int, ...]
    used: int = 0
    holds: set[tuple[Journal, int]] = field(default_factory=set["tuple[Journal, int]"])
    bad: set[tuple[Journal, int]] = field(default_factory=set["tuple[Journal, int]"])
    failed: OSError | None = None  # why nothing more is written to it, or why a journal could not be synced

    @classmethod
    def create(cls, path: Path) -> LogFile:
        """Make a log file with its space taken and nothing in it. Raises `OSError`; nothing is left behind."""
        descriptors: list[int] = []
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            descriptors.extend(os.open(path, flags, 0o600) for _ in range(LOG_SYNCS + 1))
            os.truncate(path, 0)
            # Zeros and not `fallocate`: the first write to allocated space would be a change of metadata.
            write_all(descriptors[0], bytes(LOG_BYTES), 0)
            os.fsync(descriptors[0])
            sync_directory(path.parent)
        except OSError:
            for descriptor in descriptors:
                os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, tuple(descriptors))

    def write(self, block: bytes) -> None:
        """Add a block, which there is room for. Raises `OSError`: nothing behind it would ever be read."""
        offset = self.used
        self.used += len(block)
        write_all(self.descriptors[0], block, offset)

    def close(self) -> None:
        """Let go of it. It stays on the disk."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    @property
    def kept_for(self) -> frozenset[tuple[Journal, int]]:
        """What must be on the disk before this can be written over."""
        return frozenset(self.bad or self.holds)

    def room_for(self, size: int) -> bool:
        """Tell whether a block of `size` bytes fits."""
        return self.used + size <= LOG_BYTES

    def blank(self) -> None:
        """Have nothing in it put back any more. Raises `OSError`.

        What was sealed since, and perhaps lawfully erased, would come back while the mark that it is gone is
        written over sooner than the journal itself.
        """
        for descriptor in self.descriptors if self.failed else ():
            with contextlib.suppress(
                OSError
            ):  # what is known; else it would be told once more at the next use
                os.fdatasync(descriptor)
        write_all(self.descriptors[0], bytes(PAGE), 0)
        os.fdatasync(self.descriptors[0])

    def reuse(self) -> None:
        """Forget what is in it: all of that is on the disk elsewhere, or gone for good."""
        self.used = 0
        self.holds.clear()
        self.bad.clear()
        self.failed = None


class LogFiles:
    """The files of one log under `root`, the journals' directory. `current` is the one that is filled."""

    def __init__(self, root: Path) -> None:
        self.current: LogFile | None = None
        self._root = root
        self._full: list[LogFile] = []  # the oldest first
        self._free: list[LogFile] = []
        self._filled = trio.Event()
        self._looked = trio.Event()  # somebody has tried to empty a full one

    async def open(self) -> None:
        """Make the first file. Raises `RecordingFailed` when there can be none."""
        try:
            self.current = await trio.to_thread.run_sync(self._first)
        except OSError as error:
            raise RecordingFailed(complaint(self._root, error)) from error

    def _first(self) -> LogFile:
        place = self._root / LOG_NAME
        place.mkdir(mode=0o700, exist_ok=True)
        file = LogFile.create(place / "1.log")
        sync_directory(self._root)
        return file

    async def next(self) -> LogFile:
        """Go on in another file, once one is free. Nobody may be writing to the old one any more.

        Raises:
            OSError: none can be emptied, and why.
        """
        if self.current is not None:
            self._full.append(self.current)
            self.current = None
        self._filled.set()
        while not self._free:
            await self._looked.wait()
            stuck = [file.failed for file in self._full if file.bad and file.failed is not None]
            if not self._free and len(stuck) == len(self._full):
                raise stuck[0]
        self.current = self._free.pop()
        return self.current

    async def keep(self) -> None:
        """Until cancelled, sync the journals that full files have bytes of; make a spare while there may be more."""
        while True:
            await self._make_spare()
            for file in tuple(self._full):
                if await self._emptied(file):
                    self._full.remove(file)
                    file.reuse()
                    self._free.append(file)
            self._looked.set()
            self._looked = trio.Event()
            with trio.move_on_after(RETRY if any(file.bad for file in self._full) else float("inf")):
                await self._filled.wait()
            self._filled = trio.Event()

    async def _emptied(self, file: LogFile) -> bool:
        """Sync what a file is kept for. A journal that cannot be synced ends, and the file waits until it is sealed."""
        failed = await trio.to_thread.run_sync(settle, self._root, file.kept_for, bool(file.bad))
        if not failed:
            try:
                await trio.to_thread.run_sync(file.blank)
            except OSError as error:
                failed = dict.fromkeys(file.holds, error)
        if failed and not file.bad:
            reason = str(next(iter(failed.values())))
            log.error("recording.journal-unsynced", file=str(file.path), journals=len(failed), reason=reason)
        file.bad = set(failed)
        for (journal, _), error in failed.items():
            file.failed = error
            fail([journal], error)
        return not failed

    async def _make_spare(self) -> None:
        count = len(self._full) + len(self._free) + (self.current is not None)
        if self._free or count >= LOG_FILES:
            return
        place = self._root / LOG_NAME / f"{count + 1}.log"
        try:
            self._free.append(await trio.to_thread.run_sync(LogFile.create, place))
        except OSError as error:
            # One file is enough, if slower: it is emptied before it is written over.
            log.warning("recording.log-small", files=count, reason=str(error))

    def put_down(self) -> None:
        """Sync the journals and take the log away; whatever fails, it stays and is put back at the next start."""
        files = [*self._full, *self._free, *([self.current] if self.current is not None else [])]
        self.current = None
        failed = 0
        for file in files:
            file.close()
            failed += len(settle(self._root, file.kept_for, bool(file.bad)))
        if failed:
            return
        place = self._root / LOG_NAME
        try:
            for path in place.iterdir():
                path.unlink()
            sync_directory(place)
        except OSError as error:
            log.warning("recording.log-kept", place=str(place), reason=str(error))


def fail(journals: Iterable[Journal], error: OSError) -> None:
    """Let these accept nothing more: what they accepted may not be on the disk."""
    for journal in journals:
        journal.fail(
            f"journal: {journal.directory.parent} cannot be synced ({error.strerror}); "
            "recording is mandatory, so nothing more is forwarded: check the disk under it"
        )


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data` at its place. Raises `OSError`."""
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)


def settle(
    root: Path, holds: frozenset[tuple[Journal, int]], again: bool
) -> dict[tuple[Journal, int], OSError]:
    """Sync journals' files and the directories that they are in; gives those that could not be, and why.

    A file that is not there is sealed, or was set aside. `again`: these failed before; only their absence settles
    them, since a sync that failed once succeeds the next time without having done anything.
    """
    failed: dict[tuple[Journal, int], OSError] = {}
    directories: dict[Path, list[tuple[Journal, int]]] = {}
    for each in holds:
        journal, number = each
        for place in (journal.directory, root / DAMAGED / journal.directory.name):
            try:
                _sync_file(place / file_name(number), again)
            except FileNotFoundError:
                continue
            except OSError as error:
                failed[each] = error
            for directory in (place, place.parent, root):
                directories.setdefault(directory, []).append(each)
    for directory, theirs in directories.items():
        try:
            sync_directory(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed |= dict.fromkeys(theirs, error)
    return failed


def _sync_file(path: Path, again: bool) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if again:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the entries of a directory durable. Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
