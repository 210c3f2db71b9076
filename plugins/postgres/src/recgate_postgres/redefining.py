"""SQL that gives a name another meaning: PREPARE and DECLARE share their names with the protocol's own messages.

`DEALLOCATE a; PREPARE a AS …` makes the `a` that a client has parsed run another text, and `CLOSE c; DECLARE c …`
does so with a portal. Which names a text means is read off it where it is written plainly, and otherwise taken to be
all of them: a name that is held for redefined, and is not, is only judged by more texts than one.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_NAME", "may_redefine", "redefined"]

MAX_NAME: Final = 63  # bytes: the server tells longer ones apart by no more than that (NAMEDATALEN)

_PREPARE, _DECLARE = re.compile(rb"\bprepare\b", re.IGNORECASE), re.compile(rb"\bdeclare\b", re.IGNORECASE)
# A plain name and what may follow one. Beyond ASCII, upper and lower case hang on the server's locale.
_PLAIN: Final = re.compile(
    rb"""(?:\s|/\*[^*/]*\*/|--[^\n]*\n)+(?:"([\x20\x21\x23-\x7e]+)"|([a-z_][a-z0-9_$]*))(?=[\s(]|$)""",
    re.IGNORECASE,
)


def may_redefine(text: bytes) -> bool:
    """Whether the text could redefine anything: nearly none could."""
    lowered = text.lower()
    return b"prepare" in lowered or b"declare" in lowered


def redefined(text: bytes, *, portals: bool) -> frozenset[bytes] | None:
    """Give the names of statements (or `portals`) that running `text` may redefine; None for all of them."""
    found: set[bytes] = set()
    for word in (_DECLARE if portals else _PREPARE).finditer(text):
        name = _PLAIN.match(text, word.end())
        if name is None:
            return None
        found.add((name[1] if name[1] is not None else name[2].lower())[:MAX_NAME])
    return frozenset(found)
