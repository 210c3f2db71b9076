"""One mask's masker: all its patterns in one pass over whatever comes, and a closer look where one may hit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from recgate_detect.cards import cards_in
from recgate_detect.engine import Pattern, compiled, pattern_set
from recgate_detect.rules import Rule

__all__ = ["ContentMasker"]

_SEPARATOR: Final = re.compile(rb"[^0-9A-Za-z]")
# What could still become more of a value when more comes: an unbroken word, or digits in groups.
_GROWING: Final = re.compile(rb"(?:[^\x00-\x20\x7f]|(?<=[0-9]) (?=[0-9]|\Z)){1,256}\Z")


class ContentMasker:
    """Implements `recgate.providers.Masker` and `Hinting` for one mask."""

    __slots__ = ("_hint", "_rules", "_set", "ascii", "name")

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        """Compile. Raises `BadPattern` for a pattern that RE2 does not take, or that is too large."""
        self.name = name
        self.ascii = all(rule.ascii for rule in rules)
        self._rules = [(rule, compiled(rule.pattern)) for rule in rules]
        self._set = pattern_set([rule.hint for rule in rules])
        if all(rule.shows for rule in rules):
            # Of the plugin's own rules alone, byte by byte: then it can be said what does not stand before a number.
            self._hint = compiled("|".join(f"(?:{_bytewise(rule)})" for rule in rules), latin1=True)
        else:
            self._hint = compiled("|".join(f"(?:{rule.hint})" for rule in rules))

    def hints(self, data: bytes) -> Sequence[tuple[int, int]]:
        """Give where values may be, more often than there are any; every one touches one of them.

        `data` may be anything around values, protocol bytes included. It is one pass, hits or not.
        """
        return [found.span() for found in self._hint.finditer(data)]

    def spans(self, data: bytes, *, final: bool) -> Iterable[tuple[int, int, str]]:
        """Give the spans in one value, in the order of the rules; they may overlap.

        With `final` false the end of `data` is not the end of the value, and what touches it is not yet certain: such
        a span is given all the same.
        """
        hit = self._set.Match(data)
        if not hit:
            return
        for n in sorted(hit):
            rule, pattern = self._rules[n]
            yield from _found(rule, pattern, data)

    def growing(self, data: bytes) -> int:
        """Give the offset from which on a value could still become one, or more of one, when more comes."""
        found = _GROWING.search(data, max(0, len(data) - 256))
        return found.start() if found is not None else len(data)


def _bytewise(rule: Rule) -> str:
    return (rule.sharp or rule.hint).replace(r"\x{80}-\x{10FFFF}", r"\x80-\xff")


def _found(rule: Rule, pattern: Pattern, data: bytes) -> Iterable[tuple[int, int, str]]:
    position, name, check = 0, rule.name, rule.check
    groups = pattern.groups
    while (match := pattern.search(data, position)) is not None:
        start, end = match.span()
        within = (start, end)
        for group in range(1, groups + 1):
            if match.span(group) != (-1, -1):
                within = match.span(group)
        # A check that has looked at the whole run leaves nothing of it to look at again.
        seen = end if check is cards_in else 0
        for begin, stop in check(data, *within):
            seen = max(seen, stop)
            if stop > begin:
                yield begin, stop, name
        if seen > start:
            position = seen
        else:
            # Not one: another may begin inside, but not inside the same word.
            following = _SEPARATOR.search(data, start + 1, end)
            position = following.end() if following is not None else end
        position = max(position, start + 1)
