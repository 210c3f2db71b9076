"""This terminal: its keys one by one while something plays, and as it was before when that is over."""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from types import TracebackType
from typing import Final

from recgate.transcript.playing import Key

__all__ = ["RESTORE", "Keyboard"]

# Soft reset (DECSTR), colours off, cursor on, main screen, no mouse and paste reports, keys as they are by default.
RESTORE: Final = (
    b"\x1b[!p\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>"
)
ESCAPE: Final = 0.05  # seconds in which the rest of an arrow key's sequence comes
ANSWERS: Final = 0.2  # seconds in which a terminal answers what a recording asked of it

_KEYS: Final = {
    b" ": Key.PAUSE,
    b"q": Key.QUIT,
    b"Q": Key.QUIT,
    b"\x03": Key.QUIT,
    b"+": Key.FASTER,
    b"=": Key.FASTER,
    b"-": Key.SLOWER,
    b".": Key.NEXT,
    b"\x1b[C": Key.FORWARD,
    b"\x1bOC": Key.FORWARD,
    b"\x1b[D": Key.BACK,
    b"\x1bOD": Key.BACK,
}


class Keyboard:
    """A `Keys` on a terminal's file descriptor; use as `with`.

    What is typed is not echoed. On leaving, the terminal is set back, and what it answered to requests in the
    recording is thrown away: otherwise a hostile recording could type into the operator's shell.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before = termios.tcgetattr(fd)

    def __enter__(self) -> Keyboard:
        tty.setcbreak(self._fd)
        settings = termios.tcgetattr(self._fd)
        settings[3] &= ~termios.ISIG  # ^C is a key like q: the terminal must be set back first
        termios.tcsetattr(self._fd, termios.TCSANOW, settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while select.select([self._fd], [], [], ANSWERS)[0] and os.read(self._fd, 4096):
            pass
        termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)

    def wait(self, seconds: float | None) -> tuple[Key, float]:
        """Wait for a key that means something, at most so long."""
        begun = time.monotonic()
        while True:
            waited = time.monotonic() - begun
            left = None if seconds is None else seconds - waited
            if left is not None and left <= 0:
                return Key.NONE, waited
            if not select.select([self._fd], [], [], left)[0]:
                continue
            typed = self._read()
            if not typed:
                return Key.QUIT, time.monotonic() - begun  # the terminal is gone
            if (key := _KEYS.get(typed)) is not None:
                return key, time.monotonic() - begun

    def _read(self) -> bytes:
        typed = os.read(self._fd, 1)
        if typed != b"\x1b":
            return typed
        # The rest of a sequence, read whole, so that an answer of the terminal is not taken for keys.
        while len(typed) < 64 and select.select([self._fd], [], [], ESCAPE)[0]:
            typed += os.read(self._fd, 1)
            if len(typed) > 2 and (typed[-1:].isalpha() or typed[-1:] == b"~"):
                break
            if len(typed) == 2 and typed[1:] not in (b"[", b"O", b"]", b"P"):
                break
        return typed
