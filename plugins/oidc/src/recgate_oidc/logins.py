"""The books of sign-ins: who signed in at which provider, what stands for it here, and what has ended since.

The gateway's token is kept as a hash, the provider's refresh token sealed. Everything else is no secret.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import trio

from recgate.errors import RecgateError
from recgate.model import Secret
from recgate.privatedatabase import PrivateDatabase, Schema

__all__ = [
    "LOGGED_OUT",
    "PREFIX",
    "IssuedCertificate",
    "Login",
    "Logins",
    "LoginsFailed",
    "Logout",
    "looks_like_token",
    "new_token",
]

PREFIX: Final = "rgl_"  # lets secret scanners and people tell what it is
_SHAPE: Final = re.compile(rb"rgl_[A-Za-z0-9_-]{43}\Z")
REMEMBER: Final = (
    7 * 86_400.0
)  # seconds that a sign-in stays in the books after its end, for whoever asks why
MAX_PER_PERSON: Final = 100  # sign-ins of one person that stand; the oldest are ended for new ones
MAX_CERTIFICATES: Final = (
    200  # of one sign-in that have not ended; the oldest are forgotten, and then refused
)
VERSION: Final = 1
LOGGED_OUT: Final = "signed out at the provider"

_SCHEMA: Final = """
CREATE TABLE logins (
    id TEXT PRIMARY KEY,
    hash BLOB UNIQUE,
    source TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    sid TEXT NOT NULL,
    name TEXT NOT NULL,
    groups TEXT NOT NULL,
    acr TEXT NOT NULL,
    amr TEXT NOT NULL,
    auth_time REAL,
    by_userinfo INTEGER NOT NULL,
    groups_by_userinfo INTEGER NOT NULL,
    refresh BLOB,
    issued REAL NOT NULL,
    expires REAL NOT NULL,
    revoked REAL,
    why TEXT NOT NULL
) STRICT;
CREATE TABLE certificates (
    serial INTEGER PRIMARY KEY,
    login TEXT NOT NULL REFERENCES logins(id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    issued REAL NOT NULL,
    expires REAL NOT NULL
) STRICT;
CREATE TABLE logouts (jti BLOB PRIMARY KEY, until REAL NOT NULL) STRICT;
CREATE INDEX logins_by_person ON logins (issuer, subject);
CREATE INDEX certificates_by_login ON certificates (login);
"""

_REVOKE: Final = "UPDATE logins SET revoked = ?, why = ?, refresh = NULL WHERE id = ? AND revoked IS NULL"

T = TypeVar("T")


class LoginsFailed(RecgateError):
    """The books cannot be read or written. Whoever asks who somebody is takes it as a no."""


@dataclass(frozen=True, slots=True)
class Login:
    """One sign-in. Times are wall-clock seconds; `refresh` is sealed.

    `by_userinfo` says that the userinfo endpoint answers for it, `groups_by_userinfo` that it said the same groups
    when the sign-in began: what it says later counts. `sid` is the session at the provider, "" if it has not said.
    """

    id: str
    source: str
    issuer: str
    subject: str
    name: str
    groups: frozenset[str]
    issued: float
    expires: float
    sid: str = ""
    acr: str = ""
    amr: frozenset[str] = frozenset()
    auth_time: float | None = None
    by_userinfo: bool = False
    groups_by_userinfo: bool = False
    refresh: bytes | None = field(default=None, repr=False)
    revoked: float | None = None
    why: str = ""

    def status(self, now: float) -> str:
        """Say `valid`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires <= now else "valid"


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """An SSH certificate that stands for a sign-in."""

    serial: int
    login: str
    fingerprint: str
    issued: float
    expires: float


@dataclass(frozen=True, slots=True)
class Logout:
    """What a provider says of somebody who signed out there: `subject` or `sid`, or both. `until`: wall clock."""

    issuer: str
    jti: str
    subject: str
    sid: str
    until: float


def new_token() -> Secret:
    """Make a gateway token: the prefix and 256 random bits."""
    return Secret(PREFIX + secrets.token_urlsafe(32))


def looks_like_token(text: Secret) -> bool:
    """Say whether this can only be one of ours, good or bad."""
    return text.reveal().startswith(PREFIX.encode())


def _hash(text: bytes) -> bytes:
    # Plain SHA-256 is enough: nobody guesses 256 random bits, so there is nothing to slow down.
    return hashlib.sha256(text).digest()


class Logins:
    """The file `data_dir/oidc.sqlite`. Every method runs in a thread and raises `LoginsFailed`.

    A change that is cancelled is done all the same: whoever cancelled does not hear of it.
    """

    def __init__(self, path: Path) -> None:
        self._database = PrivateDatabase(path, Schema(VERSION, _SCHEMA, "recgate-oidc"), LoginsFailed)
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def lock(self, identifier: str) -> trio.Lock:
        """Give what is held while the provider is asked about a sign-in, so that a refresh token is used once."""
        found = self._locks.get(identifier)
        if found is None:
            found = self._locks[identifier] = trio.Lock()
        return found

    async def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        def asked() -> T:
            with self._database.reading() as connection:
                return question(connection)

        return await trio.to_thread.run_sync(asked)

    async def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        def done() -> T:
            with self._database.writing() as connection:
                return change(connection)

        return await trio.to_thread.run_sync(done)

    # -- sign-ins ----------------------------------------------------------------------------------------

    async def add(self, login: Login, token: Secret | None) -> None:
        """Write a sign-in down; without a token nobody can come in by it again. Forgets those that ended long ago."""
        row = _row(login, None if token is None else _hash(token.reveal()))
        marks = ", ".join(f":{name}" for name in row)
        query = f"INSERT INTO logins ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - the names are `_row`'s

        def change(connection: sqlite3.Connection) -> None:
            over = login.issued - REMEMBER
            connection.execute(
                "DELETE FROM logins WHERE min(expires, coalesce(revoked, expires)) < ?", (over,)
            )
            connection.execute(
                "UPDATE logins SET revoked = ?, why = 'too many sign-ins of one person', refresh = NULL WHERE id IN "
                "(SELECT id FROM logins WHERE issuer = ? AND subject = ? AND source = ? AND revoked IS NULL AND "
                "expires > ? ORDER BY issued DESC, id LIMIT -1 OFFSET ?)",
                (login.issued, login.issuer, login.subject, login.source, login.issued, MAX_PER_PERSON - 1),
            )
            connection.execute(query, row)

        await self._write(change)

    async def by_token(self, token: Secret) -> Login | None:
        """Find a sign-in by the gateway token that stands for it, whatever has become of it."""
        if not _SHAPE.match(token.reveal()):
            return None
        # The index is over hashes, so how long the look-up takes says nothing about the text.
        return await self._one("hash = ?", _hash(token.reveal()))

    async def by_id(self, identifier: str) -> Login | None:
        """Find a sign-in."""
        return await self._one("id = ?", identifier)

    async def _one(self, condition: str, value: object) -> Login | None:
        query = f"SELECT * FROM logins WHERE {condition}"  # noqa: S608 - the condition is one of this class's own
        row = await self._read(lambda connection: connection.execute(query, (value,)).fetchone())
        return None if row is None else _login(row)

    async def all(self, now: float) -> Sequence[Login]:
        """Give the sign-ins that stand, newest first."""
        query = "SELECT * FROM logins WHERE revoked IS NULL AND expires > ? ORDER BY issued DESC, id"
        return [
            _login(row)
            for row in await self._read(lambda connection: connection.execute(query, (now,)).fetchall())
        ]

    async def renewed(self, identifier: str, refresh: bytes) -> None:
        """Keep the refresh token that came in the place of the last one."""
        query = "UPDATE logins SET refresh = ? WHERE id = ? AND revoked IS NULL"
        await self._write(lambda connection: connection.execute(query, (refresh, identifier)))

    async def regrouped(self, identifier: str, groups: Iterable[str]) -> None:
        """Keep the groups that the provider says now."""
        said = json.dumps(sorted(groups))
        query = "UPDATE logins SET groups = ? WHERE id = ?"
        await self._write(lambda connection: connection.execute(query, (said, identifier)))

    async def revoke(self, identifiers: Iterable[str], now: float, why: str) -> None:
        """End sign-ins; their refresh tokens are forgotten. Doing it again changes nothing."""
        rows = [(now, why, each) for each in identifiers]
        await self._write(lambda connection: connection.executemany(_REVOKE, rows))

    # -- logouts at the provider -------------------------------------------------------------------------

    async def logged_out(self, source: str, logout: Logout, now: float) -> Sequence[Login] | None:
        """End the sign-ins that a logout at the provider means, and give them; None if it was heard before.

        One that may be of the session `sid`, or not, is. Both or neither are done: a logout that could not be written
        down is taken when the provider says it again.
        """
        mark = _hash(f"{logout.issuer}\0{logout.jti}".encode())
        standing = "SELECT * FROM logins WHERE source = ? AND issuer = ? AND revoked IS NULL AND expires > ?"

        def change(connection: sqlite3.Connection) -> Sequence[Login] | None:
            connection.execute("DELETE FROM logouts WHERE until < ?", (now,))
            done = connection.execute("INSERT OR IGNORE INTO logouts VALUES (?, ?)", (mark, logout.until))
            if done.rowcount != 1:
                return None
            rows = connection.execute(standing, (source, logout.issuer, now)).fetchall()
            meant = [each for each in map(_login, rows) if _is_of(each, logout.subject, logout.sid)]
            connection.executemany(_REVOKE, [(now, LOGGED_OUT, each.id) for each in meant])
            return meant

        return await self._write(change)

    # -- certificates ------------------------------------------------------------------------------------

    async def certify(self, certificate: IssuedCertificate) -> None:
        """Write a certificate down, before it is given to anybody."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM certificates WHERE login = ? AND (expires < ? OR serial IN (SELECT serial "
                "FROM certificates WHERE login = ? ORDER BY issued DESC, serial LIMIT -1 OFFSET ?))",
                (certificate.login, certificate.issued, certificate.login, MAX_CERTIFICATES - 1),
            )
            connection.execute(
                "INSERT INTO certificates VALUES (?, ?, ?, ?, ?)",
                (
                    certificate.serial,
                    certificate.login,
                    certificate.fingerprint,
                    certificate.issued,
                    certificate.expires,
                ),
            )

        await self._write(change)

    async def by_serial(self, serial: int) -> tuple[IssuedCertificate, Login] | None:
        """Find a certificate and the sign-in that it stands for."""
        if not 0 <= serial < 1 << 63:
            return None

        def question(connection: sqlite3.Connection) -> tuple[IssuedCertificate, Login] | None:
            row = connection.execute("SELECT * FROM certificates WHERE serial = ?", (serial,)).fetchone()
            if row is None:
                return None
            found = IssuedCertificate(**dict(row))
            login = connection.execute("SELECT * FROM logins WHERE id = ?", (found.login,)).fetchone()
            return found, _login(login)

        return await self._read(question)


def _is_of(login: Login, subject: str, sid: str) -> bool:
    if subject and login.subject != subject:
        return False
    # Without a `sid` it is all of a person's sessions. A sign-in of which the provider never said the session may
    # be any of that person's, and doubt ends it; a logout that names a session alone cannot mean it.
    return not sid or login.sid == sid or (bool(subject) and not login.sid)


def _row(login: Login, token: bytes | None) -> dict[str, object]:
    return {
        "id": login.id,
        "hash": token,
        "source": login.source,
        "issuer": login.issuer,
        "subject": login.subject,
        "sid": login.sid,
        "name": login.name,
        "groups": json.dumps(sorted(login.groups)),
        "acr": login.acr,
        "amr": json.dumps(sorted(login.amr)),
        "auth_time": login.auth_time,
        "by_userinfo": int(login.by_userinfo),
        "groups_by_userinfo": int(login.groups_by_userinfo),
        "refresh": login.refresh,
        "issued": login.issued,
        "expires": login.expires,
        "revoked": login.revoked,
        "why": login.why,
    }


def _login(row: sqlite3.Row) -> Login:
    return Login(
        id=row["id"],
        source=row["source"],
        issuer=row["issuer"],
        subject=row["subject"],
        name=row["name"],
        groups=frozenset(json.loads(row["groups"])),
        issued=row["issued"],
        expires=row["expires"],
        sid=row["sid"],
        acr=row["acr"],
        amr=frozenset(json.loads(row["amr"])),
        auth_time=row["auth_time"],
        by_userinfo=bool(row["by_userinfo"]),
        groups_by_userinfo=bool(row["groups_by_userinfo"]),
        refresh=row["refresh"],
        revoked=row["revoked"],
        why=row["why"],
    )
