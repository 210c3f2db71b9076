"""Find numbers that begin with a prefix, such as EMP-123456, in what a target sends.

The pattern is of a fixed length without choices, so that `re` takes linear time over it. For patterns that somebody
else writes use `google-re2`: what stands in the byte's way must not be slow on anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field
from recgate.config.values import Settings

__all__ = ["NumberMasker", "NumberSettings"]

SIX_DIGITS = rb"[0-9]{6}"
DIGITS = 6


class NumberSettings(Settings):
    """The options behind the key.

    Attributes:
        prefix: what stands before the dash and the six digits.
    """

    prefix: Annotated[str, Field(pattern=r"\A[A-Z]{1,8}\z")] = "EMP"


class NumberMasker:
    """One mask's masker. Implements `recgate.providers.Masker` and `Hinting`."""

    ascii = True  # it is written in ASCII alone, so it is found in every encoding that has ASCII in it

    def __init__(self, name: str, settings: NumberSettings) -> None:
        self.name = name
        self._prefix = settings.prefix.encode() + b"-"
        self._number = re.compile(re.escape(self._prefix) + SIX_DIGITS + rb"(?![0-9])")
        # Behind a value may stand bytes of the protocol that look like digits, so a hint asks for no end.
        self._hint = re.compile(re.escape(self._prefix) + SIX_DIGITS)

    def spans(self, data: bytes, *, final: bool) -> Iterable[tuple[int, int, str]]:
        """Give the spans in one value."""
        return [(*found.span(), "number") for found in self._number.finditer(data)]

    def hints(self, data: bytes) -> Sequence[tuple[int, int]]:
        """Give where values may be in a whole buffer, whatever stands around them."""
        return [found.span() for found in self._hint.finditer(data)]

    def growing(self, data: bytes) -> int:
        """Give the offset from which on a number may be beginning."""
        longest = len(self._prefix) + DIGITS
        for start in range(max(0, len(data) - longest), len(data)):
            tail = data[start:]
            digits = tail[len(self._prefix) :]
            begun = tail.startswith(self._prefix) and (not digits or digits.isdigit())
            if begun or self._prefix.startswith(tail):
                return start
        return len(data)
