"""What processes have used, from /proc: processor time to the nanosecond, and memory that is really theirs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Meter", "children", "cpu", "descendants", "pss", "share_directory", "unprivileged"]


def cpu(pids: Iterable[int]) -> float:
    """Give the processor seconds of all threads of these processes; one that has ended counts no more."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except (OSError, IndexError):  # the thread ended between listing and reading
                continue
    return total / 1e9


def pss(pid: int) -> int:
    """Give the proportional set size of a process in bytes: shared pages count by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> list[int]:
    """Give the processes that `pid` started and that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:  # the thread ended between listing and reading
            continue
    return found


def descendants(pid: int) -> list[int]:
    """Give everything below `pid`."""
    below = children(pid)
    return below + [each for child in below for each in descendants(child)]


class Meter:
    """Processor seconds of a process and, apart, of everything it started, between two moments."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._own = cpu([pid])
        self._workers = cpu(descendants(pid))

    def read(self) -> tuple[float, float]:
        """Give (its own, its children's) processor seconds since the meter was made."""
        return cpu([self.pid]) - self._own, cpu(descendants(self.pid)) - self._workers


def unprivileged() -> dict[str, str]:
    """Give the `user` for what refuses to run as root (PostgreSQL, pgbouncer); nothing when not root."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


def share_directory(directory: Path) -> None:
    """Let the unprivileged account pass through a directory of ours."""
    directory.chmod(0o755)
