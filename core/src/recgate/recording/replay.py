"""Put back what lost power took from the journals, from the commit log that has it, before anybody recovers them.

Each entry is bytes and their place in a journal's file, so putting it back twice, or where the file has it already,
changes nothing: a start that is itself cut short is simply made again.

What was sealed and removed stays away. A journal is made anew only if the log has its head, and neither a mark that it
is gone nor a directory is there. A part is made anew only if the log has all of it: where the log has less, the part
itself was on the disk once, with its name, and so it is not there because it is sealed. Half of it would look like
damage, and recovery would not go on behind that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recgate.errors import RecordingFailed
from recgate.ids import session_text
from recgate.recording.commitlog import (
    GONE,
    HEAD,
    LOG_NAME,
    Block,
    Entry,
    file_name,
    read_blocks,
)
from recgate.recording.journalfiles import DAMAGED, HEAD_BYTES
from recgate.recording.limits import LOG_BYTES
from recgate.recording.logfiles import sync_directory, write_all

__all__ = ["Replayed", "replay"]

_READ: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many bytes the journals lacked, in how many entries of how many journals."""

    sessions: int = 0
    entries: int = 0
    data: int = 0


def replay(root: Path) -> Replayed:
    """Make the journals under `root` hold all that the log has of them, durably; then there is no log any more.

    Raises:
        RecordingFailed: something cannot be read or written; the log is still there.
    """
    place = root / LOG_NAME
    try:
        if not place.is_dir():
            return Replayed()
        entries = [entry for block in _blocks(place) for entry in block.entries]
        result = _Putting(root).put(entries)
        for path in place.iterdir():
            path.unlink()
        sync_directory(place)
    except OSError as error:
        raise RecordingFailed(
            f"journal: what was recorded before the gateway stopped cannot be put back from {place} "
            f"({error.strerror}: {error.filename}); no session is opened: see that there is space and that "
            "this user can write there, and start again"
        ) from error
    return result


def _blocks(place: Path) -> Iterator[Block]:
    """Give the blocks of all files, in the order in which they were written."""
    files: list[list[Block]] = []
    for path in sorted(place.iterdir()):
        with open(path, "rb") as file:
            files.append(list(read_blocks(file.read(LOG_BYTES))))
    for blocks in sorted(filter(None, files), key=lambda blocks: blocks[0].number):
        yield from blocks


class _Putting:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries = self._data = 0
        self._sessions: set[bytes] = set()

    def put(self, entries: list[Entry]) -> Replayed:
        gone = {entry.session for entry in entries if entry.file == GONE}
        headed = {entry.session for entry in entries if entry.file == HEAD}
        files: dict[tuple[bytes, int], list[Entry]] = {}
        for entry in entries:
            if entry.session not in gone:
                files.setdefault((entry.session, entry.file), []).append(entry)
        touched: set[Path] = set()
        for (session, number), theirs in files.items():
            directory = self._directory(session, headed)
            if directory is None:
                continue
            path = directory / file_name(number)
            if os.path.lexists(path) or _is_whole(theirs):
                touched.add(path)
                self._put(path, number, theirs)
        # All of them, changed or not: what the last gateway had not synced may be in memory only.
        _sync(touched)
        sync_directory(self._root)
        return Replayed(len(self._sessions), self._entries, self._data)

    def _directory(self, session: bytes, headed: set[bytes]) -> Path | None:
        """Give where a session's journal is, made anew if lost power took it; None when it is sealed."""
        name = session_text(session)
        for directory in (self._root / name, self._root / DAMAGED / name):
            if (directory / "head").exists():
                return directory
        if session not in headed:
            return None
        directory = self._root / name
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    def _put(self, path: Path, number: int, entries: list[Entry]) -> None:
        descriptor = os.open(path, _READ, 0o600)
        try:
            if number == HEAD and os.fstat(descriptor).st_size < HEAD_BYTES:
                os.ftruncate(descriptor, HEAD_BYTES)
            for entry in entries:
                if os.pread(descriptor, len(entry.data), entry.offset) != entry.data:
                    write_all(descriptor, entry.data, entry.offset)
                    self._sessions.add(entry.session)
                    self._entries += 1
                    self._data += len(entry.data)
        finally:
            os.close(descriptor)


def _is_whole(entries: list[Entry]) -> bool:
    """Tell whether entries of one file, in the order of writing, have it from its start and without a hole."""
    end = 0
    for entry in entries:
        if entry.offset > end:
            return False
        end = max(end, entry.offset + len(entry.data))
    return True


def _sync(paths: set[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    for directory in {path.parent for path in paths}:
        sync_directory(directory)
