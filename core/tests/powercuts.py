"""What would be left on the disk if the power failed now: what was synced, where its directory was synced too.

A file that was never synced is gone, and of one that was, what it was when the last sync began that has come back.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path


class PowerCut:
    """Watches the syncs of this process below `root`. `leave` makes another directory as a cut would leave it."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root = root
        self.files: dict[Path, tuple[int, bytes]] = {}  # and which sync it was
        self.entries: dict[Path, set[str]] = {root: set(os.listdir(root))}
        self._count = 0
        self._lock = threading.Lock()
        self._fdatasync, self._fsync = os.fdatasync, os.fsync
        monkeypatch.setattr("os.fdatasync", lambda fd: self._sync(fd, self._fdatasync))
        monkeypatch.setattr("os.fsync", lambda fd: self._sync(fd, self._fsync))

    def _sync(self, fd: int, real) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        with self._lock:
            self._count += 1
            count = self._count
            found = set(os.listdir(path)) if is_directory else path.read_bytes()
        real(fd)
        with self._lock:
            if isinstance(found, set):
                self.entries[path] = found
            elif self.files.get(path, (0, b""))[0] < count:
                self.files[path] = (count, found)

    def leave(self, place: Path) -> Path:
        """Make `place` what is left of `root`."""
        with self._lock:
            self._leave(self.root, place)
        return place

    def _leave(self, directory: Path, place: Path) -> None:
        place.mkdir(mode=0o700)
        for name in self.entries.get(directory, ()):
            if (directory / name).is_dir():
                self._leave(directory / name, place / name)
            elif directory / name in self.files:
                (place / name).write_bytes(self.files[directory / name][1])


def tree(place: Path) -> dict[str, bytes]:
    """Every file below `place` and what is in it."""
    return {
        str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()
    }
