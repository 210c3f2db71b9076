"""How far long work has come, on the terminal that waits for it and nowhere else."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, TextIO, cast

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.status import Status

__all__ = ["counted", "steps", "waiting"]

INTERVAL: Final = 0.2  # seconds between two looks of the person


class _Counted(io.TextIOBase):
    """Passes text on to a file and says how much it was."""

    def __init__(self, out: TextIO, status: Status) -> None:
        self._out = out
        self._status = status
        self._written = 0
        self._said = 0.0

    def write(self, text: str) -> int:
        """Write text to the file."""
        self._written += len(text)
        now = time.monotonic()
        if now - self._said > INTERVAL:
            self._said = now
            self._status.update(f"{self._written / 1e6:,.1f} MB written")
        return self._out.write(text)


@contextmanager
def counted(out: TextIO) -> Generator[TextIO]:
    """Give a file that says how much has been written to it, if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield out
        return
    with console.status("writing") as status:
        yield cast("TextIO", _Counted(out, status))


@contextmanager
def waiting(what: str) -> Generator[None]:
    """Say on a terminal that something is waited for, and for how long already."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def steps(what: str) -> Generator[Callable[[int, int], None]]:
    """Give a function that is told how much of how much is done, and shows it on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
