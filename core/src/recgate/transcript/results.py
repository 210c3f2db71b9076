"""The rows that a statement returned: which entries hold them, and how they are written as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from recgate.transcript.entries import Entry

__all__ = ["Result", "csv_lines", "result_of"]

_MUST_QUOTE: Final = frozenset('",\r\n')


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of an entry, or a part of them. Values are text as the client's own tool shows them; None is NULL."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def result_of(entry: Entry) -> Result | None:
    """Give the result rows that an entry carries, or None. Entries have them only if read with `rows`.

    An entry carries rows as a list of lists under `rows`, with the names under `columns`.
    """
    rows: object = entry.body.get("rows")
    if not isinstance(rows, (list, tuple)):
        return None
    listed = [_row(row) for row in cast("Sequence[object]", rows)]
    columns: object = entry.body.get("columns", ())
    names = (
        [str(name) for name in cast("Sequence[object]", columns)]
        if isinstance(columns, (list, tuple))
        else []
    )
    return Result(names, listed)


def _row(row: object) -> Sequence[object]:
    return cast("Sequence[object]", row) if isinstance(row, (list, tuple)) else [row]


def csv_lines(results: Iterable[Result]) -> Iterator[str]:
    """Write parts of one result as CSV (RFC 4180, lines ending in a newline), the names first.

    As PostgreSQL's COPY does, NULL is nothing between the commas and an empty text is `""`.
    """
    named = False
    for result in results:
        if not named and result.columns:
            yield ",".join(map(_field, result.columns)) + "\n"
        named = True
        for row in result.rows:
            # A single NULL would be an empty line, which readers skip.
            yield (",".join(map(_field, row)) or '""') + "\n"


def _field(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if text and not _MUST_QUOTE.intersection(text) and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'
