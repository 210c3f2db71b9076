"""Give back what was lent to nobody: the session had gone before the vault answered, or the answer was no use.

The core journals what a session has been given. What it never heard of is given back here, again and again until the
vault has taken it or its time is over; each outcome is logged. A thread runs while there is anything to do.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from recgate.errors import VaultFailed

__all__ = ["Reaper"]

MAX_WAITING: Final = 10_000  # loans; more are left to their time to live, and logged
FIRST_PAUSE: Final = 0.5  # seconds
LONGEST_PAUSE: Final = 60.0  # seconds
FOREVER: Final = 24 * 3_600.0  # seconds that a loan without a time to live is tried for

log = structlog.get_logger("recgate.vault")


@dataclass(slots=True)
class _Stray:
    name: str
    until: float
    pause: float = FIRST_PAUSE
    next: float = 0.0


class Reaper:
    """Calls `revoke(name)`, which blocks and raises `VaultFailed`, for each loan that was handed over."""

    def __init__(self, vault: str, revoke: Callable[[str], None]) -> None:
        self._vault = vault
        self._revoke = revoke
        self._changed = threading.Condition()
        self._strays: deque[_Stray] = deque()
        self._runs = False

    @property
    def waiting(self) -> int:
        """Loans that are not yet given back."""
        with self._changed:
            return len(self._strays)

    def take(self, name: str, ttl: float | None) -> None:
        """Take over a loan. Never blocks for longer than a lock."""
        # Told before it is tried, so that it is known of whatever happens to this process.
        log.warning("lease.stray", vault=self._vault, lease=name)
        stray = _Stray(name, time.monotonic() + (FOREVER if ttl is None else ttl))
        with self._changed:
            if len(self._strays) >= MAX_WAITING:
                self._lost(stray, "too many are waiting")
                return
            self._strays.append(stray)
            if not self._runs:
                self._runs = True
                # A daemon: what is left when the gateway ends, ends with its time to live or the gateway's token.
                threading.Thread(target=self._run, name=f"vault-{self._vault}-reaper", daemon=True).start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._strays:
                    self._runs = False
                    return
                stray = min(self._strays, key=lambda each: each.next)
                left = stray.next - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
            self._try(stray)

    def _try(self, stray: _Stray) -> None:
        try:
            self._revoke(stray.name)
        except VaultFailed as exc:
            now = time.monotonic()
            if now + stray.pause < stray.until:
                stray.next, stray.pause = now + stray.pause, min(2 * stray.pause, LONGEST_PAUSE)
                return
            self._lost(stray, str(exc))
        except Exception as exc:  # noqa: BLE001 - the thread must go on for the other loans; this one is told of
            self._lost(stray, type(exc).__name__)
        else:
            log.info("lease.revoked", vault=self._vault, lease=stray.name, reason="nobody took it")
        with self._changed:
            self._strays.remove(stray)

    def _lost(self, stray: _Stray, reason: str) -> None:
        log.error("lease.unrevoked", vault=self._vault, lease=stray.name, reason=reason)
