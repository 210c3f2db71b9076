"""Make text harmless to look at: no escape sequence of a hostile target reaches a terminal where text is shown."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["neutralise"]

# Controls (Cc), formats (Cf: bidirectional marks, joiners, tags, soft hyphens), lone surrogates (Cs), line and
# paragraph separators (Zl, Zp), and letters that are drawn as nothing. Whoever looks must see that they are there.
_INVISIBLE: Final = (
    "\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_LINE: Final = re.compile(f"[\x00-\x1f{_INVISIBLE}]")
_LINES: Final = re.compile(f"[\x00-\x08\x0b-\x1f{_INVISIBLE}]")


def neutralise(text: str, *, lines: bool = False) -> str:
    r"""Write controls and invisible characters as `\x1b`, `\u202e`, …; with `lines`, tab and newline stay.

    The result is for eyes: a backslash that was there is left alone, so it cannot be turned back.
    """
    if text.isascii():
        # What is shown is nearly always this, and at times a whole file of it.
        plain = text.replace("\n", "").replace("\t", "") if lines else text
        if plain.isprintable():
            return text
    return (_LINES if lines else _LINE).sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
