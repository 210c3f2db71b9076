"""Look at a private key and a certificate before they are kept: what cannot be used later is refused now."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from recgate.errors import ConfigurationError
from recgate.model import Secret

__all__ = ["read_certificate", "read_key"]


def read_key(data: bytes, source: Path) -> Secret:
    """Give a private key, OpenSSH or PEM, without a passphrase. Raises `ConfigurationError`."""
    load = (
        serialization.load_ssh_private_key
        if b"BEGIN OPENSSH PRIVATE KEY" in data
        else serialization.load_pem_private_key
    )
    try:
        load(data, None)
    except TypeError:
        # What cryptography raises for a key that is encrypted.
        raise ConfigurationError(
            f"{source}: is encrypted, and a gateway cannot type a passphrase. "
            "Give a copy without one; the vault encrypts it."
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{source}: is not a private key in OpenSSH's format or PEM.") from None
    return Secret(data)


def read_certificate(data: bytes, source: Path) -> bytes:
    """Give an SSH certificate line or a PEM chain. Raises `ConfigurationError`."""
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            x509.load_pem_x509_certificates(data)
            return data
        if isinstance(serialization.load_ssh_public_identity(data.strip()), serialization.SSHCertificate):
            return data.strip() + b"\n"
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise ConfigurationError(f"{source}: is not an SSH certificate or a chain of PEM certificates.")
