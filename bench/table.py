"""One line a figure, aligned, with what it was held against; the same as JSON for who keeps history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.budget import BUDGET, reached

__all__ = ["Row", "as_json", "as_table"]

HEAD = ("work", "against", "result", "target", "floor", "reached", "medians")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    `value` is what is held against `BUDGET[limit]` (or nothing, when `limit` is empty); `unit` is empty for a
    ratio. `detail` has the medians behind it, for reading only.
    """

    work: str
    against: str
    value: float
    limit: str = ""
    unit: str = ""
    detail: str = ""

    @property
    def verdict(self) -> str:
        """`target`, `floor`, `NO`, or `-`."""
        return reached(self.value, BUDGET[self.limit] if self.limit else None)


def number(value: float) -> str:
    """Three significant digits for what is small, whole numbers for what is large."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cells(row: Row) -> tuple[str, ...]:
    """Give a row's texts in the order of `HEAD`."""
    limit = BUDGET[row.limit] if row.limit else None
    sign = "" if limit is None else "≤ " if limit.at_most else "≥ "
    return (
        row.work,
        row.against,
        f"{number(row.value)} {row.unit}".strip(),
        f"{sign}{number(limit.target)}" if limit else "-",
        f"{sign}{number(limit.floor)}" if limit else "-",
        row.verdict,
        row.detail,
    )


def as_table(rows: Sequence[Row]) -> str:
    """Give the rows as one aligned table with a head, and a line that counts what was reached."""
    lines = [HEAD, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    text = [_aligned(line, widths) for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths[:-1]) + "  -------")
    return "\n".join([*text, "", summary(rows)])


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    left = {0, 1, len(widths) - 1}
    return "  ".join(
        cell.ljust(width) if i in left else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    ).rstrip()


def summary(rows: Iterable[Row]) -> str:
    """Count the verdicts, and name what is below its floor."""
    verdicts = [(row.verdict, row.work) for row in rows if row.verdict != "-"]
    below = [work for verdict, work in verdicts if verdict == "NO"]
    counted = f"{sum(v == 'target' for v, _ in verdicts)} at target, {sum(v == 'floor' for v, _ in verdicts)} at floor"
    return f"{counted}, {len(below)} below" + (f": {'; '.join(below)}" if below else "")


def as_json(rows: Iterable[Row]) -> str:
    """Give the rows as JSON, one object a line."""
    return "\n".join(
        json.dumps(
            {
                "work": row.work,
                "against": row.against,
                "value": round(row.value, 4),
                "unit": row.unit or "ratio",
                "target": BUDGET[row.limit].target if row.limit else None,
                "floor": BUDGET[row.limit].floor if row.limit else None,
                "reached": row.verdict,
                "detail": row.detail,
            },
            ensure_ascii=False,
        )
        for row in rows
    )
