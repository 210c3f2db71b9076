"""Slow down guessing, by address and by name, without giving anybody a way to lock somebody else out.

Failures from one address make that address wait, longer each time. Failures against one name from many addresses
make only addresses wait that have failed themselves and never got in as that name, and never for long. An address
that has not failed is always heard: no attacker elsewhere can keep its user out. What one customer of an IPv6 network
has is one address.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from recgate.addresses import block_of

__all__ = ["FREE_ATTEMPTS", "LoginGuard"]

FREE_ATTEMPTS: Final = 5  # failures before waiting begins: a mistyped password costs nothing
NAME_FREE_ATTEMPTS: Final = 50  # failures against one name, from anywhere, before strangers wait
MAX_WAIT: Final = 60.0  # seconds; the longest wait of an address
NAME_WAIT: Final = 2.0  # seconds that strangers to a much-guessed name wait
FORGET: Final = 900.0  # seconds without a failure after which the record is clean
MAX_TRACKED: Final = 20_000  # addresses and names remembered; the oldest are forgotten first
MAX_KNOWN: Final = 16  # addresses remembered per name as having got in


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last: float = 0.0
    until: float = 0.0
    known: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])


class LoginGuard:
    """Says how long an attempt must wait. Pure: `now` is monotonic seconds, passed in."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Record] = OrderedDict()
        self._names: OrderedDict[str, _Record] = OrderedDict()

    def wait(self, address: str, name: str, now: float) -> float:
        """Seconds until an attempt from `address` as `name` is heard; 0 means now."""
        wait, address = 0.0, block_of(address)
        record = self._fresh(self._addresses, address, now)
        if record is not None:
            wait = max(0.0, record.until - now)
        suspect = record is not None and record.failures > 0
        record = self._fresh(self._names, name, now) if name and suspect else None
        if record is not None and record.failures >= NAME_FREE_ATTEMPTS and address not in record.known:
            wait = max(wait, record.last + NAME_WAIT - now)
        return wait

    def waiting(self, now: float) -> int:
        """How many addresses must wait at this moment."""
        return sum(record.until > now for record in self._addresses.values())

    def guessed(self, now: float) -> int:
        """How many names have been guessed at so often lately that who guesses must wait."""
        return sum(
            record.failures >= NAME_FREE_ATTEMPTS and now - record.last <= FORGET
            for record in self._names.values()
        )

    def failed(self, address: str, name: str, now: float) -> None:
        """Remember a failed attempt."""
        address = block_of(address)
        record = self._record(self._addresses, address, now)
        record.failures += 1
        record.last = now
        over = record.failures - FREE_ATTEMPTS
        if over >= 0:
            record.until = now + min(MAX_WAIT, 2.0 ** min(over, 10))
        if name:
            record = self._record(self._names, name, now)
            record.failures += 1
            record.last = now

    def succeeded(self, address: str, name: str, now: float) -> None:
        """Forget an address's failures, and know it as one that got in as `name`."""
        address = block_of(address)
        self._addresses.pop(address, None)
        if name in self._names:
            known = self._names[name].known
            known[address] = None
            while len(known) > MAX_KNOWN:
                known.popitem(last=False)

    def _fresh(self, table: OrderedDict[str, _Record], key: str, now: float) -> _Record | None:
        record = table.get(key)
        if record is not None and now - record.last > FORGET:
            record.failures = 0
        return record

    def _record(self, table: OrderedDict[str, _Record], key: str, now: float) -> _Record:
        record = self._fresh(table, key, now)
        if record is None:
            record = table[key] = _Record()
            while len(table) > MAX_TRACKED:
                table.popitem(last=False)
        table.move_to_end(key)
        return record
