"""Patterns that name programs: `*` stays within one part of a name, `**` does not, everything else is exact."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["fits"]


@lru_cache(maxsize=4_096)
def _compiled(pattern: str, between: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    meanings = {"**": r"[\s\S]*", "*": f"[^{re.escape(between)}]*"}
    return re.compile("".join(meanings.get(part, re.escape(part)) for part in parts) + r"\Z")


def fits(pattern: str, text: str, between: str = ":/") -> bool:
    """Say whether all of `text` is what `pattern` says; `between` are the characters that part a name."""
    return _compiled(pattern, between).match(text) is not None
