"""The directory's file: SQLite, opened for each question, so that the command line and the gateway share it.

What `recgate token revoke` commits is what the gateway's next question sees. No connection is kept, so none
crosses threads and none is left behind.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from recgate_local.errors import DirectoryFailed

__all__ = ["Database"]

VERSION: Final = 1
BUSY_TIMEOUT: Final = 5.0  # seconds to wait for another writer

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    folded TEXT NOT NULL UNIQUE,
    created REAL NOT NULL
) STRICT;
CREATE TABLE memberships (
    user TEXT NOT NULL REFERENCES users(name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (user, name)
) STRICT;
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users(name) ON DELETE CASCADE,
    algorithm TEXT NOT NULL,
    blob BLOB NOT NULL UNIQUE,
    comment TEXT NOT NULL,
    added REAL NOT NULL,
    used REAL
) STRICT;
CREATE TABLE certificates (
    serial INTEGER PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users(name) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    issued REAL NOT NULL,
    expires REAL NOT NULL,
    revoked REAL,
    used REAL
) STRICT;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users(name) ON DELETE CASCADE,
    hash BLOB NOT NULL UNIQUE,
    label TEXT NOT NULL,
    groups TEXT NOT NULL,
    issued REAL NOT NULL,
    expires REAL,
    revoked REAL,
    used REAL,
    stored_key BLOB,
    server_key BLOB
) STRICT;
CREATE INDEX tokens_by_user ON tokens (user);
"""


class Database:
    """One SQLite file of mode 0600, made when it is first asked for.

    Args:
        path: usually `data_dir/local.sqlite`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Give a connection for questions. Raises `DirectoryFailed`."""
        with self._open() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Give a connection inside a transaction, durable when the block ends and undone when it raises."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            self._create()
            with closing(
                sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None)
            ) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA synchronous = FULL")  # a revocation survives power loss
                self._migrate(connection)
                yield connection
        except sqlite3.Error as exc:
            raise DirectoryFailed(
                f"{self.path}: {exc}. Check its owner, its rights and the space on its disk."
            ) from exc
        except OSError as exc:
            raise DirectoryFailed(f"{self.path}: {exc.strerror}. Make its directory writable.") from exc

    def _create(self) -> None:
        if self.path.exists():
            return
        self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        # Made by us, since SQLite would make it with the rights that the umask leaves.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == VERSION:
            return
        if version > VERSION:
            raise DirectoryFailed(f"{self.path}: was written by a newer recgate-local. Install that version.")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Somebody else may have made it between the question and the lock.
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";\n"):
                    if statement.strip():
                        connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('salts', ?)", (secrets.token_bytes(32),))
                connection.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
