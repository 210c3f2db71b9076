"""What each figure is held against: the target that is wanted and the floor below which a build is too slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BUDGET", "Limit", "reached"]


@dataclass(frozen=True, slots=True)
class Limit:
    """A target and a floor; `at_most` says that less is better."""

    target: float
    floor: float
    at_most: bool = False


BUDGET: Final[dict[str, Limit]] = {
    "pgbench": Limit(0.8, 0.6),  # of pgbouncer's transactions a second
    "pgbench-tls": Limit(0.7, 0.5),  # of pgbouncer's, TLS to the client on both
    "rows": Limit(1.0, 0.9),  # of direct
    "policy": Limit(0.98, 0.95),  # of the processor time of a transaction with no rule
    "masked-none": Limit(0.7, 0.5),  # of direct, a content mask that no row is hit by
    "masked-some": Limit(0.5, 0.3),  # of direct, one row in a hundred is
    "masked-column": Limit(0.2, 0.08),  # of direct, one column of four masked by its origin
    "synced": Limit(0.6, 0.4),  # of `durability: written`
    "ssh-bulk": Limit(1.1, 0.8),  # of ProxyJump
    "ssh-echo": Limit(150.0, 220.0, at_most=True),  # µs added to direct's p50
    "ssh-setup": Limit(2.0, 1.5),  # of ProxyJump's sessions a second
    "memory-postgres": Limit(15.0, 40.0, at_most=True),  # KB a session
    "memory-ssh": Limit(80.0, 150.0, at_most=True),  # KB a session
    "stored-terminal": Limit(0.12, 0.2, at_most=True),  # bytes on disk per byte on the wire
    "stored-rows": Limit(0.25, 0.35, at_most=True),
    "verify": Limit(300.0, 150.0),  # MB of recorded wire bytes a second on one core
}


def reached(value: float, limit: Limit | None) -> str:
    """Say how a value stands to its limit: `target`, `floor`, `NO`, or `-` where there is none."""
    if limit is None:
        return "-"
    if value <= limit.target if limit.at_most else value >= limit.target:
        return "target"
    if value <= limit.floor if limit.at_most else value >= limit.floor:
        return "floor"
    return "NO"
