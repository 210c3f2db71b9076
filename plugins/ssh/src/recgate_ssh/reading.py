"""How output reads to a person: what stands between control sequences, in the order in which it is shown.

A terminal's bytes are not its text: colours, titles and cursor movements lie between the characters of a value. What
only looks different is taken out; where the cursor jumps, a mark is left (NUL, which no text has), so that a value may
be looked for both across the jump and beside it. Pure code, linear in what it reads.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import Final

from recgate.mask import Finder, Hit
from recgate.mask.masking import merged

__all__ = ["JUMP", "MAX_SEQUENCE", "SPECIAL", "STRINGS", "Across", "Text", "text_of"]

JUMP: Final = b"\0"
MAX_SEQUENCE: Final = 512  # bytes of a control sequence that is waited for

# One thing that is no text: a sequence (ECMA-48 §5.4), a string with its end (§5.6), a control character, and the
# blank with carriage return by which line editors go on to the next row.
SPECIAL: Final = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"
    rb"|\x1b[\]PX^_][^\x07\x1b]{0,4000}(?:\x07|\x1b\\)"
    rb"|\x1b[ -/]+[0-~]"
    rb"|\x1b[0-OQ-WYZ\\`-~]"
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
    rb"| \r(?!\n|\r)"
)
# The text of a title, a link or the like, which is shown or kept somewhere, too.
STRINGS: Final = re.compile(rb"(\x1b[\]PX^_])([^\x07\x1b]{1,4000})(\x07|\x1b\\)")
_ANY: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]| \r")
_BEGUN: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z")
_JUMPS: Final = frozenset(
    b"ABCDEFGHIJLMSTZ`abdef"
)  # final bytes of sequences that move what is shown, or the cursor
_ACROSS: Final = re.compile(rb"\0+|\r(?!\n)")


@dataclass(slots=True)
class Text:
    """The text of some output: `plain`, and for each byte of it where it stands; None where that is the same place.

    `used` is how much was read: behind it begins a sequence that is not whole.
    """

    plain: bytes
    where: array[int] | None
    used: int


def text_of(raw: bytes, *, final: bool) -> Text:
    """Read output. With `final` what has begun at its end is taken for whole."""
    used = len(raw)
    if not final and (begun := _BEGUN.search(raw, max(0, used - MAX_SEQUENCE))) is not None:
        used = begun.start()
    if _ANY.search(raw, 0, used) is None:
        return Text(raw[:used], None, used)
    plain, where = bytearray(), array("L")
    position, over = 0, -1  # over: where what the next character stands upon began
    for match in SPECIAL.finditer(raw, 0, used):
        start = match.start()
        if start > position:
            plain += raw[position:start]
            where.extend(range(position, start))
            if over >= 0:
                where[position - start], over = over, -1
        position = match.end()
        first, last = raw[start], raw[position - 1]
        if first == 0x08:
            if plain and plain[-1] > 0x20:
                over = where.pop()
                del plain[-1]
        elif (first == 0x1B and raw[start + 1 : start + 2] == b"[" and last in _JUMPS) or first in (
            0x0B,
            0x0C,
        ):
            plain += JUMP
            where.append(start)
    plain += raw[position:used]
    where.extend(range(position, used))
    if over >= 0 and used > position:
        where[position - used] = over
    return Text(bytes(plain), where, used)


class Across:
    """Looks for values on both sides of a jump as well: what is drawn piece by piece is one to who looks at it."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Finder) -> None:
        self._inner = inner

    def find(self, value: bytes, *, final: bool = True) -> list[Hit]:
        """Give the hits. Raises `MaskFailed`."""
        hits = self._inner.find(value, final=final)
        joined, where = _joined(value)
        if where is None:
            return hits
        more = self._inner.find(joined, final=final)
        return merged(
            [
                *hits,
                *(Hit(where[hit.start], where[hit.end - 1] + 1, hit.rule, hit.replacer) for hit in more),
            ]
        )

    def growing(self, data: bytes) -> int:
        """Give the offset from which on more may become a value."""
        joined, where = _joined(data)
        if where is None:
            return self._inner.growing(data)
        growing = self._inner.growing(joined)
        return min(self._inner.growing(data), where[growing] if growing < len(joined) else len(data))


def _joined(value: bytes) -> tuple[bytes, array[int] | None]:
    if _ACROSS.search(value) is None:
        return value, None
    where = array("L")
    position = 0
    for match in _ACROSS.finditer(value):
        where.extend(range(position, match.start()))
        position = match.end()
    where.extend(range(position, len(value)))
    return _ACROSS.sub(b"", value), where
