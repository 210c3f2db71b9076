"""A masker for these tests: a few words by pattern, with the hints that a real one gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from recgate.mask import Becomes, Mask, Masking, Replacer

CARD = "4111111111111111"
EMAIL = "alice@example.org"
PATTERNS = {
    "email": rb"[a-z.]+@[a-z.]+[a-z]",
    "card": rb"(?<![0-9])4[0-9]{15}(?![0-9])",
    "pin": rb"(?<![0-9])7777(?![0-9])",
    "address": rb"10\.9\.8\.7",
}
HINT = re.compile(rb"[a-z]@[a-z]|4[0-9]{15}|7777|10\.9\.8\.7")


class Words:
    """Implements `Masker` and `Hinting`; `fails` is asked about every value."""

    name = "pii"
    ascii = True

    def __init__(
        self, fails: Callable[[bytes], bool] = lambda value: False, rules: Sequence[str] = tuple(PATTERNS)
    ):
        self._patterns = {rule: re.compile(PATTERNS[rule]) for rule in rules}
        self._fails = fails
        self.asked = 0

    def spans(self, data, *, final):
        self.asked += 1
        if self._fails(data):
            raise RuntimeError(data)
        for rule, pattern in self._patterns.items():
            for found in pattern.finditer(data):
                yield (*found.span(), rule)

    def hints(self, data):
        return [found.span() for found in HINT.finditer(data)]

    def growing(self, data):
        return len(data)


class NonAscii(Words):
    """One that looks for more than ASCII."""

    ascii = False


class Bare:
    """One without hints: every value is looked at."""

    name = "pii"

    def __init__(self):
        self.spans = Words().spans


def masks(becomes: Becomes = Becomes.REDACT, masker: object = None, keep: int = 4) -> Masking:
    """The masks of a session."""
    replacer = Replacer(becomes, keep=keep, key=b"k" * 32)
    return Masking([Mask("pii", (masker or Words(),), replacer)], lambda: 0.0)  # pyright: ignore[reportArgumentType]
