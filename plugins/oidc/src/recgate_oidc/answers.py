"""Keep a provider's answers about tokens for a short while, under what cannot be turned back into the token."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import trio

from recgate.model import Secret

__all__ = ["Answers", "fingerprint"]

T = TypeVar("T")

MAX_KEPT: Final = 10_000  # answers; the oldest are forgotten first


def fingerprint(token: Secret) -> str:
    """Give what a token is known by: 128 bits of its SHA-256, in hexadecimal."""
    # Plain: the tokens that this is taken of are signed or random, so that none can be guessed from it.
    return hashlib.sha256(token.reveal()).hexdigest()[:32]


@dataclass(slots=True)
class _Asked(Generic[T]):
    lock: trio.Lock = field(default_factory=trio.Lock)
    waiting: int = 0


class Answers(Generic[T]):
    """One question at a time about one token, and its answer believed for `keep` seconds. Failures are not kept."""

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._kept: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._asked: dict[str, _Asked[T]] = {}

    async def get(self, token: Secret, ask: Callable[[], Awaitable[T]], *, anew: bool = False) -> T:
        """Give the answer about a token, with `anew` no earlier one than the next.

        When a task that asks is cancelled, the next who waits asks again.
        """
        key = fingerprint(token)
        asked = self._asked.setdefault(key, _Asked())
        asked.waiting += 1
        since = trio.current_time() if anew else -math.inf  # what others ask meanwhile is new enough
        try:
            async with asked.lock:
                now = trio.current_time()
                found = self._kept.get(key)
                if found is not None and now - found[0] < self._keep and found[0] >= since:
                    return found[1]
                while self._kept and now - next(iter(self._kept.values()))[0] >= self._keep:
                    self._kept.popitem(last=False)  # what does not count any more is not kept either
                answer = await ask()
                # Counted from when it was asked: what happened since the provider looked is not in it.
                self._kept[key] = (now, answer)
                self._kept.move_to_end(key)
                while len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
                return answer
        finally:
            asked.waiting -= 1
            if not asked.waiting:
                self._asked.pop(key, None)
