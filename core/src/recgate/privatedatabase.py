"""A SQLite file that only its owner may read: what an identity source keeps about people.

The command line and the gateway share it while both run: what `recgate token revoke` commits is what the gateway's
next question sees.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recgate.errors import RecgateError

__all__ = ["PrivateDatabase", "Schema"]

BUSY_TIMEOUT: Final = 5.0  # seconds to wait for another writer
BUSY_PAUSE: Final = 0.01  # seconds before trying again where SQLite does not wait by itself


@dataclass(frozen=True, slots=True)
class Schema:
    """What is in such a file: `fill` is called once, in the transaction that makes the tables."""

    version: int
    statements: str
    writer: str
    fill: Callable[[sqlite3.Connection], None] = lambda connection: None


class PrivateDatabase:
    """One SQLite file of mode 0600, made when it is first asked for.

    Questions share one connection, since a gateway asks after every live session's credential every few
    seconds and opening takes thirty times as long as asking. A transaction has a connection of its own.

    Args:
        path: the file. Its directory is made if it is missing.
        schema: what is in it.
        failure: what is raised when the file cannot be opened, read or written, with what to do about it.
    """

    def __init__(self, path: Path, schema: Schema, failure: type[RecgateError]) -> None:
        self.path = path
        self._schema = schema
        self._failure = failure
        self._lock = threading.Lock()
        self._shared: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def close(self) -> None:
        """Let go of the file. The next question opens it again."""
        with self._lock:
            self._drop()

    def __del__(self) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Give a connection for questions, to one thread at a time. Raises the file's `failure`."""
        with self._lock, self._failures():
            try:
                yield self._current()
            except sqlite3.Error:
                self._drop()
                raise

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Give a connection inside a transaction, durable when the block ends and undone when it raises."""
        with self._failures(), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _current(self) -> sqlite3.Connection:
        """Give the shared connection, opened anew when another file was put in place of the one it reads."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            found = None
        if found is None or self._shared is None or self._file != (found.st_dev, found.st_ino):
            self._drop()
            self._shared = self._connect()
            found = self.path.stat()
            self._file = (found.st_dev, found.st_ino)
        return self._shared

    def _connect(self) -> sqlite3.Connection:
        self._create()
        found = self.path.stat()
        if found.st_uid not in (os.geteuid(), 0, self.path.parent.stat().st_uid):
            raise self._failure(
                f"{self.path}: belongs to uid {found.st_uid}, who could be anybody by it. "
                "Restore it from a backup, or `chown` it."
            )
        rights = stat.S_IMODE(found.st_mode)
        if rights & (stat.S_IRWXG | stat.S_IRWXO):
            # Who can write this file can be anybody; who can read it knows who comes and goes.
            raise self._failure(
                f"{self.path}: others may get at it (mode {rights:04o}). Run `chmod 600 {self.path}`."
            )
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # a revocation survives power loss
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _failures(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise self._failure(
                f"{self.path}: {exc}. Check its owner, its rights and the space on its disk."
            ) from exc
        except OSError as exc:
            raise self._failure(f"{self.path}: {exc.strerror}. Make its directory writable.") from exc

    def _create(self) -> None:
        if self.path.exists():
            return
        self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        # Made by us, since SQLite would make it with the rights that the umask leaves, and through a link.
        with contextlib.suppress(FileExistsError):  # somebody was faster
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == self._schema.version:
            return
        if version > self._schema.version:
            raise self._failure(
                f"{self.path}: was written by a newer {self._schema.writer}. Install that version."
            )
        _use_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Somebody else may have made it between the question and the lock.
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in self._schema.statements.split(";\n"):
                    if statement.strip():
                        connection.execute(statement)
                self._schema.fill(connection)
                connection.execute(f"PRAGMA user_version = {self._schema.version:d}")
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. Two that do so on a new file at once are told "locked", and not to wait."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_PAUSE)
        else:
            return
