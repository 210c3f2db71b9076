"""What was masked in one read: how often by which rule and where, and the values themselves where they are kept."""

from __future__ import annotations

from collections import Counter

from recgate.mask.keeping import Kept

__all__ = ["Found"]


class Found(Counter[tuple[str, str]]):
    """(rule, place) to how many. With `keeps` also to the values, which go nowhere but into the sealed recording."""

    def __init__(self, *, keeps: bool = False) -> None:
        super().__init__()
        self._keeps = keeps
        self._kept: dict[tuple[str, str], Kept] = {}

    def note(self, rule: str, place: str, value: bytes) -> None:
        """Count a value that was masked."""
        self[rule, place] += 1
        if self._keeps:
            self._kept.setdefault((rule, place), Kept()).add(value)

    def kept(self, rule: str, place: str) -> Kept:
        """Give the values that were masked by a rule in a place, as far as they are kept."""
        return self._kept.get((rule, place)) or Kept()

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._kept.clear()
