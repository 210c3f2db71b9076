"""Masks for tests: of the plugin `detect`, as a session has them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from recgate.mask import Becomes, Mask, Masking, Replacer
from recgate_detect.masker import ContentMasker
from recgate_detect.rules import expand

__all__ = ["CARD", "masking", "raising"]

CARD = b"4111111111111111"


class Raising:
    """A masker that finds nothing but an excuse once it sees a word."""

    name = "pii"

    def __init__(self, word: bytes) -> None:
        self._word = word

    def spans(self, data: bytes, *, final: bool) -> Iterable[tuple[int, int, str]]:
        if self._word in data:
            raise RuntimeError("no")
        return ()


def masking(*words: str, becomes: Becomes = Becomes.REDACT, keep: int = 0) -> Masking:
    masker = ContentMasker("pii", expand(words or ("email", "credit_card", "secret")))
    return Masking([Mask("pii", (masker,), Replacer(becomes, keep=keep, key=b"k"))], time.perf_counter)


def raising(word: bytes) -> Masking:
    return Masking([Mask("pii", (Raising(word),), Replacer(Becomes.REDACT))], time.perf_counter)
