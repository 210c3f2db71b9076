"""Add entries, one transaction a batch; find; forget. Several processes have the file open at once."""

from __future__ import annotations

import json
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from recgate.errors import RecgateError
from recgate.providers import SearchHit, SearchQuery, SessionRow
from recgate.transcript.entries import Entry
from recgate_search_fts5.finding import find
from recgate_search_fts5.packing import Pack, pack_entries, unpack
from recgate_search_fts5.schema import open_index

__all__ = ["FtsIndex"]

# Names in these are found by their last parts as well: `customers` finds `shop.public.customers`.
DOTTED: Final = frozenset({"table", "column", "function", "schema"})
PATHS: Final = frozenset({"file", "path"})


class FtsIndex:
    """A `SearchIndex` in one SQLite file. Adding is one transaction; a killed process leaves none of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writer = open_index(path, shared=True)
        self._purged = False

    def add(self, session: SessionRow, entries: Sequence[Entry]) -> None:
        """Index entries of a session; those that are there already are replaced. Raises `RecgateError`."""
        with self._writing() as connection:
            sid = _put_session(connection, session)
            if entries:
                _remove_again(connection, session.started, sid, entries)
                for pack in pack_entries(entries):
                    _put_pack(connection, session.started, sid, pack)

    def find(self, query: SearchQuery) -> Iterator[SearchHit]:
        """Give the hits, lazily, from one state of the index."""
        try:
            with closing(open_index(self._path)) as connection:
                yield from find(connection, query)
        except sqlite3.Error as exc:
            raise RecgateError(f"search-fts5: {self._path}: {exc}") from exc

    def purge(self, session: str) -> None:
        """Forget everything of a session. What the index files still hold of it goes when this is closed."""
        with self._writing() as connection:
            found = connection.execute("SELECT sid FROM session WHERE id = ?", (session,)).fetchone()
            if found is None:
                return
            connection.execute(
                "INSERT INTO words(words, rowid, head, tail) "
                "SELECT 'delete', pid, head, tail FROM pack WHERE sid = ?",
                found,
            )
            connection.execute("DELETE FROM term WHERE pid IN (SELECT pid FROM pack WHERE sid = ?)", found)
            for table in ("pack", "fact", "session"):
                connection.execute(f"DELETE FROM {table} WHERE sid = ?", found)  # noqa: S608 - three constants
            self._purged = True

    def close(self) -> None:
        """Let go of the file. After a purge the index is first rewritten without its words, which takes."""
        if self._purged:
            with self._writing() as connection:
                connection.execute("INSERT INTO words(words) VALUES('optimize')")
            self._purged = False
        self._writer.close()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
            except sqlite3.Error as exc:
                raise RecgateError(
                    f"search-fts5: {self._path}: {exc}; check that it is writable and the disk is not full"
                ) from exc


def _put_session(connection: sqlite3.Connection, row: SessionRow) -> int:
    known = connection.execute("SELECT sid FROM session WHERE id = ?", (row.id,)).fetchone()
    if known is not None:
        return known[0]
    done = connection.execute(
        "INSERT INTO session(id, user, target, started) VALUES(?, ?, ?, ?)",
        (row.id, row.user, row.target, row.started),
    )
    sid = done.lastrowid or 0  # an INSERT that did not fail has a row
    facts = {("session", row.id), ("user", row.user), ("target", row.target), ("protocol", row.protocol)}
    facts |= {("group", group) for group in row.groups}
    facts |= {("source", row.source), ("source", row.source.rpartition(":")[0])}
    connection.executemany(
        "INSERT OR IGNORE INTO fact(name, value, sid) VALUES(?, ?, ?)",
        [(name, value.casefold(), sid) for name, value in facts],
    )
    return sid


def _put_pack(connection: sqlite3.Connection, started: float, sid: int, pack: Pack) -> None:
    times = [member.t for member in pack.members]
    head, tail = pack.head, pack.tail
    done = connection.execute(
        "INSERT INTO pack(sid, first, last, begins, ends, kind, head, tail, terms, members) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            sid,
            pack.first,
            pack.last,
            started + min(times) / 1e6,
            started + max(times) / 1e6,
            pack.kind,
            head,
            tail,
            json.dumps(pack.terms),
            pack.dump(),
        ),
    )
    pid = done.lastrowid
    connection.execute("INSERT INTO words(rowid, head, tail) VALUES(?, ?, ?)", (pid, head, tail))
    connection.executemany(
        "INSERT OR IGNORE INTO term(name, value, pid) VALUES(?, ?, ?)",
        [(name, value, pid) for name, value in _findable(pack.terms)],
    )


def _findable(terms: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    for name, value in terms:
        folded = value.casefold()
        yield name, folded
        separator = "." if name in DOTTED else "/" if name in PATHS else ""
        while separator and separator in folded:
            folded = folded.partition(separator)[2]
            if folded:
                yield name, folded


def _remove_again(connection: sqlite3.Connection, started: float, sid: int, entries: Sequence[Entry]) -> None:
    """Take entries that are about to be added out of the packs that have them."""
    (highest,) = connection.execute("SELECT max(last) FROM pack WHERE sid = ?", (sid,)).fetchone()
    if highest is None:
        return
    # Entries mostly come in order: few are as low as what is there, those that began long ago or come again.
    numbers = sorted({entry.n for entry in entries if entry.n <= highest})
    if not numbers:
        return
    keys = {(entry.n, entry.kind, entry.part) for entry in entries if entry.n <= highest}
    places = connection.execute(
        "SELECT pid, first, last FROM pack WHERE sid = ? AND first <= ? AND last >= ?",
        (sid, numbers[-1], numbers[0]),
    ).fetchall()
    for pid, first, last in places:
        at = bisect_left(numbers, first)
        if at < len(numbers) and numbers[at] <= last:
            _remove_from(connection, started, sid, pid, keys)


def _remove_from(
    connection: sqlite3.Connection, started: float, sid: int, pid: int, keys: set[tuple[int, str, int]]
) -> None:
    kind, head, tail, terms, members = connection.execute(
        "SELECT kind, head, tail, terms, members FROM pack WHERE pid = ?", (pid,)
    ).fetchone()
    pack = unpack(kind, [(name, value) for name, value in json.loads(terms)], members)
    kept = [member for member in pack.members if (member.n, kind, member.part) not in keys]
    if len(kept) == len(pack.members):
        return
    connection.execute(
        "INSERT INTO words(words, rowid, head, tail) VALUES('delete', ?, ?, ?)", (pid, head, tail)
    )
    connection.execute("DELETE FROM term WHERE pid = ?", (pid,))
    connection.execute("DELETE FROM pack WHERE pid = ?", (pid,))
    if kept:
        pack.members = kept
        _put_pack(connection, started, sid, pack)
