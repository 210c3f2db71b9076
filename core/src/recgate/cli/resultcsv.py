"""The rows of one result as CSV, for `show --format csv` and `export --format csv`; streamed, whatever their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TextIO

import click

from recgate.cli.entrynumber import EntryNumber
from recgate.cli.recordings import Recordings, nothing, warn
from recgate.transcript.entries import Entry
from recgate.transcript.neutral import neutralise
from recgate.transcript.results import Result, csv_lines, result_of

__all__ = ["write_result"]


def write_result(recordings: Recordings, session: str, number: EntryNumber | None, out: TextIO) -> None:
    """Write the rows that the statement `number` returned. Ends with status 1 if it returned none."""
    if number is None:
        raise click.UsageError(
            f"csv is the rows of one result: name its statement with --entry; `recgate show {session}` lists them"
        )
    chosen = _Chosen(number)
    lines = csv_lines(chosen.results(recordings.entries(session, rows=True)))
    first = next(lines, None)
    if first is None:
        nothing(f"entry {number} of session {session} returned no rows; see `recgate show {session}`")
    # On a terminal it is shown, so it must not act on it; into a file or pipe go the values as they are.
    shown = out.isatty()
    for line in chain((first,), lines):
        out.write(neutralise(line, lines=True) if shown else line)
    if chosen.others:
        more = ", ".join(f"{number.n}.{part}" for part in sorted(chosen.others))
        warn(f"these are the rows of {number.n}.{chosen.part}; further results begin there: {more}")


class _Chosen:
    """One result out of those that begin at a frame: the one that is named, else the first."""

    def __init__(self, number: EntryNumber) -> None:
        self.number = number
        self.part = number.part
        self.others: set[int] = set()

    def results(self, entries: Iterable[Entry]) -> Iterator[Result]:
        """Give the parts of the result."""
        for entry in entries:
            result = result_of(entry) if self.number.names(entry) else None
            if result is None:
                continue
            if self.part is None:
                self.part = entry.part
            if entry.part == self.part:
                yield result
            else:
                self.others.add(entry.part)
