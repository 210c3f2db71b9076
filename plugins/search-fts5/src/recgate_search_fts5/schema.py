"""The tables of the index, and the two connections that work on them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Final

from recgate.errors import RecgateError

__all__ = ["TOKENIZER", "VERSION", "open_index"]

VERSION: Final = 1
BUSY_SECONDS: Final = 30.0  # another process's transaction is one segment's entries
BUSY_PAUSE: Final = 0.01  # seconds before trying again where SQLite does not wait by itself
TOKENIZER: Final = "unicode61 remove_diacritics 2"

# `words` says which packs have all of a query's tokens, wherever they stand; exact answers are found in the
# packs themselves. So it need not know places in the text (detail=none), which makes it small and quick.
_TABLES: Final = (
    """CREATE TABLE session(
        sid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, target TEXT NOT NULL,
        started REAL NOT NULL)""",
    "CREATE INDEX session_started ON session(started, sid)",
    """CREATE TABLE fact(
        name TEXT NOT NULL, value TEXT NOT NULL, sid INTEGER NOT NULL,
        PRIMARY KEY(name, value, sid)) WITHOUT ROWID""",
    "CREATE INDEX fact_sid ON fact(sid)",
    """CREATE TABLE pack(
        pid INTEGER PRIMARY KEY, sid INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        begins REAL NOT NULL, ends REAL NOT NULL, kind TEXT NOT NULL,
        head TEXT NOT NULL, tail TEXT NOT NULL, terms TEXT NOT NULL, members BLOB NOT NULL)""",
    "CREATE INDEX pack_place ON pack(sid, first, last)",
    """CREATE TABLE term(
        name TEXT NOT NULL, value TEXT NOT NULL, pid INTEGER NOT NULL,
        PRIMARY KEY(name, value, pid)) WITHOUT ROWID""",
    "CREATE INDEX term_pid ON term(pid)",
    f"""CREATE VIRTUAL TABLE words USING fts5(
        head, tail, content='pack', content_rowid='pid', detail=none, columnsize=0,
        tokenize="{TOKENIZER}")""",
)


def open_index(path: Path, *, shared: bool = False) -> sqlite3.Connection:
    """Open the index, and make it if there is none. `shared` allows other threads, one at a time.

    Raises:
        RecgateError: the file is no index, of another release, or cannot be opened.
    """
    try:
        # isolation_level None: transactions are begun by hand, as writing ones.
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=not shared
        )
    except sqlite3.Error as exc:
        raise RecgateError(
            f"search-fts5: {path}: {exc}; check that the directory is there and writable"
        ) from exc
    try:
        _use_wal(connection)
        # The state of indexing is saved elsewhere and says what is in here, so it must be.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        _prepare(connection, path)
    except sqlite3.Error as exc:
        connection.close()
        raise RecgateError(
            f"search-fts5: {path}: {exc}; if it is no search index, move it away and start again"
        ) from exc
    except RecgateError:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. Two that do so on a new file at once are told "locked", and not to wait."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_PAUSE)
        else:
            return


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection)
        if found == 0:
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        elif found != VERSION:
            raise RecgateError(
                f"search-fts5: {path} has version {found}, this release knows {VERSION}: "
                "use the release that made it, or move it away"
            )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version
