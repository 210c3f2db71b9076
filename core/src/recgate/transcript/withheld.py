"""Passwords that stand in statements are shown and indexed as `•••` (recording.md, "The search index")."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["WITHHELD", "withhold"]

WITHHELD: Final = "•••"

# ALTER ROLE … PASSWORD '…', MySQL's IDENTIFIED BY '…', and password=… of a connection string inside a literal. A
# value may be an escape string, have its quotes doubled, be dollar-quoted, or be cut off with the text.
# Comments have a longest length: one that never ends would be searched for from each of a thousand words.
_GAP: Final = r"(?:\s|/\*.{0,500}?\*/|--[^\n]{0,500}\n)*+"
_PASSWORD: Final = re.compile(
    rf"((?<!['\"\w])password{_GAP}=?{_GAP}|\bidentified\s+(?:with\s+\S+\s+)?by\s+(?:password\s+)?)"
    r"(?:e'(?:[^'\\]|\\.|'')*+(?:'|\Z)"
    r"|''[^']*''"
    r"|(?:u&)?'(?:[^']|'')*+(?:'|\Z)"
    r"|\$(\w*)\$.*?(?:\$\2\$|\Z)"
    r"|(?<==)[^\s'\"$(;]+)",
    re.IGNORECASE | re.DOTALL,
)


def withhold(text: str) -> str:
    """Replace the values of password literals."""
    # Ten times as fast as a search without regard to case, and most texts are as long as a screen.
    lowered = text.lower()
    if "password" not in lowered and "identified" not in lowered:
        return text
    return _PASSWORD.sub(rf"\1'{WITHHELD}'", text)
