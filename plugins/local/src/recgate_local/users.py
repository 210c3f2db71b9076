"""Users and the groups they are in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recgate_local.errors import Refused
from recgate_local.names import check_group, check_user, could_be_user

__all__ = ["User", "add", "exists", "groups_of", "leave", "listed", "remove", "require"]


@dataclass(frozen=True, slots=True)
class User:
    """One user, with how many ways in there are."""

    name: str
    groups: tuple[str, ...]
    created: float
    keys: int
    tokens: int


def add(connection: sqlite3.Connection, name: str, groups: Iterable[str], now: float) -> bool:
    """Make a user and put it into groups; one that exists joins them. Says whether it was made.

    Raises:
        Refused: a name that cannot be one, or that differs from another user's only in case.
    """
    check_user(name)
    names = [check_group(group) for group in groups]
    row = connection.execute("SELECT name FROM users WHERE folded = ?", (name.casefold(),)).fetchone()
    if row is not None and row["name"] != name:
        raise Refused(f"{name} differs from the user {row['name']} only in case. Choose another name.")
    if row is None:
        connection.execute("INSERT INTO users VALUES (?, ?, ?)", (name, name.casefold(), now))
    for group in names:
        connection.execute("INSERT OR IGNORE INTO memberships VALUES (?, ?)", (name, group))
    return row is None


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Remove a user with its keys, tokens and certificates. Says whether there was one."""
    return connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount > 0


def leave(connection: sqlite3.Connection, name: str, groups: Iterable[str]) -> None:
    """Take a user out of groups. Raises `Refused` if it is not in one of them."""
    for group in groups:
        found = connection.execute("DELETE FROM memberships WHERE user = ? AND name = ?", (name, group))
        if not found.rowcount:
            raise Refused(f"{name!a} is not in the group {group!a}. See `recgate user ls`.")


def exists(connection: sqlite3.Connection, name: str) -> bool:
    """Say whether there is a user of exactly this name."""
    if not could_be_user(name):
        return False
    return connection.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone() is not None


def require(connection: sqlite3.Connection, name: str) -> None:
    """Raise `Refused` unless there is a user of exactly this name."""
    if not exists(connection, name):
        raise Refused(f"there is no user {name!a}. Make it: `recgate user add {name}`.")


def groups_of(connection: sqlite3.Connection, name: str) -> frozenset[str]:
    """Give the groups of a user."""
    return frozenset(
        row["name"] for row in connection.execute("SELECT name FROM memberships WHERE user = ?", (name,))
    )


def listed(connection: sqlite3.Connection, now: float) -> Sequence[User]:
    """Give all users by name. Tokens that are revoked or have expired are not counted."""
    rows = connection.execute(
        """SELECT name, created,
                  (SELECT count(*) FROM keys WHERE keys.user = users.name) AS keys,
                  (SELECT count(*) FROM tokens WHERE tokens.user = users.name AND revoked IS NULL
                          AND (expires IS NULL OR expires > ?)) AS tokens
           FROM users ORDER BY name""",
        (now,),
    ).fetchall()
    return [
        User(
            row["name"],
            tuple(sorted(groups_of(connection, row["name"]))),
            row["created"],
            row["keys"],
            row["tokens"],
        )
        for row in rows
    ]
