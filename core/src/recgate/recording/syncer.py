"""The threads that wait for the disk on behalf of the commit log, so that nothing else has to.

A hop through trio's own threads costs as much as a sync; these stay, and say that they are done by one counter, which
the event loop watches as it watches a socket. Several, since what one waits for may be somebody else's write: a sync
covers all that was written before it, so whichever comes back first has done the work of those before it as well.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType

import trio

from recgate.recording.logfiles import LogFile

__all__ = ["Order", "Syncer"]


@dataclass(slots=True, eq=False)
class Order:
    """A log file to be synced; when it comes back, what was written before is on the disk, or there is an `error`."""

    file: LogFile
    took: float = 0.0  # seconds
    error: OSError | None = None

    def carry_out(self, number: int) -> None:
        """Sync it by its descriptor `number`."""
        began = time.monotonic()
        try:
            os.fdatasync(self.file.descriptors[number])
        except OSError as error:
            self.error = error
        self.took = time.monotonic() - began


class Syncer:
    """`threads` orders are at the disk at a time; `free` says how many more there may be.

    Leaving it waits for those that were taken, also when cancelled. `descriptor` is readable while some are done.
    """

    def __init__(self, threads: int) -> None:
        self.free = threads
        self.descriptor = -1
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._done: deque[Order] = deque()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"recgate-sync-{number}", daemon=True)
            for number in range(threads)
        ]

    async def __aenter__(self) -> Syncer:
        """Start the threads."""
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads."""
        for _ in self._threads:
            self._orders.put(None)
        with trio.CancelScope(shield=True):
            for thread in self._threads:
                await trio.to_thread.run_sync(thread.join)
        os.close(self.descriptor)

    def take(self, order: Order) -> None:
        """Have an order done by a thread that is free."""
        self.free -= 1
        self._orders.put(order)

    def done(self) -> list[Order]:
        """Give the orders that came back since the last call, in the order of their coming back."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return []
        came: list[Order] = []
        while self._done:
            came.append(self._done.popleft())
        self.free += len(came)
        return came

    def _work(self, number: int) -> None:
        while (order := self._orders.get()) is not None:
            order.carry_out(number)
            self._done.append(order)
            os.eventfd_write(self.descriptor, 1)
