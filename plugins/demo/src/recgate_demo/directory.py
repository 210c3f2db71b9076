"""The demo's own directory: made or taken up again, never somebody else's, and never two demos' at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from recgate_demo.errors import DemoError

__all__ = ["demo_directory"]

LOCK: Final = "demo.lock"  # also what a directory of ours is known by


@contextmanager
def demo_directory(path: Path, *, fresh: bool) -> Generator[Path]:
    """Hold the directory for as long as the block lasts; with `fresh`, what an earlier demo left is removed first.

    Raises:
        DemoError: it has something in it that no demo wrote, or another demo is using it.
    """
    directory = path.absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(directory)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise DemoError(f"{exc.filename}: {exc.strerror}. Choose another place with --directory.") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise DemoError(
                f"another demo is using {directory}. Stop it, or choose another --directory."
            ) from exc
        if fresh:
            _empty(directory)
        yield directory
    finally:
        os.close(lock)


def _refuse_foreign(directory: Path) -> None:
    if not (directory / LOCK).exists() and any(directory.iterdir()):
        raise DemoError(
            f"{directory} has files in it that no demo wrote. Choose another place with --directory."
        )


def _empty(directory: Path) -> None:
    for each in directory.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != LOCK:
            each.unlink()
