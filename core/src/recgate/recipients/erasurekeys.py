"""The erasure key of every session: one place, outside all recordings, whose loss or destruction makes them unreadable.

Whoever copies or backs up recordings copies ciphertext. Destroying a session's key here reaches all those copies;
their signatures and digests go on verifying. What was handed over to an auditor is not reached.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from recgate.errors import RecordingFailed, RecordingSealed
from recgate.model import Secret
from recgate.privatedatabase import PrivateDatabase, Schema
from recgate.recipients.wrapping import KEY_BYTES

__all__ = ["ERASURE_FILE", "ErasureKeys", "ErasureSource"]

ERASURE_FILE: Final = "erasure.sqlite3"

_TABLES: Final = """
CREATE TABLE erasure (
    session BLOB PRIMARY KEY CHECK (length(session) = 16),
    key BLOB CHECK (length(key) = 32),      -- NULL once it is destroyed
    made REAL NOT NULL,
    destroyed REAL
) WITHOUT ROWID
"""


class ErasureSource(Protocol):
    """Where a reader finds erasure keys."""

    def find(self, session: bytes) -> Secret | None:
        """Give a session's key (32 bytes), or None if it is not here. Raises `RecordingSealed`: it is destroyed."""
        ...


class ErasureKeys:
    """The gateway's own keys, in `data_dir/erasure.sqlite3` (mode 0600).

    The file alone is complete whenever no call is under way: a copy of it needs no `-wal` beside it.

    Every method raises `RecordingFailed` when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._database = PrivateDatabase(path, Schema(1, _TABLES, "recgate"), RecordingFailed)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def of(self, session: bytes) -> Secret:
        """Give the key of a session (16 bytes). It is made if there is none, and durable when this returns.

        Raises:
            RecordingSealed: it was destroyed; nothing more can be sealed under it.
        """
        found = self.find(session)
        if found is not None:
            return found
        with self._database.writing() as connection:
            # Two may ask for the first time at once: whoever comes second takes the first one's.
            connection.execute(
                "INSERT OR IGNORE INTO erasure (session, key, made) VALUES (?, ?, ?)",
                (session, secrets.token_bytes(KEY_BYTES), time.time()),
            )
        self._settle()
        made = self.find(session)
        assert made is not None
        return made

    def find(self, session: bytes) -> Secret | None:
        """Give the key of a session, or None. Raises `RecordingSealed` when it was destroyed."""
        with self._database.reading() as connection:
            row: sqlite3.Row | None = connection.execute(
                "SELECT key, destroyed FROM erasure WHERE session = ?", (session,)
            ).fetchone()
        if row is None:
            return None
        if row["key"] is None:
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(row["destroyed"]))
            raise RecordingSealed(f"it was erased: its erasure key was destroyed at {when}")
        return Secret(row["key"])

    def all(self) -> Iterator[tuple[bytes, Secret]]:
        """Give every session that has a key, with it, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT session, key FROM erasure WHERE key IS NOT NULL ORDER BY session"
            ).fetchall()
        for row in rows:
            yield row["session"], Secret(row["key"])

    def destroy(self, session: bytes) -> bool:
        """Destroy the key of a session for good; False if there was none. The file keeps no byte of it."""
        with self._database.writing() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            changed = connection.execute(
                "UPDATE erasure SET key = NULL, destroyed = ? WHERE session = ? AND key IS NOT NULL",
                (time.time(), session),
            ).rowcount
        self._settle()
        return changed > 0

    def _settle(self) -> None:
        """Move what the write-ahead log holds into the file, and cut the log."""
        with self._database.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
