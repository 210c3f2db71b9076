"""Gateway tokens: opaque, 256 bits, kept as a hash, with an end and a way to end them sooner."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recgate.model import Secret
from recgate_local import users
from recgate_local.errors import Refused
from recgate_local.names import check_group
from recgate_local.scram import Verifier, make_verifier, salt_for

__all__ = [
    "PREFIX",
    "Token",
    "Wish",
    "by_id",
    "by_secret",
    "issue",
    "listed",
    "looks_like_token",
    "new_secret",
    "revoke",
    "used",
]

PREFIX: Final = "rg_"  # lets secret scanners and people tell what it is
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = 43  # base 62 digits of 256 bits
_SHAPE: Final = re.compile(rb"rg_[0-9A-Za-z]{43}\Z")
MAX_LABEL: Final = 200


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token. The secret itself is not kept."""

    id: str
    user: str
    groups: frozenset[str]
    label: str
    issued: float
    expires: float | None
    revoked: float | None
    used: float | None
    stored_key: bytes | None
    server_key: bytes | None

    @property
    def scram(self) -> bool:
        """Whether it can prove itself by SCRAM-SHA-256."""
        return self.stored_key is not None

    def status(self, now: float) -> str:
        """Say `valid`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


def new_secret() -> str:
    """Make the text of a token: the prefix and 256 random bits in base 62."""
    number = int.from_bytes(secrets.token_bytes(32), "big")
    digits = ""
    for _ in range(_DIGITS):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return PREFIX + digits


def looks_like_token(text: Secret) -> bool:
    """Say whether this can only be one of our tokens, good or bad."""
    return text.reveal().startswith(PREFIX.encode())


def _hash(text: bytes) -> bytes:
    # Plain SHA-256 is enough: nobody guesses 256 random bits, so there is nothing to slow down.
    return hashlib.sha256(text).digest()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a token is to be: `ttl` in seconds or None for no end."""

    user: str
    groups: tuple[str, ...] = ()
    ttl: float | None = None
    label: str = ""
    scram: bool = False


def issue(connection: sqlite3.Connection, wish: Wish, now: float) -> tuple[str, str]:
    """Make a token; give its id and its text, which is not kept. Raises `Refused`."""
    users.require(connection, wish.user)
    if len(wish.label) > MAX_LABEL or not wish.label.isprintable():
        raise Refused(f"a label has at most {MAX_LABEL} printable characters.")
    groups = sorted({check_group(group) for group in wish.groups})
    text = new_secret()
    identifier = secrets.token_hex(6)
    verifier: Verifier | None = None
    if wish.scram:
        verifier = make_verifier(text.encode(), salt_for(connection, wish.user))
    connection.execute(
        "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?)",
        (
            identifier,
            wish.user,
            _hash(text.encode()),
            wish.label,
            json.dumps(groups),
            now,
            None if wish.ttl is None else now + wish.ttl,
            verifier.stored_key if verifier else None,
            verifier.server_key if verifier else None,
        ),
    )
    return identifier, text


def by_secret(connection: sqlite3.Connection, text: Secret) -> Token | None:
    """Find a token by its text."""
    if not _SHAPE.match(text.reveal()):
        return None
    # The index is over hashes, so how long the look-up takes says nothing about the text.
    row = connection.execute("SELECT * FROM tokens WHERE hash = ?", (_hash(text.reveal()),)).fetchone()
    return None if row is None else _token(row)


def by_id(connection: sqlite3.Connection, identifier: str) -> Token | None:
    """Find a token by its id."""
    row = connection.execute("SELECT * FROM tokens WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else _token(row)


def listed(connection: sqlite3.Connection, user: str = "") -> Sequence[Token]:
    """Give the tokens of one user or of all, newest first."""
    rows = connection.execute(
        "SELECT * FROM tokens WHERE ? IN ('', user) ORDER BY issued DESC, id", (user,)
    ).fetchall()
    return [_token(row) for row in rows]


def revoke(connection: sqlite3.Connection, identifier: str, now: float) -> bool:
    """Revoke a token; doing it again changes nothing. Says whether there is one."""
    connection.execute("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, identifier))
    return by_id(connection, identifier) is not None


def used(connection: sqlite3.Connection, token: Token, now: float) -> None:
    """Note that a token was used just now."""
    connection.execute("UPDATE tokens SET used = ? WHERE id = ?", (now, token.id))


def _token(row: sqlite3.Row) -> Token:
    return Token(
        id=row["id"],
        user=row["user"],
        groups=frozenset(json.loads(row["groups"])),
        label=row["label"],
        issued=row["issued"],
        expires=row["expires"],
        revoked=row["revoked"],
        used=row["used"],
        stored_key=row["stored_key"],
        server_key=row["server_key"],
    )
