"""SCRAM-SHA-256 verifiers of tokens, and salts that do not tell whether a user exists (RFC 5802, RFC 7677)."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from dataclasses import dataclass
from typing import Final

__all__ = ["ITERATIONS", "Verifier", "make_verifier", "salt_for"]

# RFC 7677 §4's minimum. A token is 256 random bits: more rounds would slow clients down and stop nobody.
ITERATIONS: Final = 4096
SALT: Final = 16  # bytes


@dataclass(frozen=True, slots=True)
class Verifier:
    """StoredKey and ServerKey, RFC 5802 §3: enough to check a proof, too little to make one."""

    stored_key: bytes
    server_key: bytes


def make_verifier(password: bytes, salt: bytes) -> Verifier:
    """Derive the keys. Tokens are ASCII, which SASLprep leaves as it is."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return Verifier(hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))


def salt_for(connection: sqlite3.Connection, name: str) -> bytes:
    """Give the salt of a user name, whether or not there is such a user.

    It is a keyed hash of the name, so it is always the same one and a stranger cannot tell a real user's from
    any other (RFC 5802 §7 and §9).
    """
    key = connection.execute("SELECT value FROM meta WHERE key = 'salts'").fetchone()["value"]
    return hmac.digest(key, b"scram salt\0" + name.encode("utf-8", "backslashreplace"), "sha256")[:SALT]
