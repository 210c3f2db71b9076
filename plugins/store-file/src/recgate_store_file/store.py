"""Keep recordings as files that appear whole or not at all, and that nothing writes to again.

An object is written beside its place, synced, and linked into it: a link never replaces what is there. Then the
directory is synced, so that what `put` returned for survives lost power.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from recgate.errors import RecordingFailed
from recgate.recording.directory import RecordingDirectory

__all__ = ["FileStore"]

OBJECT_NAME: Final = re.compile(r"(?:header\.cbor|[0-9]{6,12}\.seg)\Z")
FIRST_OBJECTS: Final = ("header.cbor", "000001.seg")  # what a recording begins with
DRAFT_NAME: Final = re.compile(r"\.(?:header\.cbor|[0-9]{6,12}\.seg)\.[0-9a-f]{8}\Z")
MIN_FREE: Final = 4 << 20  # bytes; below this the first segments of a session would not fit
_SEALED_FILE: Final = 0o440
_SEALED_DIRECTORY: Final = 0o550
_OPEN_DIRECTORY: Final = 0o750
# File systems without hard links say so with one of these.
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "has no space left; add space, or move older recordings away",
    errno.EDQUOT: "is over its disk quota; raise the quota",
    errno.EROFS: "is on a file system that is mounted read-only; mount it writable",
    errno.EIO: "cannot be written to: its disk reports errors; check the disk",
}


class FileStore(RecordingDirectory):
    """Recordings below one directory, as `YYYY/MM/DD/<session>/<object>`."""

    @property
    def name(self) -> str:
        """The word that errors use."""
        return "store-file"

    def put(self, session: str, name: str, data: bytes) -> None:
        """Store an object durably. The same content again is accepted, another is not.

        Raises:
            RecordingFailed: it is not stored; says what to do.
        """
        if not OBJECT_NAME.match(name):
            raise RecordingFailed(f"store-file: {name[:40]!r} is not the name of a recording's object")
        directory = self.dated(session)
        if name not in FIRST_OBJECTS and not directory.is_dir():
            # Made anew it would be on whatever file system is there instead, and the chain in two places.
            raise RecordingFailed(
                f"store-file: {directory} is gone, which has the recording up to {name}; is its file system mounted? "
                "Nothing was stored elsewhere, and the recording waits on local disk."
            )
        try:
            self._make(directory)
            self._write(directory, name, data)
        except OSError as error:
            raise self._complaint(error) from error

    def _make(self, directory: Path) -> None:
        """Create a session's directory and those above it, each synced into its parent."""
        if directory.is_dir():
            return
        self._make(directory.parent)
        try:
            directory.mkdir(mode=_OPEN_DIRECTORY)
        except FileExistsError:
            if directory.is_dir():  # somebody was faster
                return
            raise
        _sync_directory(directory.parent)

    def _write(self, directory: Path, name: str, data: bytes) -> None:
        place = directory / name
        if place.exists():
            self._compare(place, data)
            return
        temporary = directory / f".{name}.{secrets.token_hex(4)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(file.fileno(), rest) :]
                os.fchmod(file.fileno(), _SEALED_FILE)
                os.fsync(file.fileno())
            self._publish(temporary, place, data)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(directory)

    def _publish(self, temporary: Path, place: Path, data: bytes) -> None:
        try:
            os.link(temporary, place)
        except FileExistsError:
            self._compare(place, data)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Nobody else writes here: the gateway holds a lock on its journal, and `place` was looked at above.
            os.rename(temporary, place)

    def _compare(self, place: Path, data: bytes) -> None:
        if place.read_bytes() != data:
            raise RecordingFailed(
                f"store-file: {place} exists with another content; nothing was replaced. "
                "Run `recgate verify` on that session"
            )
        # What is there may be from a try that failed before this.
        _sync_directory(place.parent)

    def seal(self, session: str) -> None:
        """Take away the right to write: the recording has ended. Raises `RecordingFailed`.

        Drafts of objects go, which a kill left beside their places.
        """
        directory = self.dated(session)
        try:
            for name in os.listdir(directory):
                if DRAFT_NAME.match(name):
                    (directory / name).unlink(missing_ok=True)
            os.chmod(directory, _SEALED_DIRECTORY)
        except OSError as error:
            raise self._complaint(error) from error

    def delete(self, session: str) -> None:
        """Remove a recording for good, and directories that it leaves empty. Idempotent. Raises `RecordingFailed`."""
        directory = self.dated(session)
        try:
            if directory.is_dir():
                os.chmod(directory, _OPEN_DIRECTORY)
                for entry in sorted(
                    os.listdir(directory), reverse=True
                ):  # the header last: a rest is seen as one
                    (directory / entry).unlink()
                _sync_directory(directory)
                directory.rmdir()
            self._tidy(directory.parent)
        except OSError as error:
            raise self._complaint(error, "so it was not removed") from error

    def _tidy(self, directory: Path) -> None:
        """Sync what something was removed from, and remove the day, month and year that are empty."""
        while directory != self.root and directory.is_dir():
            _sync_directory(directory)
            try:
                directory.rmdir()
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return
                raise
            directory = directory.parent
        if directory.is_dir():
            _sync_directory(directory)

    def check(self) -> None:
        """Raise `RecordingFailed` unless an object could be stored now."""
        root = self.root
        try:
            if not root.is_dir():
                self._make(root)
            space = os.statvfs(root)
        except OSError as error:
            raise self._complaint(error, "so no session was opened") from error
        if not os.access(root, os.W_OK | os.X_OK, effective_ids=True):
            code = errno.EROFS if space.f_flag & os.ST_RDONLY else errno.EACCES
            raise self._complaint(OSError(code, os.strerror(code)), "so no session was opened")
        if space.f_bavail * space.f_frsize < MIN_FREE:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise self._complaint(full, "so no session was opened")

    def _complaint(self, error: OSError, so: str = "so the recording waits on local disk") -> RecordingFailed:
        default = f"is not writable by uid {os.geteuid()}"
        if error.errno not in (errno.EACCES, errno.EPERM):
            default += f" ({error.strerror})"
        what = _REMEDIES.get(error.errno or 0, default)
        return RecordingFailed(f"store-file: {self.root} {what}; recording is mandatory, {so}.")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
