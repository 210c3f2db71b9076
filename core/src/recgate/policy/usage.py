"""What every principal was given today, kept over restarts: what `principal.rows_today` and its like are compared with.

Counted in memory, where sessions of one principal share a `Tally`, and written down every second; what a crash may
lose is what was counted since. A day begins at midnight in the gateway's time zone. Every gateway writes lines of its
own, and reads those of others when a principal's first session of the day opens: one file, or one table, for several.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import trio

from recgate.errors import AccessDenied, RecgateError
from recgate.model import Principal
from recgate.policy.braking import Tally
from recgate.privatedatabase import PrivateDatabase, Schema

__all__ = ["Usage", "UsageUnknown"]

EVERY: Final = 1.0  # seconds between writes
KEPT_DAYS: Final = 2  # lines older than yesterday's are of no use
MAX_UNWRITTEN: Final = 100_000  # tallies that wait to be written; beyond them nobody new is let in

_TABLES: Final = """
CREATE TABLE given (
    gateway TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, day TEXT NOT NULL,
    rows INTEGER NOT NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL, more INTEGER NOT NULL,
    PRIMARY KEY (gateway, issuer, subject, day)
) WITHOUT ROWID;
CREATE TABLE asked (
    gateway TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, day TEXT NOT NULL, statement BLOB NOT NULL,
    PRIMARY KEY (gateway, issuer, subject, day, statement)
) WITHOUT ROWID;
"""

log = structlog.get_logger("recgate.policy")


class UsageUnknown(AccessDenied):
    """What a principal was given today cannot be read or written, and rules go by it: nobody is let in by guess."""


class _Broken(RecgateError):
    """The file cannot be used; for the log, since it names paths."""


@dataclass(slots=True)
class _Line:
    """A tally with the name that it is kept under, and what other gateways have counted of it."""

    key: tuple[str, str]
    tally: Tally
    others: tuple[int, int, int, int] = (0, 0, 0, 0)
    day: str = ""


@dataclass(slots=True)
class _Written:
    """What is to be written of one line, taken while nobody counts."""

    key: tuple[str, str]
    day: str
    values: tuple[int, int, int, int]
    statements: list[bytes] = field(default_factory=list[bytes])


class Usage:
    """The tallies of one gateway, in the file `path`. `clock` gives wall-clock seconds."""

    def __init__(self, path: Path, gateway: str, clock: Callable[[], float] = time.time) -> None:
        self._database = PrivateDatabase(path, Schema(1, _TABLES, "gateway"), _Broken)
        self._gateway = gateway
        self._clock = clock
        self._lock = trio.Lock()
        self._day = self._today()
        self._lines: dict[tuple[str, str], _Line] = {}
        self._failed = False

    def _today(self) -> str:
        return time.strftime("%Y-%m-%d", time.localtime(self._clock()))

    async def tally(self, principal: Principal) -> Tally:
        """Give the tally that all sessions of a principal share, with one more in `users`: its caller takes that back.

        Raises:
            UsageUnknown: what was used today cannot be read, or what was used before could not be written.
        """
        key = (principal.issuer, principal.subject)
        async with self._lock:
            self._turn()
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = await self._found(key)
            line.tally.users += 1
            return line.tally

    async def _found(self, key: tuple[str, str]) -> _Line:
        if not self._failed and len(self._lines) < MAX_UNWRITTEN:
            try:
                return await trio.to_thread.run_sync(self._read, key, self._day)
            except _Broken as exc:
                log.error("usage.failed", error=str(exc))
        raise UsageUnknown(
            "what was used today cannot be told, and rules go by it; the gateway's log says why"
        )

    async def run(self) -> None:
        """Write down what changes, until cancelled; then once more."""
        try:
            while True:
                await trio.sleep(EVERY)
                await self.write()
        finally:
            with trio.CancelScope(shield=True):
                await self.write()
            self._database.close()

    async def write(self) -> None:
        """Write down what has changed. What cannot be written is tried again, and keeps new sessions out meanwhile."""
        async with self._lock:
            self._turn()
            changed = [line for line in self._lines.values() if line.tally.changed]
            taken = [self._taken(line) for line in changed]
            if taken:
                try:
                    # What was taken is in no tally any more: a cancellation before the thread starts would lose it.
                    with trio.CancelScope(shield=True):
                        await trio.to_thread.run_sync(self._write, taken)
                    self._failed = False
                except _Broken as exc:
                    self._failed = True
                    log.error("usage.failed", error=str(exc))
                    for line, each in zip(changed, taken, strict=True):
                        line.tally.changed = True
                        line.tally.statements.fresh[:0] = each.statements
            for key, line in list(self._lines.items()):
                # Nobody but this book holds it: its day goes on in the file.
                if not line.tally.changed and line.tally.users == 0:
                    del self._lines[key]

    def _turn(self) -> None:
        """Begin a new day, where one has begun: what was counted until now was yesterday's."""
        today = self._today()
        if today == self._day:
            return
        self._day = today
        for line in self._lines.values():
            line.tally.clear()
            line.others, line.day = (0, 0, 0, 0), today

    def _taken(self, line: _Line) -> _Written:
        tally = line.tally
        own = (tally.rows, tally.bytes, tally.files, tally.statements.more)
        statements, tally.statements.fresh = tally.statements.fresh, []
        tally.changed = False
        values = tuple(a - b for a, b in zip(own, line.others, strict=True))
        return _Written(line.key, line.day, (values[0], values[1], values[2], values[3]), statements)

    # -- in a thread ---------------------------------------------------------------------------------------------

    def _read(self, key: tuple[str, str], day: str) -> _Line:
        tally = Tally()
        of_others = [0, 0, 0, 0]
        with self._database.reading() as connection:
            for row in connection.execute(
                "SELECT gateway, rows, bytes, files, more FROM given WHERE issuer = ? AND subject = ? AND day = ?",
                (*key, day),
            ):
                values = row["rows"], row["bytes"], row["files"], row["more"]
                tally.rows += values[0]
                tally.bytes += values[1]
                tally.files += values[2]
                tally.statements.more += values[3]
                if row["gateway"] != self._gateway:
                    of_others = [a + b for a, b in zip(of_others, values, strict=True)]
            for row in connection.execute(
                "SELECT DISTINCT statement FROM asked WHERE issuer = ? AND subject = ? AND day = ?",
                (*key, day),
            ):
                tally.statements.add(row["statement"])
        tally.statements.fresh = []
        others = (of_others[0], of_others[1], of_others[2], of_others[3])
        return _Line(key, tally, others, day)

    def _write(self, lines: list[_Written]) -> None:
        old = time.strftime("%Y-%m-%d", time.localtime(self._clock() - KEPT_DAYS * 86_400))
        with self._database.writing() as connection:
            for line in lines:
                name = (self._gateway, *line.key, line.day)
                values = (*name, *line.values)
                connection.execute("INSERT OR REPLACE INTO given VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
                connection.executemany(
                    "INSERT OR IGNORE INTO asked VALUES (?, ?, ?, ?, ?)",
                    [(*name, statement) for statement in line.statements],
                )
            connection.execute("DELETE FROM given WHERE day < ?", (old,))
            connection.execute("DELETE FROM asked WHERE day < ?", (old,))
