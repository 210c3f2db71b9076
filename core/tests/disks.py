"""File systems that a test may fill up: each is a tmpfs of its own, so filling it hurts nobody."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a file system of `size` (as `mount` understands it) on `place`. Needs root, as CI has it."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def read_only(place: Path) -> None:
    """Turn a small disk read-only, as the kernel does after an error."""
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


def use_up(disk: Path) -> Path:
    """Take the last byte of a file system; gives the file that has it."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        while os.statvfs(disk).f_bavail:
            file.write(bytes(4096))
    return filler
