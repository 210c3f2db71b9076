"""SSH user certificates that this gateway signs, checked in every doubtful case (OpenSSH PROTOCOL.certkeys).

Several identity sources sign with the one user CA. The key id, which is inside what is signed, says whose a
certificate is: what begins with `SIGN_IN` stands for a sign-in at an identity provider, everything else for the
directory of the gateway's own. A source leaves the other's alone, and refuses what it does not find in its books.
"""

from __future__ import annotations

import base64
import secrets
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import SSHCertificate, SSHCertificateType

from recgate.errors import AuthenticationFailed

__all__ = ["SIGN_IN", "Certifiable", "Proven", "check", "new_serial", "sign"]

SIGN_IN: Final = "recgate-sign-in "
SKEW: Final = 60  # seconds; a client's clock may be behind ours
MAX_BLOB: Final = 64 << 10  # bytes of a certificate; OpenSSH takes no longer packet in authentication
# What a session of the gateway may need. Nothing else is granted, and no option restricts.
_EXTENSIONS: Final = (b"permit-pty",)

Certifiable = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Proven:
    """What a certificate proves: whose, and until when in wall-clock seconds."""

    user: str
    serial: int
    expires: float
    key_id: str


def new_serial() -> int:
    """Give 62 random bits: unique without a counter, and within SQLite's signed integers."""
    return secrets.randbits(62)


def sign(authority: ed25519.Ed25519PrivateKey, key: Certifiable, proven: Proven, now: float) -> bytes:
    """Give the line of a certificate that says `proven`, good from now on."""
    builder = (
        serialization.SSHCertificateBuilder()
        .public_key(key)
        .serial(proven.serial)
        .type(SSHCertificateType.USER)
        .key_id(proven.key_id.encode())
        .valid_principals([proven.user.encode()])
        .valid_after(int(now) - SKEW)
        .valid_before(int(proven.expires))
    )
    for extension in _EXTENSIONS:
        builder = builder.add_extension(extension, b"")
    return builder.sign(authority).public_bytes() + b" " + proven.user.encode() + b"\n"


def check(blob: bytes, authority: ed25519.Ed25519PublicKey, now: float) -> Proven | None:
    """Say what a certificate proves, or None if another authority signed it.

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
        user, key_id = certificate.valid_principals[0].decode(), certificate.key_id.decode()
    except UnicodeDecodeError:
        raise AuthenticationFailed("the certificate names somebody who cannot exist") from None
    return Proven(user, certificate.serial, float(certificate.valid_before), key_id)


def _load(blob: bytes, authority: ed25519.Ed25519PublicKey) -> SSHCertificate | None:
    """Read a certificate that `authority` signed; None if it names another one."""
    if len(blob) > MAX_BLOB:
        return None
    try:
        loaded = serialization.load_ssh_public_identity(_algorithm(blob) + b" " + base64.b64encode(blob))
        # The parts are only read when they are asked for, so what is damaged shows here.
        if not isinstance(loaded, SSHCertificate) or loaded.signature_key() != authority:
            return None
        loaded.verify_cert_signature()
    except InvalidSignature:
        raise AuthenticationFailed("the certificate's signature does not verify") from None
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as exc:
        raise AuthenticationFailed(f"the certificate cannot be read ({type(exc).__name__})") from None
    return loaded


def _algorithm(blob: bytes) -> bytes:
    """The string that a key blob begins with, RFC 4251 §5."""
    if len(blob) < 4:
        raise ValueError("too short")
    (size,) = struct.unpack_from(">I", blob)
    if size > len(blob) - 4:
        raise ValueError("runs over its end")
    return blob[4 : 4 + size]
