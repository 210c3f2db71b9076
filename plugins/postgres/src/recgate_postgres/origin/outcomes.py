"""What is to be done with the result of one statement: which of its columns are hidden, and how much errors may say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from recgate.mask.columns import ColumnMask
from recgate.mask.masking import MaskFailed
from recgate.mask.replacing import Becomes, Replacer
from recgate_postgres.origin.copies import CopyFormat
from recgate_postgres.origin.sights import Sight

__all__ = ["UNTRACED", "Hidden", "Outcome", "Plan", "hidden", "joined"]

UNTRACED: Final = "untraced"  # in mask frames, of what may be any column's
_STARS: Final = Replacer(Becomes.REDACT)
_NULL: Final = Replacer(Becomes.NULL)


@dataclass(frozen=True, slots=True)
class Hidden:
    """One column that must not be seen: by which rule, as mask frames name it, and what becomes of its values.

    `derived` says that its values were worked out from the masked column's. Then nothing of them may show, not their
    length and not which are equal: that would tell of the column whatever somebody asks it.
    """

    rule: str
    replacer: Replacer
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one statement, as it may be seen.

    Attributes:
        columns: for each column what hides it, or None; None for a statement that gives no rows.
        whole: what hides every column, of a statement that could not be traced.
        loose: whether it has any number of columns, each as the one of `columns` says.
        guarded: whether errors and notices may quote what must not be seen.
        changes: whether it may change what names mean.
        copy: how its rows are written, if it is a COPY.
        made: names of cursors and prepared statements that it makes, and what those then show.
    """

    columns: tuple[Hidden | None, ...] | None = None
    whole: Hidden | None = None
    loose: bool = False
    guarded: bool = False
    changes: bool = False
    copy: CopyFormat | None = None
    made: tuple[tuple[str, str, Outcome], ...] = ()

    @property
    def hides(self) -> bool:
        """Whether rows of it must be taken apart."""
        return self.whole is not None or self.columns is None or any(self.columns)

    @property
    def width(self) -> int:
        """How many columns it has; -1 where that is not foreseen."""
        return -1 if self.columns is None or self.loose else len(self.columns)

    def of(self, count: int) -> Sequence[Hidden | None]:
        """Give what hides each column of a row of `count`. Raises `MaskFailed` where that is not what was traced."""
        if self.whole is not None:
            return (self.whole,) * count
        if self.columns is None:
            raise MaskFailed("a result where none was foreseen")
        if self.loose:
            return self.columns * count
        if len(self.columns) != count:
            raise MaskFailed(f"a result of {count} columns where {len(self.columns)} were foreseen")
        return self.columns


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The outcomes of each statement of one text, in order, and what they were read with, for `Sights.holds`."""

    outcomes: tuple[Outcome, ...]
    sight: Sight | None = None


def hidden(masks: Sequence[ColumnMask], what: str, *, derived: bool, rule: str = "") -> Hidden:
    """Hide by the strictest of masks; `what` says in mask frames what was masked: `customers.email`."""
    mask = min(masks, key=lambda each: each.replacer.rank)
    replacer = mask.replacer
    if derived:
        # Whether a value is NULL would be a predicate's answer.
        asked = all(each.predicates for each in masks)
        replacer = _STARS if asked and replacer.becomes is not Becomes.NULL else _NULL
    return Hidden(f"{rule or mask.name}.{what}", replacer, derived)


def joined(one: Outcome, other: Outcome) -> Outcome | None:
    """Give what may be either of two: each column hidden as the stricter says. None where they have not the same."""
    if one == other:
        return one
    if one.whole is not None or other.whole is not None:
        each = one if one.whole is not None else other
        return replace(each, guarded=True, changes=one.changes or other.changes)
    if one.columns is None or other.columns is None or one.width != other.width:
        return None
    columns = tuple(_stricter(a, b) for a, b in zip(one.columns, other.columns, strict=True))
    return Outcome(columns, None, one.loose, one.guarded or other.guarded, one.changes or other.changes)


def _stricter(one: Hidden | None, other: Hidden | None) -> Hidden | None:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda each: (each.replacer.rank, not each.derived))
