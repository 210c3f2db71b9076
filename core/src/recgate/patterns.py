"""Patterns that name programs: `*` stays within one part of a name, `**` does not, everything else is exact.

Matched in one pass, as a set of places in the pattern: what is matched was written by strangers (anybody's branch may
be called anything), and a search that goes back takes seconds for a kilobyte, in which every session stands still.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["MAX_TEXT", "fits"]

MAX_TEXT: Final = 4_096  # characters; nothing longer is a name

_PARTS: Final = re.compile(r"\*+|[^*]")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Bit n of each mask is the n-th part of the pattern: a character, or a run of them that may be empty."""

    characters: Mapping[str, int]
    short: int  # `*`
    long: int  # `**`
    end: int


@lru_cache(maxsize=4_096)
def _compiled(pattern: str) -> _Pattern:
    characters: dict[str, int] = defaultdict(int)
    short = long = 0
    parts: list[str] = _PARTS.findall(pattern)
    for n, part in enumerate(parts):
        if part == "*":
            short |= 1 << n
        elif part.startswith("*"):
            long |= 1 << n
        else:
            characters[part] |= 1 << n
    return _Pattern(dict(characters), short, long, 1 << len(parts))


def fits(pattern: str, text: str, between: str = ":/") -> bool:
    """Say whether all of `text` is what `pattern` says; `between` are the characters that part a name."""
    if len(text) > MAX_TEXT:
        return False
    wanted = _compiled(pattern)
    runs = wanted.short | wanted.long
    # Where in the pattern the text so far may have led to. No run follows a run, so that one step skips it.
    places = 1 | (1 & runs) << 1
    for each in text:
        staying = places & (wanted.long if each in between else runs)
        places = staying | (places & wanted.characters.get(each, 0)) << 1
        if not places:
            return False
        places |= (places & runs) << 1
    return bool(places & wanted.end)
