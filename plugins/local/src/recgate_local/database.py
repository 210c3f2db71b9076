"""The directory's file: who there is, by which keys, tokens and certificates they come in."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path
from typing import Final

from recgate.privatedatabase import PrivateDatabase, Schema
from recgate_local.errors import DirectoryFailed

__all__ = ["Database"]

VERSION: Final = 1

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


class Database(PrivateDatabase):
    """The directory's file, usually `data_dir/local.sqlite`. Raises `DirectoryFailed`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Schema(VERSION, _SCHEMA, "recgate-local", _fill), DirectoryFailed)


def _fill(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO meta VALUES ('salts', ?)", (secrets.token_bytes(32),))
