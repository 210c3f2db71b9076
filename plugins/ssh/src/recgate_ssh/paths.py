"""Paths as policies see them: absolute, without detours, and said to be uncertain where only the target knows.

A path is settled by its text alone. What the target would make of it (a link, a home directory, a mount) cannot be seen
from here; so `..`, which leads elsewhere behind a link, and a path from where nobody knows, make an act opaque. Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final

from recgate.policy import Act
from recgate.sansio.frames import Request

__all__ = ["READS", "file_act", "file_request", "settled"]

READS: Final = frozenset({"download", "list"})


def settled(raw: bytes | str, start: str = "") -> tuple[str, bool]:
    """Give a path and whether it is certain. `start` is where relative paths begin, empty if that is not known."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    certain = "\0" not in text and ".." not in text.split("/")
    if not text.startswith("/"):
        certain = certain and start.startswith("/")
        text = f"{start}/{text}" if start else text
    path = posixpath.normpath(text) if text else ""
    return (path[1:] if path.startswith("//") else path), certain


def file_act(direction: str, path: str, *, certain: bool) -> Act:
    """Say what is done to one file."""
    verb = "READ" if direction in READS else "WRITE"
    objects = (f"file {path}",) if path else ("file",)
    return Act(verb, objects, opaque=not certain, kind="file", path=path, direction=direction)


def file_request(channel: int, acts: Iterable[Act], *, by: str) -> Request:
    """Ask for what is done to files. `by` names the way: `sftp` or `scp`."""
    done = tuple(acts)
    first = done[0]
    details: dict[str, object] = {"path": first.path, "direction": first.direction, "by": by, "acts": done}
    paths = dict.fromkeys(act.path for act in done)
    return Request("file", " ".join((first.direction, *paths)), channel, details)
