"""Run hvac in threads of one vault: bounded in number, and never one that holds anything else up.

A cancelled wait leaves its thread to end by itself, which its deadline sees to. The thread keeps its place until then,
so a vault that hangs holds `workers` threads and no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import trio

from recgate.errors import VaultFailed

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """The threads of one vault. `patience` is how many seconds somebody waits for one and its work."""

    def __init__(self, vault: str, count: int, patience: float) -> None:
        self._vault = vault
        self._patience = patience
        self._limit: Final = trio.CapacityLimiter(count)

    async def run(self, work: Callable[[], T]) -> T:
        """Do work in a thread; its result is lost when this is cancelled. Raises what it raises, or `VaultFailed`."""
        try:
            with trio.fail_after(self._patience):
                return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limit)
        except trio.TooSlowError:
            raise self._slow() from None

    async def lend(self, work: Callable[[], T], undo: Callable[[T], None]) -> T:
        """Do work whose result must not be lost: when nobody waits for it any more, `undo` is called with it.

        `undo` must not block: it is called in the worker thread, or in the event loop.
        """
        handover = Handover(work, undo)
        taken = False
        try:
            result = await self.run(handover.run)
            taken = True
            return result
        finally:
            if not taken:
                handover.abandon()

    def _slow(self) -> VaultFailed:
        waiting = self._limit.statistics()
        busy = (
            f" All {waiting.total_tokens:g} of its `workers` wait for it."
            if waiting.borrowed_tokens >= waiting.total_tokens
            else ""
        )
        return VaultFailed(
            f"vault {self._vault} did not answer within {self._patience:g} s.{busy} "
            "See whether it is up; sessions that are open go on."
        )


class Handover(Generic[T]):
    """Between a thread that finishes and a task that may have gone: exactly one of them has the result."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], None]) -> None:
        self._work = work
        self._undo = undo
        self._lock = threading.Lock()
        self._results: list[T] = []
        self._abandoned = False

    def run(self) -> T:
        """Do the work, in the thread."""
        result = self._work()
        with self._lock:
            if not self._abandoned:
                self._results.append(result)
                return result
        self._undo(result)
        return result

    def abandon(self) -> None:
        """Nobody takes the result: undo it, now or when it comes."""
        with self._lock:
            self._abandoned = True
            results, self._results = self._results, []
        for result in results:
            self._undo(result)
