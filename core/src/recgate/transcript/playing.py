"""Play steps at the speed at which they happened, or faster, with pause and seek; whoever looks on holds the keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

__all__ = ["Key", "Keys", "Pace", "Player", "Step"]

SEEK: Final = 5_000_000  # µs of an arrow key
RESET: Final = b"\x1bc"  # the terminal as it was switched on (RIS): going back is playing again up to there
MAX_SPEED: Final = 64.0


@dataclass(frozen=True, slots=True)
class Step:
    """Bytes to write at `t` µs since the session opened."""

    t: int
    data: bytes


class Key(StrEnum):
    """What the person at the keyboard may want. `NONE` means that the time has passed."""

    NONE = ""
    PAUSE = "pause"
    FORWARD = "forward"
    BACK = "back"
    FASTER = "faster"
    SLOWER = "slower"
    NEXT = "next"
    QUIT = "quit"


class Keys(Protocol):
    """A keyboard and the clock that goes with it."""

    def wait(self, seconds: float | None) -> tuple[Key, float]:
        """Wait for a key, at most so long; gives it and how long was waited. None waits for a key alone."""
        ...


class _Stop(Exception):
    """The person wants no more."""


class Player:
    """Plays what `open_steps` gives. `idle` is the longest pause in seconds, `start` µs that are played at once."""

    def __init__(
        self,
        open_steps: Callable[[], Iterator[Step]],
        write: Callable[[bytes], object],
        keys: Keys | None,
        *,
        speed: float = 1.0,
        idle: float | None = None,
        start: int = 0,
    ) -> None:
        self._open = open_steps
        self._write = write
        self._keys = keys
        self._speed = speed
        self._idle = idle
        self._until = start  # everything up to here is written without waiting
        self._at = 0
        self._paused = False
        self._single = False
        self._again = False

    def play(self) -> None:
        """Play to the end, or until the person quits. Without keys nothing is waited for."""
        try:
            while True:
                self._again = False
                for step in self._open():
                    self._reach(step.t)
                    if self._again:
                        break
                    self._write(step.data)
                    self._at = max(self._at, step.t)
                if not self._again:
                    return
                self._at = 0
                self._write(RESET)
        except _Stop:
            return

    def _reach(self, t: int) -> None:
        """Let the time pass until `t`, and follow the keys."""
        if self._keys is None:
            return
        self._at = max(self._at, min(t, self._until))
        left = (t - self._at) / 1e6
        if self._idle is not None:
            left = min(left, self._idle)
        while self._until < t and (left > 0 or self._paused) and not self._again:
            if self._single:
                self._single = False
                return
            key, waited = self._keys.wait(None if self._paused else left / self._speed)
            if not self._paused:
                passed = min(left, waited * self._speed)
                left -= passed
                self._at += int(passed * 1e6)
            if key is Key.NONE and not self._paused:
                return
            self._follow(key)

    def _follow(self, key: Key) -> None:
        if key is Key.QUIT:
            raise _Stop
        if key is Key.PAUSE:
            self._paused = not self._paused
        elif key is Key.NEXT:
            self._single = self._paused
        elif key is Key.FASTER:
            self._speed = min(MAX_SPEED, self._speed * 2)
        elif key is Key.SLOWER:
            self._speed = max(1 / MAX_SPEED, self._speed / 2)
        elif key is Key.FORWARD:
            self._until = self._at + SEEK
        elif key is Key.BACK:
            self._until = max(0, self._at - SEEK)
            self._again = True


class Pace:
    """A `Keys` without a keyboard: only time passes."""

    def wait(self, seconds: float | None) -> tuple[Key, float]:
        """Wait so long."""
        time.sleep(seconds or 0.0)
        return Key.NONE, seconds or 0.0
