"""The questions of the demo, answered from the recordings by the commands that everybody has: search, show, verify."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from recgate_demo.gate import Recgate

__all__ = [
    "DROPS",
    "Result",
    "Statement",
    "dropped_databases",
    "entry_number",
    "moment",
    "result_of",
    "table",
]

DROPS: Final = "verb:drop object:database"
MAX_CELL: Final = 40  # characters of a value that a table shows


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that somebody ran: who, where, when (wall-clock seconds), and where it stands in which recording."""

    session: str
    entry: str
    user: str
    target: str
    when: float
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one statement returned."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def dropped_databases(recgate: Recgate) -> list[Statement]:
    """Say who ran a DROP DATABASE, newest session first."""
    hits = recgate.rows("search", DROPS)
    sessions = {str(row["id"]): row for row in recgate.rows("sessions")}
    found: list[Statement] = []
    for hit in hits:
        session = sessions.get(str(hit["session"]))
        if session is None:
            continue
        # Who it was is what the catalog says of the session, and the hit has to agree with it.
        who = str(session["user"]) if session["user"] == hit["user"] else ""
        when = float(session["started"]) + int(hit["t"]) / 1e6
        found.append(
            Statement(str(hit["session"]), str(hit["entry"]), who, str(hit["target"]), when, str(hit["text"]))
        )
    return found


def result_of(entries: Sequence[dict[str, Any]], n: int, part: int = 0) -> Result | None:
    """Put together the rows that statement `n` (its `part`) returned, from entries of `show --rows --json`."""
    columns: tuple[str, ...] | None = None
    rows: list[tuple[str | None, ...]] = []
    for entry in entries:
        if entry["kind"] == "rows" and entry["n"] == n and entry.get("part", 0) == part:
            columns = tuple(map(str, entry["columns"]))
            rows += [tuple(row) for row in entry["rows"]]
    return None if columns is None else Result(columns, tuple(rows))


def entry_number(entry: dict[str, Any]) -> str:
    """Give the number of an entry as `recgate show --entry` takes it."""
    part = entry.get("part", 0)
    return f"{entry['n']}.{part}" if part else str(entry["n"])


def moment(seconds: float) -> str:
    """Give a time of day."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def table(result: Result, most: int) -> list[str]:
    """Draw at most `most` rows of a result, and say how many more there are."""
    if not result.columns:  # COPY: lines without names
        shown = ["  ".join(map(_cell, row)) for row in result.rows[:most]]
        return [*shown, f"… and {len(result.rows) - most} more"] if len(result.rows) > most else shown
    shown = [result.columns, *[[_cell(value) for value in row] for row in result.rows[:most]]]
    widths = [max(len(row[column]) for row in shown) for column in range(len(result.columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    more = len(result.rows) - most
    return [*lines, f"… and {more} more"] if more > 0 else lines


def _cell(value: str | None) -> str:
    if value is None:
        return "NULL"
    # A terminal acts on control characters; `recgate show` spells them out, here a dot is enough.
    flat = "".join(letter if letter.isprintable() else "·" for letter in value)
    return flat if len(flat) <= MAX_CELL else flat[: MAX_CELL - 1] + "…"
