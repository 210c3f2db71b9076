"""What a witness remembers: the last head that it cosigned of every log, and what it refused, with the proof of it.

Who has these answers back cannot be talked out of them, so they are durable before a cosignature leaves the house.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recgate.errors import RecgateError
from recgate.ledger.checkpointtext import Checkpoint
from recgate.privatedatabase import PrivateDatabase, Schema

__all__ = ["FILE", "MAX_REFUSALS", "Memory", "Refusal", "Remembered", "WitnessFailed"]

FILE: Final = "heads.sqlite3"
MAX_REFUSALS: Final = 100  # kept for each log, the newest: each is a proof by itself

_SCHEMA: Final = Schema(
    version=1,
    writer="recgate witness",
    statements="""
CREATE TABLE heads (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL,
    time INTEGER NOT NULL);
CREATE TABLE refusals (number INTEGER PRIMARY KEY, origin TEXT NOT NULL, time INTEGER NOT NULL, why TEXT NOT NULL,
    size INTEGER NOT NULL, note BLOB NOT NULL, against BLOB NOT NULL);
""",
)


class WitnessFailed(RecgateError):
    """What a witness remembers cannot be read or written, so it cosigns nothing. Says what to do."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The last head that was cosigned of a log: as it was signed (`note`), and when, in seconds since 1970."""

    origin: str
    size: int
    root: bytes
    note: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A head that a log signed and that does not follow from what it signed before (`against`): both are proof."""

    origin: str
    time: int
    why: str
    size: int
    note: bytes
    against: bytes


class Memory:
    """The database of one witness. Several processes may use it: they take turns."""

    def __init__(self, state: Path) -> None:
        self._database = PrivateDatabase(state / FILE, _SCHEMA, WitnessFailed)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def deciding(self) -> Generator[Turn]:
        """Give a turn in which nobody else decides; what it notes is durable when the block ends without raising."""
        with self._database.writing() as connection:
            yield Turn(connection)

    def heads(self) -> list[Remembered]:
        """Give the last head of every log."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM heads ORDER BY origin").fetchall()
        return [_remembered(row) for row in rows]

    def refusals(self, limit: int = MAX_REFUSALS) -> list[Refusal]:
        """Give what was refused last, the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT origin, time, why, size, note, against FROM refusals ORDER BY number DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [Refusal(*row) for row in rows]


class Turn:
    """One decision."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def last(self, origin: str) -> Remembered | None:
        """Give the last head that was cosigned of a log."""
        row = self._connection.execute("SELECT * FROM heads WHERE origin = ?", (origin,)).fetchone()
        return _remembered(row) if row is not None else None

    def cosigned(self, head: Checkpoint, note: bytes, time: int) -> None:
        """Remember that this head is cosigned."""
        self._connection.execute(
            "INSERT OR REPLACE INTO heads (origin, size, root, note, time) VALUES (?, ?, ?, ?, ?)",
            (head.origin, head.size, head.root, note, time),
        )

    def refused(self, refusal: Refusal) -> bool:
        """Keep a refusal as proof; says if it is a new one, and not the last one said again."""
        last = self._connection.execute(
            "SELECT note FROM refusals WHERE origin = ? ORDER BY number DESC LIMIT 1", (refusal.origin,)
        ).fetchone()
        if last is not None and last["note"] == refusal.note:
            return False
        self._connection.execute(
            "INSERT INTO refusals (origin, time, why, size, note, against) VALUES (?, ?, ?, ?, ?, ?)",
            (
                refusal.origin,
                refusal.time,
                refusal.why,
                refusal.size,
                refusal.note,
                refusal.against,
            ),
        )
        self._connection.execute(
            "DELETE FROM refusals WHERE origin = ?1 AND number NOT IN "
            "(SELECT number FROM refusals WHERE origin = ?1 ORDER BY number DESC LIMIT ?2)",
            (refusal.origin, MAX_REFUSALS),
        )
        return True


def _remembered(row: sqlite3.Row) -> Remembered:
    return Remembered(row["origin"], row["size"], row["root"], row["note"], row["time"])
