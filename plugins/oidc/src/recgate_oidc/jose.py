"""Take a signed token apart, strictly: what two readers could read differently is refused before it is verified.

The compact serialization of RFC 7515 §3.1, and JSON in which no name stands twice (§4, RFC 7519 §4).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, cast

from recgate_oidc.errors import TokenBroken, TokenRefused

__all__ = ["MAX_TOKEN", "Unverified", "looks_cut", "take_apart"]

MAX_TOKEN: Final = 16 * 1024  # bytes; Entra's are 2 kB, and 200 groups by id add 8
MAX_DEPTH: Final = 16  # levels of a token's JSON
CUT: Final = 1_023  # bytes that OpenSSH sends of a password typed to it (readpassphrase)

_COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\Z")
_BEGINS: Final = re.compile(rb"(e[A-Za-z0-9_-]{3,})(\.[A-Za-z0-9_-]*){0,2}\Z")
# How base64url of a JSON object can begin: `{` and a quote or blank, or `{` and a tab or line break.
_OPENINGS: Final = (b"ey", b"ew")


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token taken apart and not believed yet. `text` is all of it, and therefore not shown."""

    text: str = field(repr=False)
    header: Mapping[str, object]
    claims: Mapping[str, object] = field(repr=False)

    def word(self, name: str) -> str:
        """Give a text of the header, or "". Raises `TokenRefused` if it is there and no text."""
        value = self.header.get(name, "")
        if not isinstance(value, str):
            raise TokenRefused(f"its header has a `{name}` that is no text")
        return value


def take_apart(token: bytes) -> Unverified | None:
    """Give the parts of a signed token, or None for something else.

    Raises:
        TokenRefused: it is one, and ambiguous, too long or not JSON.
    """
    if len(token) > MAX_TOKEN:
        if token.startswith(_OPENINGS):
            raise TokenRefused(f"it is longer than {MAX_TOKEN} bytes")
        return None
    match = _COMPACT.match(token)
    if match is None or not token.startswith(_OPENINGS):
        return None
    header = _object(_decoded(match[1], "header"), "header")
    claims = _object(_decoded(match[2], "claims"), "claims")
    _decoded(match[3], "signature")
    return Unverified(token.decode("ascii"), header, claims)


def looks_cut(token: bytes) -> bool:
    """Say whether this may be the beginning of a signed token that OpenSSH has cut."""
    return len(token) == CUT and token.startswith(_OPENINGS) and _BEGINS.match(token) is not None


def _decoded(part: bytes, what: str) -> bytes:
    try:
        data = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise TokenBroken(f"its {what} is no base64url") from None
    # Bits beyond the last byte would give one token several spellings.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part:
        raise TokenBroken(f"its {what} is no base64url")
    return data


def _object(data: bytes, what: str) -> Mapping[str, object]:
    try:
        found: object = json.loads(
            data.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float
        )
    except TokenRefused:
        raise TokenRefused(f"its {what} can be read in more than one way") from None
    except (ValueError, RecursionError):
        raise TokenRefused(f"its {what} is no JSON") from None
    if not isinstance(found, dict) or _depth(cast("object", found), MAX_DEPTH) == 0:
        raise TokenRefused(f"its {what} is no JSON object, or too deep a one")
    return cast("Mapping[str, object]", found)


def _depth(value: object, left: int) -> int:
    """Give how many levels are left below the deepest part of `value`; 0 if there are too many."""
    if left == 0:
        return 0
    if isinstance(value, dict):
        inner = list(cast("dict[str, object]", value).values())
    elif isinstance(value, list):
        inner = cast("list[object]", value)
    else:
        return left
    return min((_depth(each, left - 1) for each in inner), default=left)


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TokenRefused("a name stands twice")
    return found


def _constant(word: str) -> NoReturn:
    raise TokenRefused(f"{word} is no number")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise TokenRefused("a number that is none")
    return number
