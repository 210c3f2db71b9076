"""SSH user certificates for the directory's users: each is in the books by its serial."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from recgate.keys import usercertificates
from recgate.keys.usercertificates import Certifiable, Proven, check
from recgate_local import users
from recgate_local.errors import Refused
from recgate_local.sshkeys import PublicKey, fingerprint

__all__ = ["IssuedCertificate", "by_serial", "check", "listed", "revoke", "sign", "used"]

MAX_LIFE: Final = 366 * 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """What is kept of a certificate. Times are wall-clock seconds."""

    serial: int
    user: str
    fingerprint: str
    issued: float
    expires: float
    revoked: float | None
    used: float | None

    @property
    def id(self) -> str:
        """What `recgate key rm` takes."""
        return f"certificate:{self.serial}"

    def status(self, now: float) -> str:
        """Say `valid`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires <= now else "valid"


def sign(
    connection: sqlite3.Connection,
    authority: ed25519.Ed25519PrivateKey,
    user: str,
    key: PublicKey,
    ttl: float,
    now: float,
) -> tuple[IssuedCertificate, bytes]:
    """Sign a public key for a user; give what is kept and the line of the certificate. Raises `Refused`."""
    users.require(connection, user)
    if not 0 < ttl <= MAX_LIFE:
        raise Refused(f"a certificate lives for at most {MAX_LIFE / 86_400:.0f} days.")
    public = _load_public(key)
    serial = usercertificates.new_serial()
    proven = Proven(user, serial, float(int(now + ttl)), f"recgate {user} {serial}")
    line = usercertificates.sign(authority, public, proven, now)
    issued = IssuedCertificate(serial, user, fingerprint(key.blob), now, proven.expires, None, None)
    connection.execute(
        "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, NULL, NULL)",
        (issued.serial, user, issued.fingerprint, now, issued.expires),
    )
    return issued, line


def _load_public(key: PublicKey) -> Certifiable:
    line = key.algorithm.encode() + b" " + base64.b64encode(key.blob)
    try:
        public = serialization.load_ssh_public_key(line)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise Refused(f"the {key.algorithm} key cannot be read: {exc}") from exc
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise Refused(f"a {key.algorithm} key cannot be certified here. Register it: `recgate key add`.")
    return public


def by_serial(connection: sqlite3.Connection, serial: int) -> IssuedCertificate | None:
    """Find a certificate by its serial number."""
    if not 0 <= serial < 1 << 63:
        return None
    row = connection.execute("SELECT * FROM certificates WHERE serial = ?", (serial,)).fetchone()
    return None if row is None else _issued(row)


def listed(connection: sqlite3.Connection, user: str = "") -> Sequence[IssuedCertificate]:
    """Give the certificates of one user or of all, newest first."""
    rows = connection.execute(
        "SELECT * FROM certificates WHERE ? IN ('', user) ORDER BY issued DESC, serial", (user,)
    ).fetchall()
    return [_issued(row) for row in rows]


def revoke(connection: sqlite3.Connection, serial: int, now: float) -> bool:
    """Revoke a certificate; doing it again changes nothing. Says whether there is one."""
    connection.execute(
        "UPDATE certificates SET revoked = ? WHERE serial = ? AND revoked IS NULL", (now, serial)
    )
    return by_serial(connection, serial) is not None


def used(connection: sqlite3.Connection, issued: IssuedCertificate, now: float) -> None:
    """Note that a certificate was used just now."""
    connection.execute("UPDATE certificates SET used = ? WHERE serial = ?", (now, issued.serial))


def _issued(row: sqlite3.Row) -> IssuedCertificate:
    return IssuedCertificate(
        row["serial"],
        row["user"],
        row["fingerprint"],
        row["issued"],
        row["expires"],
        row["revoked"],
        row["used"],
    )
