"""What keeps a recording from being removed, and what was removed, by whom and why: `data_dir/retention.sqlite3`.

The ledger has a digest of the reason alone, since nothing can be taken out of it again; the words are here.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from recgate.errors import RecgateError
from recgate.ledger.acts import Words
from recgate.privatedatabase import PrivateDatabase, Schema

__all__ = ["LegalHold", "Removal", "RemovalKind", "RetentionBook", "RetentionFailed"]

RemovalKind = Literal["retention", "erase"]
MAX_WHY: Final = 1_000  # characters of a reason

_TABLES: Final = """
CREATE TABLE holds (
    session TEXT PRIMARY KEY, since REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE removals (
    session TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
    salt TEXT NOT NULL, keep INTEGER NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (session, kind)
) WITHOUT ROWID;
"""

_REMOVAL: Final = "session, kind, at, who, why, salt, keep, done"


class RetentionFailed(RecgateError):
    """A recording was not removed, or not held; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class LegalHold:
    """A recording that stays, whatever the rules say. `since` is wall-clock seconds."""

    session: str
    since: float
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Removal:
    """A recording that is removed, or about to be: `done` once nothing of it is left.

    With `keep`, its objects stay where they are, and only the key that opens them goes.
    """

    session: str
    kind: RemovalKind
    at: float
    who: str
    why: str
    salt: str
    keep: bool = False
    done: bool = False

    @property
    def words(self) -> Words:
        """What the audit trail says of it, which the ledger's entry has the digest of: the same words at every try."""
        said = {"session": self.session, "by": self.who, "reason": self.why, "salt": self.salt}
        if self.kind == "retention":
            return Words("recording.removed", said)
        return Words("recording.erased", said)


class RetentionBook:
    """The book of one gateway, shared with the command line. Every method raises `RetentionFailed`."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = PrivateDatabase(path, Schema(1, _TABLES, "gateway"), RetentionFailed)
        self._clock = clock

    def holds(self) -> list[LegalHold]:
        """List what is held, the oldest first."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT session, since, who, why FROM holds ORDER BY since, session")
            return [LegalHold(*row) for row in found]

    def held(self, session: str) -> LegalHold | None:
        """Give the hold on a recording, or None."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT session, since, who, why FROM holds WHERE session = ?", (session,)
            ).fetchone()
            return LegalHold(*row) if row else None

    def hold(self, session: str, who: str, why: str) -> LegalHold:
        """Hold a recording. One that is held already stays as it is: two cases need two names in one reason."""
        made = LegalHold(session, self._clock(), who, _reason(why))
        with self._database.writing() as connection:
            removed = connection.execute("SELECT kind FROM removals WHERE session = ?", (session,)).fetchone()
            if removed is not None:
                raise RetentionFailed(f"{session} was removed already ({removed['kind']})")
            known = connection.execute("SELECT who, why FROM holds WHERE session = ?", (session,)).fetchone()
            if known is not None:
                raise RetentionFailed(f"{session} is held by {known['who']} already: {known['why']}")
            connection.execute(
                "INSERT INTO holds VALUES (?, ?, ?, ?)", (session, made.since, made.who, made.why)
            )
        return made

    def lift(self, session: str) -> LegalHold | None:
        """Take a hold away; gives what it was, or None when there was none."""
        with self._database.writing() as connection:
            row = connection.execute(
                "DELETE FROM holds WHERE session = ? RETURNING session, since, who, why", (session,)
            ).fetchone()
            return LegalHold(*row) if row else None

    def intend(self, session: str, kind: RemovalKind, who: str, why: str, *, keep: bool = False) -> Removal:
        """Write down that a recording is to be removed, before anything is. Held ones are refused, in the same breath.

        Of two that remove the same one, both get the first one's words.
        """
        made = Removal(session, kind, self._clock(), who, _reason(why), secrets.token_hex(16), keep)
        with self._database.writing() as connection:
            held = connection.execute("SELECT who, why FROM holds WHERE session = ?", (session,)).fetchone()
            if held is not None:
                raise RetentionFailed(
                    f"{session} is held by {held['who']} ({held['why']}): a legal hold wins. "
                    f"Lift it first: recgate retention lift {session} --reason …"
                )
            connection.execute(
                "INSERT OR IGNORE INTO removals VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (session, kind, made.at, who, made.why, made.salt, int(keep)),
            )
            row = connection.execute(
                f"SELECT {_REMOVAL} FROM removals WHERE session = ? AND kind = ?",  # noqa: S608 - our own words
                (session, kind),
            ).fetchone()
            return _removal(row)

    def done(self, session: str, kind: RemovalKind) -> None:
        """Nothing is left of it."""
        with self._database.writing() as connection:
            connection.execute("UPDATE removals SET done = 1 WHERE session = ? AND kind = ?", (session, kind))

    def removals(self, *, done: bool) -> list[Removal]:
        """List removals that are finished, or those that are not, the oldest first."""
        with self._database.reading() as connection:
            found = connection.execute(
                f"SELECT {_REMOVAL} FROM removals WHERE done = ? ORDER BY at, session",  # noqa: S608 - our own words
                (int(done),),
            )
            return [_removal(row) for row in found]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _removal(row: sqlite3.Row) -> Removal:
    return Removal(*row[:6], keep=bool(row["keep"]), done=bool(row["done"]))


def _reason(why: str) -> str:
    text = why.strip()
    if not text or len(text) > MAX_WHY:
        raise RetentionFailed(f"say why, in 1 to {MAX_WHY} characters: it is what an auditor will ask")
    return text
