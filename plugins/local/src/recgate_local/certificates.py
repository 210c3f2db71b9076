"""SSH user certificates of the gateway's own: signed here, known by serial, refused in every doubtful case."""

from __future__ import annotations

import base64
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import SSHCertificate, SSHCertificateType

from recgate.errors import AuthenticationFailed
from recgate_local import users
from recgate_local.errors import Refused
from recgate_local.sshkeys import PublicKey, fingerprint, read_string

__all__ = ["IssuedCertificate", "by_serial", "check", "listed", "revoke", "sign", "used"]

SKEW: Final = 60  # seconds; a client's clock may be behind ours
MAX_LIFE: Final = 366 * 86_400.0  # seconds
# What a session of the gateway may need. Nothing else is granted, and no option restricts.
_EXTENSIONS: Final = (b"permit-pty",)


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


@dataclass(frozen=True, slots=True)
class Proven:
    """What a certificate proves: whose, and until when."""

    user: str
    serial: int
    expires: float


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
    # 62 random bits: unique without a counter, and within SQLite's signed integers.
    serial = secrets.randbits(62)
    builder = (
        serialization.SSHCertificateBuilder()
        .public_key(public)
        .serial(serial)
        .type(SSHCertificateType.USER)
        .key_id(f"recgate {user} {serial}".encode())
        .valid_principals([user.encode()])
        .valid_after(int(now) - SKEW)
        .valid_before(int(now + ttl))
    )
    for extension in _EXTENSIONS:
        builder = builder.add_extension(extension, b"")
    line = builder.sign(authority).public_bytes() + b" " + user.encode() + b"\n"
    issued = IssuedCertificate(serial, user, fingerprint(key.blob), now, float(int(now + ttl)), None, None)
    connection.execute(
        "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, NULL, NULL)",
        (issued.serial, user, issued.fingerprint, now, issued.expires),
    )
    return issued, line


def _load_public(key: PublicKey) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    line = key.algorithm.encode() + b" " + base64.b64encode(key.blob)
    try:
        public = serialization.load_ssh_public_key(line)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise Refused(f"the {key.algorithm} key cannot be read: {exc}") from exc
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise Refused(f"a {key.algorithm} key cannot be certified here. Register it: `recgate key add`.")
    return public


def check(blob: bytes, authority: ed25519.Ed25519PublicKey, now: float) -> Proven | None:
    """Say whom a certificate proves, or None if another authority signed it (OpenSSH PROTOCOL.certkeys).

    Raises:
        AuthenticationFailed: it is ours, and forged, of the wrong kind, out of its time, for no or several
            principals, or under an option that we do not know.
    """
    certificate = _load(blob, authority)
    if certificate is None:
        return None
    if certificate.type is not SSHCertificateType.USER:
        raise AuthenticationFailed("a host certificate does not log anybody in")
    if not certificate.valid_after <= now < certificate.valid_before:
        raise AuthenticationFailed("the certificate is not valid now")
    if certificate.critical_options:
        raise AuthenticationFailed("the certificate has critical options, which this gateway never grants")
    # No principal would mean everybody (OpenSSH), and one with a comma in it must stay one (CVE-2026-35414).
    if len(certificate.valid_principals) != 1:
        raise AuthenticationFailed("the certificate does not name exactly one user")
    try:
        user = certificate.valid_principals[0].decode("ascii")
    except UnicodeDecodeError:
        raise AuthenticationFailed("the certificate names somebody who cannot exist") from None
    return Proven(user, certificate.serial, float(certificate.valid_before))


def _load(blob: bytes, authority: ed25519.Ed25519PublicKey) -> SSHCertificate | None:
    """Read a certificate that `authority` signed; None if it names another one."""
    try:
        algorithm, _ = read_string(blob, 0)
        loaded = serialization.load_ssh_public_identity(algorithm + b" " + base64.b64encode(blob))
        # The parts are only read when they are asked for, so what is damaged shows here.
        if not isinstance(loaded, SSHCertificate) or loaded.signature_key() != authority:
            return None
        loaded.verify_cert_signature()
    except InvalidSignature:
        raise AuthenticationFailed("the certificate's signature does not verify") from None
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as exc:
        raise AuthenticationFailed(f"the certificate cannot be read ({type(exc).__name__})") from None
    return loaded


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
