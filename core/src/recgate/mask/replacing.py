"""What a masked value becomes: something of the same length where it can be, and nothing that a client trips over.

What is put in has only stars, letters and digits, so that it is as valid inside JSON, an array literal, COPY text or
CSV as what it replaces.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from typing import Final

__all__ = ["Becomes", "Replacer"]

HASH_DIGITS: Final = 16  # hexadecimal digits of a hash: 64 bits, so that values of one column do not meet
_BLOCK: Final = 32  # bytes of one round of the key stream
_STAR: Final = "*"


class Becomes(StrEnum):
    """The words of `with:`, the strictest first."""

    NULL = "null"
    REDACT = "redact"
    HASH = "hash"
    TOKENIZE = "tokenize"
    KEEP_LAST = "keep_last"


_ORDER: Final = tuple(Becomes)


class Replacer:
    """How one mask replaces. `key` is the mask's own: who has it can try values, so it never leaves the gateway."""

    __slots__ = ("_keep", "_key", "becomes")

    def __init__(self, becomes: Becomes, *, keep: int = 0, key: bytes = b"") -> None:
        """`keep` is how many characters KEEP_LAST leaves; HASH and TOKENIZE need a key."""
        if becomes in (Becomes.HASH, Becomes.TOKENIZE) and not key:
            raise ValueError(f"{becomes} needs a key")
        self.becomes = becomes
        self._keep = keep
        self._key = key

    def __repr__(self) -> str:
        return f"Replacer({self.becomes})"

    @property
    def rank(self) -> tuple[int, int]:
        """Orders replacers: of two that want the same bytes, the lower one hides more."""
        return _ORDER.index(self.becomes), self._keep

    def text(self, value: bytes) -> bytes:
        """Give what stands in the place of a piece of text. NULL has none, so there it is redacted."""
        if self.becomes is Becomes.HASH:
            return self.digest(value)
        if self.becomes is Becomes.TOKENIZE:
            return self._token(value)
        # As text, so that no character is cut in two; what is no UTF-8 counts byte by byte.
        characters = value.decode("utf-8", "surrogateescape")
        kept = self._kept(characters)
        return (_STAR * (len(characters) - len(kept)) + kept).encode("utf-8", "surrogateescape")

    def number(self, value: bytes, most: int) -> bytes:
        """Give the digits of a number, of `most` digits at most and without leading zeros, in the place of `value`."""
        digits = "".join(chr(each) for each in value if 0x30 <= each <= 0x39)
        length = max(1, min(len(digits), most))
        if self.becomes in (Becomes.HASH, Becomes.TOKENIZE):
            low = 10 ** (length - 1)
            return b"%d" % (low + int.from_bytes(self._digest(value)) % (9 * low))
        return b"%d" % int(self._kept(digits)[-length:] or "0")

    def digest(self, value: bytes) -> bytes:
        """Give the hexadecimal digits that stand for a value as a whole. Only with a key."""
        return self._digest(value).hex()[:HASH_DIGITS].encode()

    def _kept(self, characters: str) -> str:
        """What may be left: never more than half of it."""
        if self.becomes is not Becomes.KEEP_LAST or len(characters) < 2 * self._keep:
            return ""
        return characters[len(characters) - self._keep :]

    def _digest(self, value: bytes, n: int = 0) -> bytes:
        return hmac.digest(self._key, n.to_bytes(4) + value, hashlib.sha256)

    def _token(self, value: bytes) -> bytes:
        """Give letters for letters and digits for digits; what stands between them stays."""
        made: list[str] = []
        stream = b""
        for n, character in enumerate(value.decode("utf-8", "replace")):
            if n % _BLOCK == 0:
                stream = self._digest(value, 1 + n // _BLOCK)
            byte = stream[n % _BLOCK]
            if character.isascii() and character.isdigit():
                made.append(chr(0x30 + byte % 10))
            elif character.isascii() and not character.isalpha():
                made.append(character)
            else:
                made.append(chr((0x41 if character.isupper() else 0x61) + byte % 26))
        return "".join(made).encode()
