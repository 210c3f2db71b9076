"""Recordings in a directory, read only: what a store on disk, a copy of it or a single recording looks like.

A verifier needs nothing else: `YYYY/MM/DD/<session>/` as the `file` store keeps it, `<session>/` as somebody copied
it, or that directory itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from recgate.errors import RecordingDamaged, RecordingFailed
from recgate.ids import session_bytes
from recgate.recording.limits import MAX_SEGMENT

__all__ = ["HEADER_NAME", "RecordingDirectory", "day_of", "is_session", "object_order"]

HEADER_NAME: Final = "header.cbor"
_DEPTH: Final = 3  # year, month, day


def is_session(name: str) -> bool:
    """Tell whether a name is a session id: nothing else is ever used as part of a path."""
    try:
        session_bytes(name)
    except ValueError:
        return False
    return True


def day_of(session: str) -> str:
    """Give `YYYY/MM/DD` (UTC) of a session id, which begins with its milliseconds (RFC 9562 §5.7)."""
    milliseconds = int.from_bytes(session_bytes(session)[:6], "big")
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y/%m/%d")
    except (ValueError, OverflowError, OSError):
        return "0000/00/00"  # no clock has been there; still a place, and the same one every time


def object_order(name: str) -> tuple[int, int, str]:
    """Sort key of a session's objects: the header, the segments by number, then what does not belong."""
    number, dot, suffix = name.partition(".")
    if name == HEADER_NAME:
        return 0, 0, name
    if dot and suffix == "seg" and number.isascii() and number.isdigit():
        return 1, int(number), name
    return 2, 0, name


class RecordingDirectory:
    """The reading half of a store over a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """The word that errors use."""
        return str(self.root)

    def dated(self, session: str) -> Path:
        """Give the directory by the day of the session. Raises `RecordingFailed` for what is no session id."""
        if not is_session(session):
            raise RecordingFailed(f"{session[:40]!r} is not a session id, so it names no recording")
        return self.root / day_of(session) / session

    def place(self, session: str) -> Path:
        """Give the directory of a session, whether it is there or not. Raises `RecordingFailed` for no session."""
        dated = self.dated(session)
        if not os.path.isdir(dated):
            for other in (self.root / session, self.root):
                if other.name == session and os.path.isdir(other):
                    return other
        return dated

    def get(self, session: str, name: str) -> bytes:
        """Give an object. Raises `KeyError` when there is none, `RecordingDamaged` when it is too large."""
        if "/" in name or name.startswith(".") or "\0" in name:
            raise KeyError(name)
        try:
            with open(self.place(session) / name, "rb", opener=_open_plain) as file:
                data = file.read(MAX_SEGMENT + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, RecordingFailed):
            raise KeyError(f"{session}/{name}") from None
        except OSError as error:
            raise RecordingDamaged(f"{name} cannot be read: {error.strerror}") from error
        if len(data) > MAX_SEGMENT:
            raise RecordingDamaged(f"{name} is longer than any segment ({MAX_SEGMENT} bytes)")
        return data

    def objects(self, session: str) -> Sequence[str]:
        """List a session's objects in order; names that do not belong come last."""
        try:
            names = os.listdir(self.place(session))
        except (OSError, RecordingFailed):
            return []
        return sorted((name for name in names if not name.startswith(".")), key=object_order)

    def sessions(self) -> Iterator[str]:
        """Give every session id that has a directory, oldest first."""
        if is_session(self.root.name) and os.path.exists(self.root / HEADER_NAME):
            yield self.root.name
            return
        yield from _sessions_below(self.root, _DEPTH)


def _sessions_below(directory: Path, depth: int) -> Iterator[str]:
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in names:
        if is_session(name):
            yield name
        elif depth and name.isascii() and name.isdigit():
            yield from _sessions_below(directory / name, depth - 1)


def _open_plain(path: str, flags: int) -> int:
    # A link in a store would make a verifier read, and report on, a file that is not in it.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
