"""The masks that apply to one session, as one object: asked where values are, it answers with what they become.

Pure, so that a relay may hold it: the clock is passed in. A masker's doubt is never "nothing found": what raises, or
takes longer than it may, is `MaskFailed`, and whoever asked lets nothing of that value out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from recgate.errors import RecgateError
from recgate.mask.columns import ColumnMask
from recgate.mask.replacing import Becomes, Replacer
from recgate.providers import Hinting, Masker

__all__ = ["Hit", "Mask", "MaskFailed", "Masking", "merged"]

MAX_SECONDS: Final = 2.0  # for one question to one masker: everybody else's sessions wait meanwhile
MAX_HITS: Final = 100_000  # in one value; a masker that gives more has lost its way


class MaskFailed(RecgateError):
    """A masker could not say whether a value is to be seen, so it is not. Holds nothing of the value."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask: its maskers, and what becomes of what they find."""

    name: str
    maskers: tuple[Masker, ...]
    replacer: Replacer


@dataclass(frozen=True, slots=True)
class Hit:
    """A span of a value that must not be seen. `rule` is `MASK.RULE`, as mask frames have it."""

    start: int
    end: int
    rule: str
    replacer: Replacer

    @property
    def nulls(self) -> bool:
        """Whether the whole value becomes NULL, where it can be."""
        return self.replacer.becomes is Becomes.NULL


class Masking:
    """The masks of one session, in configured order."""

    __slots__ = (
        "_clock", "_hinting", "_maskers", "_names", "ascii", "columns", "keeps", "looks", "masks", "nulls"
    )  # fmt: skip

    def __init__(
        self,
        masks: Sequence[Mask],
        clock: Callable[[], float],
        columns: Sequence[ColumnMask] = (),
        *,
        keeps: bool = False,
    ) -> None:
        """`clock` gives seconds, for telling that a masker took too long; `columns` are the masks by origin.

        `keeps` says that the values that are removed go into the sealed recording.
        """
        self.keeps = keeps
        self.columns = tuple(columns)
        self._clock = clock
        self.masks = frozenset(each.name for each in (*masks, *columns))
        self._maskers = [(mask, masker) for mask in masks for masker in mask.maskers]
        self.looks = bool(self._maskers)  # whether anything is found by what it looks like
        self._hinting = [masker for _, masker in self._maskers if isinstance(masker, Hinting)]
        # Whether nothing but ASCII is looked for: then a value's encoding matters little.
        self.ascii = len(self._hinting) == len(self._maskers) and all(each.ascii for each in self._hinting)
        # Whether a value that one of them finds something in becomes NULL, wherever it may.
        self.nulls = any(mask.replacer.becomes is Becomes.NULL for mask in masks)
        self._names: dict[tuple[str, str], str] = {}

    def hints(self, data: bytes) -> Sequence[tuple[int, int]] | None:
        """Give the places of a whole buffer that must be looked at closely: every value to be masked touches one.

        None says that every value must be looked at, because a masker gives no hints. Raises `MaskFailed`.
        """
        if len(self._hinting) < len(self._maskers):
            return None
        found: list[tuple[int, int]] = []
        clock = self._clock
        for masker in self._hinting:
            started = clock()
            try:
                places = masker.hints(data)
            except Exception as exc:  # noqa: BLE001 - a masker's doubt refuses what it was asked about, whatever it raised (law 3)
                raise MaskFailed(f"the masker {masker.name} failed ({type(exc).__name__})") from None
            if clock() - started > MAX_SECONDS:
                raise MaskFailed(f"the masker {masker.name} took longer than {MAX_SECONDS:g} s")
            if places:
                found += places
        if len(self._hinting) > 1:
            found.sort()
        return found

    def growing(self, data: bytes) -> int:
        """Give the offset from which on `data` may be the beginning of a value, or of more of one."""
        if len(self._hinting) < len(self._maskers):
            return 0
        return min((masker.growing(data) for masker in self._hinting), default=len(data))

    def find(self, value: bytes, *, final: bool = True) -> list[Hit]:
        """Give the hits in one value, in order and without overlaps. Raises `MaskFailed`."""
        hits: list[Hit] = []
        clock, names = self._clock, self._names
        for mask, masker in self._maskers:
            started = clock()
            try:
                for start, end, rule in masker.spans(value, final=final):
                    if not 0 <= start < end <= len(value):
                        raise MaskFailed(f"the masker {masker.name} gave a span outside of the value")
                    name = names.get((mask.name, rule)) or names.setdefault(
                        (mask.name, rule), f"{mask.name}.{rule}"
                    )
                    hits.append(Hit(start, end, name, mask.replacer))
                    if len(hits) > MAX_HITS:
                        raise MaskFailed(f"the masker {masker.name} gave more than {MAX_HITS} spans")
            except MaskFailed:
                raise
            except Exception as exc:  # noqa: BLE001 - a masker's doubt refuses what it was asked about, whatever it raised (law 3)
                raise MaskFailed(f"the masker {masker.name} failed ({type(exc).__name__})") from None
            if clock() - started > MAX_SECONDS:
                raise MaskFailed(f"the masker {masker.name} took longer than {MAX_SECONDS:g} s")
        return merged(hits) if len(hits) > 1 else hits


def merged(hits: Iterable[Hit]) -> list[Hit]:
    """Put overlapping hits together: one span over all of them, which the strictest of them replaces."""
    found: list[Hit] = []
    for hit in sorted(hits, key=lambda each: (each.start, -each.end)):
        last = found[-1] if found else None
        if last is None or hit.start >= last.end:
            found.append(hit)
        else:
            strictest = hit if hit.replacer.rank < last.replacer.rank else last
            found[-1] = Hit(last.start, max(last.end, hit.end), strictest.rule, strictest.replacer)
    return found
