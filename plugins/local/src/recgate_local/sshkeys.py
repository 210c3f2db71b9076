"""Registered SSH public keys: read from `.pub` files, kept by their wire form, found by it byte for byte."""

from __future__ import annotations

import base64
import binascii
import hashlib
import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recgate_local import users
from recgate_local.errors import Refused

__all__ = [
    "PublicKey",
    "RegisteredKey",
    "add",
    "by_blob",
    "by_id",
    "fingerprint",
    "listed",
    "parse_file",
    "remove",
    "used",
]

MAX_FILE: Final = 256 << 10  # characters of an authorized_keys file
MAX_KEYS: Final = 100  # in one file
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16_384
ALGORITHMS: Final = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a file: `blob` is its wire form (RFC 4253 §6.6)."""

    algorithm: str
    blob: bytes
    comment: str = ""


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """A key that may log in as `user`. `id` is its SHA-256 fingerprint as ssh prints it."""

    id: str
    user: str
    algorithm: str
    comment: str
    added: float
    used: float | None


def fingerprint(blob: bytes) -> str:
    """Give the fingerprint as OpenSSH writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def parse_file(text: str) -> list[PublicKey]:
    """Read a `.pub` or `authorized_keys` file without options. Raises `Refused`."""
    if "PRIVATE KEY" in text:
        raise Refused(
            "that is a private key, which should not leave its owner. Give the `.pub` file beside it."
        )
    if len(text) > MAX_FILE:
        raise Refused("that file is too long for public keys.")
    lines = [line.strip() for line in text.splitlines()]
    keys = [_parse(line) for line in lines if line and not line.startswith("#")]
    if not keys or len(keys) > MAX_KEYS:
        raise Refused(
            f"there is no public key in that file, or more than {MAX_KEYS}. Make one: `ssh-keygen -t ed25519`."
        )
    return keys


def _parse(line: str) -> PublicKey:
    algorithm, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if "-cert-v0" in algorithm:
        raise Refused(
            "that is a certificate. Certificates are not registered: `recgate key sign` makes them."
        )
    if algorithm not in ALGORITHMS:
        raise Refused(
            f"{algorithm[:60]!a} is not a kind of key that can be registered. Use: {', '.join(sorted(ALGORITHMS))}."
        )
    try:
        blob = base64.b64decode(encoded, validate=True)
        name, _ = read_string(blob, 0)
    except (binascii.Error, ValueError) as exc:
        raise Refused("that line is not a whole public key. Copy it again.") from exc
    if name != algorithm.encode():
        raise Refused("that line says one kind of key and holds another. Copy it again.")
    if algorithm == "ssh-rsa":
        _check_rsa(blob)
    return PublicKey(algorithm, blob, "".join(c for c in comment.strip()[:200] if c.isprintable()))


def read_string(blob: bytes, at: int) -> tuple[bytes, int]:
    """Read one `string` of RFC 4251 §5; give it and where the next begins. Raises `ValueError`."""
    if len(blob) < at + 4:
        raise ValueError("too short")
    (length,) = struct.unpack_from(">I", blob, at)
    end = at + 4 + length
    if end > len(blob):
        raise ValueError("too short")
    return blob[at + 4 : end], end


def _check_rsa(blob: bytes) -> None:
    try:
        _, at = read_string(blob, 0)
        _, at = read_string(blob, at)
        modulus, _ = read_string(blob, at)
    except ValueError as exc:
        raise Refused("that line is not a whole public key. Copy it again.") from exc
    bits = int.from_bytes(modulus, "big").bit_length()
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise Refused(
            f"that RSA key has {bits} bits. Use {MIN_RSA_BITS} or more, or `ssh-keygen -t ed25519`."
        )


def add(connection: sqlite3.Connection, user: str, key: PublicKey, now: float) -> RegisteredKey:
    """Register a key; the same key for the same user again changes nothing. Raises `Refused`."""
    users.require(connection, user)
    known = by_blob(connection, key.blob)
    if known is not None and known.user != user:
        raise Refused(
            f"{known.id} is registered for {known.user} already; a key says who somebody is, so it has one user."
        )
    if known is not None:
        return known
    identifier = fingerprint(key.blob)
    connection.execute(
        "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, NULL)",
        (identifier, user, key.algorithm, key.blob, key.comment, now),
    )
    return RegisteredKey(identifier, user, key.algorithm, key.comment, now, None)


def by_blob(connection: sqlite3.Connection, blob: bytes) -> RegisteredKey | None:
    """Find a key by its wire form."""
    row = connection.execute("SELECT * FROM keys WHERE blob = ?", (blob,)).fetchone()
    return None if row is None else _key(row)


def by_id(connection: sqlite3.Connection, identifier: str) -> RegisteredKey | None:
    """Find a key by its fingerprint."""
    row = connection.execute("SELECT * FROM keys WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else _key(row)


def listed(connection: sqlite3.Connection, user: str = "") -> Sequence[RegisteredKey]:
    """Give the keys of one user or of all, in the order of users."""
    rows = connection.execute(
        "SELECT * FROM keys WHERE ? IN ('', user) ORDER BY user, added, id", (user,)
    ).fetchall()
    return [_key(row) for row in rows]


def remove(connection: sqlite3.Connection, identifier: str) -> bool:
    """Remove a key. Says whether there was one."""
    return connection.execute("DELETE FROM keys WHERE id = ?", (identifier,)).rowcount > 0


def used(connection: sqlite3.Connection, key: RegisteredKey, now: float) -> None:
    """Note that a key was used just now."""
    connection.execute("UPDATE keys SET used = ? WHERE id = ?", (now, key.id))


def _key(row: sqlite3.Row) -> RegisteredKey:
    return RegisteredKey(row["id"], row["user"], row["algorithm"], row["comment"], row["added"], row["used"])
