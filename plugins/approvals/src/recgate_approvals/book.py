"""What was asked, who decided and why: a SQLite file, so that it outlives the gateway. Every change is one transaction.

The text of a request and its values are encrypted, bound to their request, with a key of their own: a copy of the file
alone shows what was asked about, and not what it said.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recgate.errors import RecgateError
from recgate.model import Principal, Secret
from recgate.privatedatabase import PrivateDatabase, Schema
from recgate_approvals.asking import Asked, Shown

__all__ = ["APPROVED", "PENDING", "Book", "BookFailed", "Decided", "Limits", "NotSo", "Request"]

PENDING: Final = "pending"
APPROVED: Final = "approved"
HOUR: Final = 3_600.0
NONCE: Final = 12
MAX_LISTED: Final = 10_000  # rows of one listing

_STATEMENTS: Final = """\
CREATE TABLE requests (id TEXT PRIMARY KEY, gateway TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
    asked REAL NOT NULL, until REAL NOT NULL, ended REAL, why TEXT NOT NULL, expires REAL, person TEXT NOT NULL,
    issuer TEXT NOT NULL, subject TEXT NOT NULL, user TEXT NOT NULL, target TEXT NOT NULL, session TEXT NOT NULL,
    digest TEXT NOT NULL, needed INTEGER NOT NULL, approvers TEXT NOT NULL, more TEXT NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX requests_status ON requests (status, asked);
CREATE INDEX requests_person ON requests (person, asked);
CREATE INDEX requests_asked ON requests (asked);
CREATE TABLE decisions (n INTEGER PRIMARY KEY, request TEXT NOT NULL REFERENCES requests ON DELETE CASCADE,
    effect TEXT NOT NULL, person TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, user TEXT NOT NULL,
    reason TEXT NOT NULL, at REAL NOT NULL, counts INTEGER NOT NULL, proof TEXT NOT NULL);
CREATE INDEX decisions_request ON decisions (request);
"""
_SCHEMA: Final = Schema(1, _STATEMENTS, "recgate-approvals")


class BookFailed(RecgateError):
    """The file of approvals cannot be read or written: nobody can be asked."""


class NotSo(RecgateError):
    """What was to be changed is not as it was thought: it has ended, or somebody was faster."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one person, and of all, is taken."""

    per_person: int
    per_hour: int
    pending: int
    kept: int
    keep: float


@dataclass(frozen=True, slots=True)
class Decided:
    """What one person said about a request. `counts` until it is found that they may not say so any more."""

    n: int
    effect: str
    person: str
    principal: Principal = field(repr=False)
    reason: str
    at: float
    counts: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands. Times are wall-clock seconds; `expires` is the end of what was granted."""

    id: str
    gateway: str
    kind: str
    status: str
    asked: float
    until: float
    ended: float | None
    why: str
    expires: float | None
    person: str
    issuer: str
    subject: str
    user: str
    target: str
    session: str
    digest: str
    needed: int
    approvers: tuple[str, ...]
    more: Mapping[str, object]
    decisions: tuple[Decided, ...] = ()

    @property
    def approvals(self) -> tuple[Decided, ...]:
        """Those that count."""
        return tuple(each for each in self.decisions if each.counts and each.effect == "approve")

    @property
    def lasts(self) -> float:
        """For how many seconds access was asked for."""
        value = self.more.get("lasts", 0.0)
        return float(value) if isinstance(value, (int, float)) else 0.0


class Book:
    """The file. Its methods block: they are called in threads, or before anything runs."""

    def __init__(self, path: Path, key: Secret, gateway: str, limits: Limits) -> None:
        self._database = PrivateDatabase(path, _SCHEMA, BookFailed)
        self._key = AESGCM(key.reveal())
        self._gateway = gateway
        self._limits = limits

    # -- asking ----------------------------------------------------------------------------------------------

    def open(self, id_: str, asked: Asked, person: str, now: float) -> Request:
        """Take a request down. Raises `NotSo` when that would be too many, with words for who asks."""
        more = {
            "groups": sorted(asked.principal.groups), "protocol": asked.protocol, "source": asked.source,
            "request": asked.number, "asks": asked.asks, "reason": asked.reason, "rule": asked.rule,
            "facts": asked.facts, "lasts": asked.lasts,
        }  # fmt: skip
        values = (
            id_, self._gateway, asked.kind, PENDING, now, now + asked.within, "", person,
            asked.principal.issuer, asked.principal.subject, asked.principal.name, asked.target, asked.session,
            asked.digest, asked.needed, json.dumps(asked.approvers), json.dumps(more),
            self._sealed(id_, asked.shown),
        )  # fmt: skip
        with self._database.writing() as connection:
            self._make_room(connection, person, now)
            connection.execute(
                "INSERT INTO requests (id, gateway, kind, status, asked, until, why, person, issuer, subject, user,"
                " target, session, digest, needed, approvers, more, sealed)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                values,
            )
            return _one(connection, id_)

    def _make_room(self, connection: sqlite3.Connection, person: str, now: float) -> None:
        limits = self._limits

        def count(where: str, *values: object) -> int:
            statement = f"SELECT count(*) FROM requests WHERE {where}"  # noqa: S608 - words of this function alone
            return int(connection.execute(statement, values).fetchone()[0])

        if count("person = ? AND asked > ?", person, now - HOUR) >= limits.per_hour:
            raise NotSo(
                f"you have asked {limits.per_hour} times within an hour: wait, or ask for access instead"
            )
        if count("person = ? AND status = ?", person, PENDING) >= limits.per_person:
            raise NotSo(f"{limits.per_person} requests of yours wait already: let them be decided first")
        if count("status = ?", PENDING) >= limits.pending:
            raise NotSo("too many requests wait for approval at this gateway")
        over = "status != 'pending' AND (expires IS NULL OR expires < ?)"
        connection.execute(f"DELETE FROM requests WHERE {over} AND asked < ?", (now, now - limits.keep))  # noqa: S608
        surplus = count("1") - limits.kept + 1
        if surplus > 0:
            oldest = f"SELECT id FROM requests WHERE {over} ORDER BY asked LIMIT ?"  # noqa: S608
            connection.execute(f"DELETE FROM requests WHERE id IN ({oldest})", (now, surplus))  # noqa: S608

    # -- looking ---------------------------------------------------------------------------------------------

    def get(self, id_: str) -> Request | None:
        """Give a request by its id, or by how the id of one alone begins."""
        with self._database.reading() as connection:
            upper = id_.strip().upper()
            ids = connection.execute(
                "SELECT id FROM requests WHERE id >= ? AND id < ? LIMIT 2", (upper, upper + "\x7f")
            ).fetchall()
            return _one(connection, ids[0]["id"]) if len(ids) == 1 and upper else None

    def list(self, status: str = "", since: float = 0.0) -> list[Request]:
        """Give the newest requests first, at most `MAX_LISTED`; with `status` those of that status alone."""
        where, values = "asked >= ?", [since]
        if status:
            where, values = "asked >= ? AND status = ?", [since, cast("Any", status)]
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM requests WHERE {where} ORDER BY asked DESC, id DESC LIMIT {MAX_LISTED}",  # noqa: S608
                values,
            ).fetchall()
            return [_request(connection, row) for row in rows]

    def standing(self, now: float) -> list[Request]:
        """Give the grants that stand."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM requests WHERE status = ? AND expires > ?", (APPROVED, now)
            ).fetchall()
            return [_request(connection, row) for row in rows]

    def shown(self, id_: str) -> Shown:
        """Decrypt what a request says. Raises `BookFailed` for what is damaged or another request's."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT sealed FROM requests WHERE id = ?", (id_,)).fetchone()
        if row is None:
            return Shown()
        sealed = bytes(row["sealed"])
        try:
            plain = json.loads(self._key.decrypt(sealed[:NONCE], sealed[NONCE:], id_.encode()))
        except (InvalidTag, ValueError) as exc:
            raise BookFailed(
                f"{self._database.path}: what request {id_} says is damaged, or of another key"
            ) from exc
        return Shown(plain["text"], tuple(plain["binds"]), plain["cut"])

    def _sealed(self, id_: str, shown: Shown) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._key.encrypt(nonce, json.dumps(asdict(shown)).encode(), id_.encode())

    # -- deciding --------------------------------------------------------------------------------------------

    def decide(
        self,
        request: Request,
        decided: Decided,
        still: Collection[int],
        now: float,
        before: Callable[[Request], None] = lambda _: None,
    ) -> Request:
        """Take one person's word down; enough of them approve the request, and one that denies ends it.

        Args:
            request: as the word was for.
            decided: the word. Its number is not looked at.
            still: numbers of earlier approvals whose people may still approve; others count no longer.
            now: wall-clock seconds.
            before: told what the request is with it, before that is so; what it raises lets the word not count.

        Raises:
            NotSo: it is over, or that person has said so already.
        """
        with self._database.writing() as connection:
            here = _one(connection, request.id)
            if here.status != PENDING:
                raise NotSo(f"this request is {here.status} already")
            if now >= here.until:
                raise NotSo("this request has expired")
            for each in here.approvals:
                if each.n not in still:
                    connection.execute("UPDATE decisions SET counts = 0 WHERE n = ?", (each.n,))
            standing = [each for each in here.approvals if each.n in still]
            if any(_same(each, decided) for each in standing):
                raise NotSo("you have approved this already; it waits for somebody else")
            _insert(connection, request.id, decided, now)
            if decided.effect == "deny":
                _end(connection, request.id, "denied", decided.reason, now)
            elif len(standing) + 1 >= here.needed:
                expires = now + here.lasts if here.kind == "access" else None
                _end(connection, request.id, APPROVED, "", now, expires)
            ended = _one(connection, request.id)
            before(ended)
            return ended

    def end(self, id_: str, status: str, why: str, now: float, *, was: str = PENDING) -> Request:
        """End a request that stands as `was`; gives it as it is then: another's word, if that came first."""
        with self._database.writing() as connection:
            if _one(connection, id_).status == was:
                _end(connection, id_, status, why, now, now if was == APPROVED else None)
            return _one(connection, id_)

    def expire(self, now: float) -> list[Request]:
        """End what nobody decided in time and nobody waits for: requests for access. Gives those."""
        late = "kind = 'access' AND status = 'pending' AND until <= ?"
        with self._database.reading() as connection:
            if connection.execute(f"SELECT 1 FROM requests WHERE {late} LIMIT 1", (now,)).fetchone() is None:  # noqa: S608
                return []
        with self._database.writing() as connection:
            rows = connection.execute(f"SELECT id FROM requests WHERE {late}", (now,)).fetchall()  # noqa: S608
            for row in rows:
                _end(connection, row["id"], "expired", "nobody decided in time", now)
            return [_one(connection, row["id"]) for row in rows]

    def end_all(self, status: str, why: str, now: float) -> list[Request]:
        """End every held request of this gateway that waits: whoever held it is gone."""
        with self._database.writing() as connection:
            rows = connection.execute(
                "SELECT id FROM requests WHERE gateway = ? AND kind = 'hold' AND status = ?",
                (self._gateway, PENDING),
            ).fetchall()
            for row in rows:
                _end(connection, row["id"], status, why, now)
            return [_one(connection, row["id"]) for row in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _same(one: Decided, other: Decided) -> bool:
    if one.person == other.person:
        return True
    mine, theirs = one.principal, other.principal
    return (mine.issuer, mine.subject) == (theirs.issuer, theirs.subject)


def _insert(connection: sqlite3.Connection, request: str, decided: Decided, now: float) -> None:
    who = decided.principal
    connection.execute(
        "INSERT INTO decisions (request, effect, person, issuer, subject, user, reason, at, counts, proof)"
        " VALUES (?,?,?,?,?,?,?,?,1,?)",
        (
            request, decided.effect, decided.person, who.issuer, who.subject, who.name, decided.reason, now,
            _proof(who),
        ),
    )  # fmt: skip


def _end(
    connection: sqlite3.Connection, id_: str, status: str, why: str, now: float, expires: float | None = None
) -> None:
    connection.execute(
        "UPDATE requests SET status = ?, why = ?, ended = ?, expires = coalesce(?, expires) WHERE id = ?",
        (status, why, now, expires, id_),
    )


def _one(connection: sqlite3.Connection, id_: str) -> Request:
    row = connection.execute("SELECT * FROM requests WHERE id = ?", (id_,)).fetchone()
    if row is None:
        raise NotSo("there is no such request any more")
    return _request(connection, row)


def _request(connection: sqlite3.Connection, row: sqlite3.Row) -> Request:
    said = connection.execute("SELECT * FROM decisions WHERE request = ? ORDER BY n", (row["id"],)).fetchall()
    names: Sequence[str] = [name for name in Request.__dataclass_fields__ if name in row.keys()]  # noqa: SIM118 - sqlite3.Row
    values: dict[str, Any] = {name: row[name] for name in names}
    values["approvers"] = tuple(json.loads(row["approvers"]))
    values["more"] = json.loads(row["more"])
    return Request(**values, decisions=tuple(map(_decided, said)))


def _decided(row: sqlite3.Row) -> Decided:
    proof = json.loads(row["proof"])
    proof["groups"], proof["amr"] = frozenset(proof["groups"]), frozenset(proof["amr"])
    return Decided(
        row["n"],
        row["effect"],
        row["person"],
        Principal(**proof),
        row["reason"],
        row["at"],
        bool(row["counts"]),
    )


def _proof(principal: Principal) -> str:
    """Write down what an identity source is asked about later: whether it still stands."""
    values = asdict(principal) | {"groups": sorted(principal.groups), "amr": sorted(principal.amr)}
    return json.dumps(values)
