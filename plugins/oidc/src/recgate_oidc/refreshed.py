"""Something of a provider's that is kept a while: fetched when it is needed, by one task for all who wait for it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import trio

from recgate_oidc.errors import ProviderFailed

__all__ = ["Refreshed"]

T = TypeVar("T")

MIN_PAUSE: Final = 1.0  # seconds until a provider that failed is asked again; doubled each time
MAX_PAUSE: Final = 30.0
MIN_SPACING: Final = 2.0  # seconds between two looks for something newer; doubled while nothing is
MAX_SPACING: Final = 30.0  # so that a rotated key is found within this, whatever tokens are thrown at us


class Refreshed(Generic[T]):
    """Fetched at first use and again after `lifetime` seconds; believed for `tolerance` more while nobody answers.

    A fetch that is cancelled is begun again by the next who waits for it.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], lifetime: float, tolerance: float) -> None:
        self._fetch = fetch
        self._lifetime = lifetime
        self._tolerance = tolerance
        self._lock = trio.Lock()
        self._value: T | None = None
        self._at = -1.0  # when `_value` was fetched, on trio's clock
        self._failure = ""
        self._pause = MIN_PAUSE
        self._not_before = 0.0
        self._spacing = MIN_SPACING
        self._next_look = 0.0

    async def get(self) -> T:
        """Give what is known, fetched if need be. Raises `ProviderFailed`."""
        value = self._known(self._lifetime)
        if value is not None:
            return value
        old = self._known(self._lifetime + self._tolerance)
        if old is not None and self._lock.locked():
            return old  # somebody is fetching it already, and this one still counts
        async with self._lock:
            value = self._known(self._lifetime)
            return value if value is not None else await self._renewed(old)

    async def newer(self, seen: T) -> T:
        """Give something newer than `seen`, if there is and it is time to look; else `seen`. Raises `ProviderFailed`.

        However often it is called, the provider is asked at most every `MIN_SPACING` to `MAX_SPACING` seconds.
        """
        async with self._lock:
            if self._value is not None and self._value is not seen:
                return self._value
            now = trio.current_time()
            if now < self._next_look:
                return seen
            self._next_look = now + self._spacing * random.uniform(0.75, 1.0)  # noqa: S311 - spreads requests
            self._spacing = min(MAX_SPACING, self._spacing * 2)
            value = await self._renewed(seen)
            if value != seen:
                self._spacing = MIN_SPACING
            return value

    def _known(self, age: float) -> T | None:
        return self._value if self._at >= 0 and trio.current_time() - self._at < age else None

    async def _renewed(self, old: T | None) -> T:
        """Fetch, or fall back on `old`. The lock is held."""
        if trio.current_time() < self._not_before:
            if old is not None:
                return old
            raise ProviderFailed(self._failure)
        try:
            value = await self._fetch()
        except ProviderFailed as exc:
            self._failure = str(exc)
            self._not_before = trio.current_time() + self._pause
            self._pause = min(MAX_PAUSE, self._pause * 2)
            if old is not None:
                return old
            raise
        self._pause = MIN_PAUSE
        self._not_before = 0.0
        self._at = trio.current_time()
        if self._value is None or value != self._value:
            self._value = value
        return self._value
