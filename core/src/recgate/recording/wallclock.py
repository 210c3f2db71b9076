"""Notice that the wall clock was set: frames are timed by another one, which nobody sets.

A recording says when it began by the wall clock, and how much later everything was by the monotonic one. Where the two
part company somebody who compares it with another log must know, so the recording says it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["JUMP", "WallClock"]

# Nanoseconds. Time synchronisation corrects less than this without anybody's doing; token and certificate checks
# allow for more.
JUMP: Final = 5_000_000_000


class WallClock:
    """Compares both clocks at every look, in nanoseconds. A machine that slept shows as a jump forward."""

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._apart = wall() - steady()

    def jumped(self) -> int:
        """Give by how many nanoseconds the wall clock has moved since the last jump or the start, or 0 for no jump.

        Small corrections add up, and count as one jump once they are as large as one.
        """
        moved = self._wall() - self._steady() - self._apart
        if abs(moved) <= JUMP:
            return 0
        self._apart += moved
        return moved
