"""Put, get and page through sessions. Several processes have it open: every write is one transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final

import sqlalchemy as sa
import sqlalchemy.exc as errors
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.event import listen

from recgate.errors import RecgateError
from recgate.providers import SessionFilter, SessionRow
from recgate_catalog_sql.schema import prepare, sessions

__all__ = ["SqlCatalog"]

BUSY_MS: Final = 15_000  # another process's transaction is one row; this is far beyond a slow disk
BUSY_PAUSE: Final = 0.01  # seconds before trying again where SQLite does not wait by itself
MAX_PAGE: Final = 10_000  # rows of one answer; callers page with `before`
COLUMNS: Final = tuple(field.name for field in fields(SessionRow))


def _upsert(insert: Callable[[sa.Table], sqlite.Insert | postgresql.Insert]) -> sa.Executable:
    statement = insert(sessions)
    news = {name: statement.excluded[name] for name in COLUMNS if name != "id"}
    return statement.on_conflict_do_update(index_elements=[sessions.c.id], set_=news)


# Made once: to word a statement takes SQLAlchemy longer than SQLite takes to carry it out.
_PUT: Final = {"sqlite": _upsert(sqlite.insert), "postgresql": _upsert(postgresql.insert)}


class SqlCatalog:
    """A `Catalog` in one table of SQLite or PostgreSQL. `url` is SQLAlchemy's; its errors become `RecgateError`."""

    def __init__(self, url: str) -> None:
        backend = sa.make_url(url).get_backend_name()
        if backend not in _PUT:
            raise RecgateError(f"catalog-sql: {backend} cannot hold a catalog; use one of {', '.join(_PUT)}")
        self._put = _PUT[backend]
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            listen(self._engine, "connect", _configure_sqlite)
        try:
            prepare(self._engine)
        except errors.SQLAlchemyError as exc:
            self._engine.dispose()
            raise self._failed(exc) from exc
        except RecgateError:
            self._engine.dispose()
            raise

    def put(self, row: SessionRow) -> None:
        """Insert or replace the row of a session. Raises `RecgateError` when the database cannot."""
        values: dict[str, object] = {name: getattr(row, name) for name in COLUMNS}
        values["groups"] = json.dumps(row.groups)
        values["approved"] = json.dumps(row.approved)
        try:
            with self._engine.begin() as connection:
                connection.execute(self._put, values)
        except errors.SQLAlchemyError as exc:
            raise self._failed(exc) from exc

    def get(self, session: str) -> SessionRow | None:
        """Give one row."""
        found = self.find(SessionFilter(ids=(session,), limit=1))
        return found[0] if found else None

    def find(self, query: SessionFilter) -> Sequence[SessionRow]:
        """Newest first, at most `query.limit`; those that started before `query.before` if that is given.

        `since` finds who was connected at that time as well as who came after it.
        """
        limit = min(query.limit, MAX_PAGE)
        conditions = _conditions(query)
        if query.since is None:
            return self._select(conditions, limit)
        started = sessions.c.started
        found = self._select([*conditions, started >= query.since], limit)
        if len(found) < limit:  # all that started since are found, so older ones that went on follow in order
            still = _went_on(query.since, narrow=bool(query.user or query.target))
            found += self._select([*conditions, started < query.since, still], limit - len(found))
        return found

    def _select(self, conditions: Sequence[sa.ColumnElement[bool]], limit: int) -> list[SessionRow]:
        table = sessions.c
        statement = sa.select(*(table[name] for name in COLUMNS)).where(*conditions)
        statement = statement.order_by(table.started.desc(), table.id.desc()).limit(limit)
        try:
            with self._engine.connect() as connection:
                return [_row(found) for found in connection.execute(statement)]
        except errors.SQLAlchemyError as exc:
            raise self._failed(exc) from exc

    def purge(self, session: str) -> None:
        """Forget a session. Idempotent. Raises `RecgateError` when the database cannot."""
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.delete(sessions).where(sessions.c.id == session))
        except errors.SQLAlchemyError as exc:
            raise self._failed(exc) from exc

    def close(self) -> None:
        """Let go of files and connections."""
        self._engine.dispose()

    def _failed(self, exc: errors.SQLAlchemyError) -> RecgateError:
        where = self._engine.url.render_as_string(hide_password=True)
        cause = exc.orig if isinstance(exc, errors.DBAPIError) else exc
        return RecgateError(
            f"catalog-sql: {where}: {cause}; check that the database is there, writable, and not full"
        )


def _conditions(query: SessionFilter) -> list[sa.ColumnElement[bool]]:
    table = sessions.c
    found: list[sa.ColumnElement[bool]] = []
    if query.user:
        found.append(table.user == query.user)
    if query.target:
        found.append(table.target == query.target)
    if query.live:
        found.append(table.status == "live")
    if query.until is not None:
        found.append(table.started < query.until)
    if query.ids:
        found.append(table.id.in_(query.ids))
    if query.prefix:
        found += [table.id >= query.prefix, table.id < query.prefix + "\x7f"]
    if query.before:
        last = sa.select(table.started).where(table.id == query.before).scalar_subquery()
        # The first term alone decides nothing; it lets the index be entered at the right place.
        found += [table.started <= last, sa.or_(table.started < last, table.id < query.before)]
    return found


def _went_on(moment: float, *, narrow: bool) -> sa.ColumnElement[bool]:
    table = sessions.c
    parts = (table.ended >= moment, table.status == "live")
    if narrow:
        return sa.or_(*parts)  # an index on the user or target has found few already
    # A union, not an OR: each part has its index, where an OR made SQLite walk every session that ever was.
    return table.id.in_(sa.union_all(*(sa.select(table.id).where(part) for part in parts)))


def _row(found: sa.Row[Any]) -> SessionRow:
    values: dict[str, Any] = dict(found._mapping)  # pyright: ignore[reportPrivateUsage]  # SQLAlchemy's documented name
    values["groups"] = tuple(json.loads(values["groups"]))
    values["approved"] = tuple(json.loads(values["approved"]))
    return SessionRow(**values)


def _configure_sqlite(connection: sqlite3.Connection, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    _use_wal(cursor)
    cursor.execute(
        "PRAGMA synchronous = FULL"
    )  # a session that has been listed stays listed after a power loss
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch to the write-ahead log. Two that do so on a new file at once are told "locked", and not to wait."""
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_PAUSE)
        else:
            return
