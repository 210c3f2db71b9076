"""SSH keys of the gateway's own: its host key and certificate, and the authority that signs users in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import ConfigurationError

__all__ = ["certificate_still_good", "issue_host_certificate", "load_ssh_key", "new_ssh_key", "public_line"]

HOST_LIFE: Final = 397 * 86_400  # seconds
RENEW_BEFORE: Final = 30 * 86_400
SKEW: Final = 3_600  # a client's clock may be behind ours


def new_ssh_key() -> bytes:
    """Make an Ed25519 key in OpenSSH's format."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def load_ssh_key(data: bytes, source: object) -> Ed25519PrivateKey:
    """Read a key that `new_ssh_key` made. Raises `ConfigurationError`, naming `source`."""
    try:
        key = serialization.load_ssh_private_key(data, None)
    except (ValueError, TypeError) as exc:
        raise ConfigurationError(f"{source}: is not an SSH key. Restore it from a backup.") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{source}: is not an Ed25519 key. Restore it from a backup.")
    return key


def public_line(key: Ed25519PrivateKey, comment: str) -> bytes:
    """Give the line of a `.pub` file."""
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line + b" " + comment.encode() + b"\n"


def issue_host_certificate(
    authority: Ed25519PrivateKey, key: Ed25519PrivateKey, gateway: str, hosts: Sequence[str]
) -> bytes:
    """Give the line of a host certificate for `hosts` (OpenSSH PROTOCOL.certkeys)."""
    now = int(time.time())
    certificate = (
        serialization.SSHCertificateBuilder()
        .public_key(key.public_key())
        .serial(now)
        .type(serialization.SSHCertificateType.HOST)
        .key_id(gateway.encode())
        .valid_principals([host.encode() for host in hosts])
        .valid_after(now - SKEW)
        .valid_before(now + HOST_LIFE)
        .sign(authority)
    )
    return certificate.public_bytes() + b" " + gateway.encode() + b"\n"


def certificate_still_good(
    line: bytes, authority: Ed25519PrivateKey, key: Ed25519PrivateKey, hosts: Sequence[str]
) -> bool:
    """Say whether a host certificate is ours, for this key and these hosts, and not near its end."""
    try:
        certificate = serialization.load_ssh_public_identity(line)
    except ValueError:
        return False
    return (
        isinstance(certificate, serialization.SSHCertificate)
        and certificate.public_key() == key.public_key()
        and certificate.signature_key() == authority.public_key()
        and set(certificate.valid_principals) == {host.encode() for host in hosts}
        and certificate.valid_before - time.time() > RENEW_BEFORE
    )
