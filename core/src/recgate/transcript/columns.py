"""Text in columns, for people: cells are measured as a terminal draws them, and nothing in them acts on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size

from recgate.transcript.neutral import neutralise

__all__ = ["aligned", "clipped"]

ELLIPSIS: Final = "…"
MAX_CELL: Final = 200  # cells of one column; whoever wants a whole long value exports it


def clipped(text: str, width: int) -> str:
    """Cut text to so many cells, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + ELLIPSIS


def aligned(
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    separator: str = "  ",
    width: int = MAX_CELL,
) -> Iterator[str]:
    """Give one line a row with every column as wide as its widest cell, at most `width`.

    Cells are neutralised here. `right` are the columns that are set to the right, as numbers are. Rows may be of
    different lengths.
    """
    shown = [[clipped(neutralise(cell), width) for cell in row] for row in rows]
    widths: dict[int, int] = {}
    for row in shown:
        for place, cell in enumerate(row):
            widths[place] = max(widths.get(place, 0), cell_len(cell))
    for row in shown:
        cells = [_padded(cell, widths[place], place in right) for place, cell in enumerate(row)]
        yield separator.join(cells).rstrip()


def _padded(cell: str, width: int, to_right: bool) -> str:
    padding = " " * (width - cell_len(cell))
    return padding + cell if to_right else cell + padding
