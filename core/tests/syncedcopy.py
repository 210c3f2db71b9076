"""What a process has synced of the files below a directory, kept apart: that is what a power cut leaves.

A file is kept by its number (inode), with the bytes that were written to it before a sync that came back; a directory
by its number, with the names that it had when it was last synced. So what was written, made, renamed, linked or removed
and not synced is not there. Several processes may keep theirs in the same place.

Files that are not written through `os` (SQLite's, which sync for themselves) are left as they are by `cut`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import stat
import threading
from pathlib import Path

real_open, real_pread, real_fstat, real_listdir = os.open, os.pread, os.fstat, os.listdir
real_write, real_pwrite, real_close, real_replace = os.write, os.pwrite, os.close, os.replace
real_ftruncate, real_link, real_rename, real_unlink = os.ftruncate, os.link, os.rename, os.unlink


class SyncedCopy:
    """The act of a fault layer that does every call and keeps what is synced."""

    def __init__(self, root: Path, place: Path) -> None:
        self._root = str(root)
        self._place = str(place)
        self._written: dict[int, list[tuple[int, int, int]]] = {}  # by number: from, to, which; not kept yet
        self._count = 0  # of writes, which tells one from another of the same bytes
        self._begun = 0  # syncs
        self._kept: dict[int, int] = {}  # by number: which of them was kept last
        self._lock = threading.Lock()

    def __call__(self, name, path, real, args, more):
        if name in ("fsync", "fdatasync"):
            return self._sync(real, args[0])
        if name in ("write", "writev", "pwrite"):
            return self._write(name, real, args)
        if name == "open" and args[1] & os.O_CREAT and not os.path.lexists(path):
            return self._create(real, args, more)
        # While a name of it may come back, its number must not become another's.
        if name == "rmdir":
            number = os.stat(path).st_ino
            return real_rename(path, f"{self._place}/{number}.removed")
        if name in ("unlink", "remove"):
            self._pin(path)
        elif name in ("rename", "replace"):
            self._pin(os.path.abspath(args[1]))
        return real(*args, **more)

    def _create(self, real, args, more) -> int:
        descriptor = real(*args, **more)
        # Its number may have been that of a file of SQLite's, which nobody pinned.
        with contextlib.suppress(FileNotFoundError):
            real_unlink(self._file(real_fstat(descriptor).st_ino))
        return descriptor

    def _pin(self, path: str) -> None:
        with contextlib.suppress(OSError):
            real_link(path, f"{self._place}/{os.lstat(path).st_ino}.removed")

    def _write(self, name: str, real, args) -> int:
        descriptor = args[0]
        before = args[2] if name == "pwrite" else None
        written = real(*args)
        status = real_fstat(descriptor)
        end = before + written if before is not None else os.lseek(descriptor, 0, os.SEEK_CUR)
        with self._lock:
            self._count += 1
            self._written.setdefault(status.st_ino, []).append((end - written, end, self._count))
        return written

    def _sync(self, real, descriptor: int) -> None:
        status = real_fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            names = _names(descriptor)
            real(descriptor)
            self._keep_names(status.st_ino, names)
            return
        with self._lock:
            self._begun += 1
            begun, ranges = self._begun, list(self._written.get(status.st_ino, ()))
        # Read before the sync begins: what is written meanwhile is not promised.
        kept = self._read(descriptor, status, ranges)
        real(descriptor)
        with self._lock:
            # One that began later and is back already had all of this to write.
            if self._kept.get(status.st_ino, 0) < begun:
                self._kept[status.st_ino] = begun
                self._keep(status.st_ino, status.st_size, kept)
                later = [each for each in self._written.get(status.st_ino, ()) if each not in ranges]
                self._written[status.st_ino] = later

    def _file(self, number: int) -> str:
        return f"{self._place}/{number}"

    def _read(self, descriptor: int, status: os.stat_result, ranges) -> list[tuple[int, bytes]]:
        if not ranges or not os.path.exists(self._file(status.st_ino)):
            ranges = [(0, status.st_size, 0)]  # not written by us, or never kept: all of it
        reading = real_open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
        try:
            return [(start, real_pread(reading, end - start, start)) for start, end, _ in ranges]
        finally:
            real_close(reading)

    def _keep(self, number: int, size: int, kept: list[tuple[int, bytes]]) -> None:
        copy = real_open(self._file(number), os.O_RDWR | os.O_CREAT, 0o600)
        for start, data in kept:
            real_pwrite(copy, data, start)
        if os.fstat(copy).st_size < size:
            real_ftruncate(copy, size)
        real_close(copy)

    def _keep_names(self, number: int, names: dict[str, int]) -> None:
        temporary = f"{self._file(number)}.{os.getpid()}.{threading.get_ident()}"
        copy = real_open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        real_write(copy, json.dumps(names).encode())
        real_close(copy)
        real_replace(temporary, f"{self._file(number)}.names")


def _names(descriptor: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in real_listdir(descriptor):
        with contextlib.suppress(FileNotFoundError):  # removed at this moment
            found[name] = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_ino
    return found


def keep_all(root: Path, place: Path) -> None:
    """Take everything that is there for synced: it was written long ago."""
    for path in (root, *root.rglob("*")):
        number = path.lstat().st_ino
        if path.is_dir():
            names = {each.name: each.lstat().st_ino for each in path.iterdir()}
            (place / f"{number}.names").write_text(json.dumps(names))
        elif path.is_file() and not path.is_symlink():
            shutil.copy(path, place / str(number))


def cut(root: Path, place: Path, chance: random.Random | None = None) -> None:
    """Make `root` what a power cut leaves of it; with `chance`, some of what was not synced is there nevertheless.

    Nobody may be using it any more.
    """
    before = root.with_name(f"{root.name}.before")
    root.rename(before)
    by_number = {path.lstat().st_ino: path for path in before.rglob("*")}
    _Leaving(place, by_number, chance).directory(before.lstat().st_ino, before, root)
    shutil.rmtree(before)


class _Leaving:
    def __init__(self, place: Path, by_number: dict[int, Path], chance: random.Random | None) -> None:
        self._place = place
        self._by_number = by_number
        self._chance = chance

    def _by_chance(self) -> bool:
        return self._chance is not None and self._chance.random() < 0.5

    def directory(self, number: int, now: Path | None, left: Path) -> None:
        """Make a directory with the names that it had when it was synced."""
        left.mkdir(mode=0o700)
        synced = self._place / f"{number}.names"
        names: dict[str, int] = json.loads(synced.read_text()) if synced.exists() else {}
        found = {each.name: each.lstat().st_ino for each in now.iterdir()} if now is not None else {}
        for name in sorted({*names, *found}):
            ours = name.partition("-")[0].endswith(".sqlite")
            each = found.get(name) if ours or self._by_chance() else names.get(name)
            if each is not None:
                self._entry(each, left / name, whole=ours)

    def _entry(self, number: int, left: Path, *, whole: bool) -> None:
        now, synced = self._by_number.get(number), self._place / str(number)
        if now is not None and now.is_dir():
            self.directory(number, now, left)
        elif now is not None and now.is_file() and (whole or self._by_chance()):
            shutil.copy(now, left)
        elif synced.exists():
            shutil.copy(synced, left)
        elif (self._place / f"{number}.names").exists():
            self.directory(number, None, left)  # removed since, and that was not synced
        elif now is None or now.is_file():
            left.touch(0o600)  # its name was synced, and nothing in it
