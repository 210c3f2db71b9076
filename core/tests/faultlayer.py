"""What a process does to the files below a directory, call by call: numbered, and each may be cut short.

Only calls of `os` are seen. What goes through a C library of its own (SQLite, buffered files) is seen as far as it
opens, renames and removes. The layer belongs into a process of its own: it is never taken out again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = ("write", "writev", "pwrite")
BY_DESCRIPTOR = (*WRITES, "ftruncate", "posix_fallocate", "fsync", "fdatasync", "fchmod")
BY_PATH = ("truncate", "rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "chmod")

# Gets the call's name, the path it is about, the real function and its arguments; gives what it returns.
Act = Callable[[str, str, Callable[..., Any], tuple, dict], Any]

real_write, real_readlink, real_kill = os.write, os.readlink, os.kill


def install(root: Path, act: Act) -> None:
    """Have every call about something below `root` go through `act`, in this process and for good."""
    below = f"{root}/"

    def by_descriptor(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(descriptor, *rest, **more):
            path = _opened(descriptor)
            if not f"{path}/".startswith(below):
                return real(descriptor, *rest, **more)
            return act(name, path, real, (descriptor, *rest), more)

        return call

    def by_path(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(place, *rest, **more):
            path = _absolute(place, more.get("dir_fd"))
            if not path.startswith(below):
                return real(place, *rest, **more)
            return act(name, path, real, (place, *rest), more)

        return call

    real_open = os.open

    def opening(place, flags, *rest, **more):
        path = _absolute(place, more.get("dir_fd"))
        if not flags & os.O_CREAT or not path.startswith(below):
            return real_open(place, flags, *rest, **more)
        return act("open", path, real_open, (place, flags, *rest), more)

    for name in BY_DESCRIPTOR:
        setattr(os, name, by_descriptor(name))
    for name in BY_PATH:
        setattr(os, name, by_path(name))
    os.open = opening
    # What these modules remember of `os` would pass the layer by.
    os.supports_dir_fd |= {os.open, os.unlink, os.rmdir, os.mkdir, os.rename, os.link, os.chmod}


def _opened(descriptor: int) -> str:
    try:
        return real_readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def _absolute(place, directory: int | None) -> str:
    if isinstance(place, int):
        return _opened(place)
    path = os.fsdecode(place)
    if directory is not None:
        return os.path.join(_opened(directory), path)
    return os.path.abspath(path)


class Counting:
    """Counts calls, and does something else at one of them."""

    def __init__(self, at: int, instead: Act) -> None:
        self.count = 0
        self._at = at
        self._instead = instead

    def __call__(self, name: str, path: str, real: Callable[..., Any], args: tuple, more: dict) -> Any:
        self.count += 1
        if self.count == self._at:
            return self._instead(name, path, real, args, more)
        return real(*args, **more)


def die(name: str, path: str, real: Callable[..., Any], args: tuple, more: dict) -> Any:
    """Be killed just before the call."""
    real_kill(os.getpid(), signal.SIGKILL)


def die_torn(name: str, path: str, real: Callable[..., Any], args: tuple, more: dict) -> Any:
    """Be killed when half of what is written is there; another call is made, and nothing after it."""
    half(name, real, args) if name in WRITES else real(*args, **more)
    real_kill(os.getpid(), signal.SIGKILL)


def half(name: str, real: Callable[..., Any], args: tuple) -> int:
    """Write half of it, as a disk does that has no room for the rest."""
    descriptor, data, *place = args
    if name == "writev":
        return real_write(descriptor, b"".join(data)[: sum(map(len, data)) // 2])
    return real(descriptor, data[: len(data) // 2], *place)


def failing(code: int, *, torn: bool = False) -> Act:
    """Give what fails with an error of the system, and writes half before if it is `torn`."""

    def fail(name: str, path: str, real: Callable[..., Any], args: tuple, more: dict) -> Any:
        if torn and name in WRITES:
            half(name, real, args)
        raise OSError(code, os.strerror(code), path)

    return fail
