"""Whether a client certificate counts: chain, time, purpose, revocation. RFC 5280 §6, by the `cryptography` library."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from recgate.errors import ConfigurationError
from recgate_certificates.errors import CertificateRefused
from recgate_certificates.revocation import Revocations

__all__ = ["Authorities"]

MAX_FILE: Final = 32 << 20  # bytes of authorities
MAX_CERTIFICATE: Final = 64 << 10  # bytes (DER)
MAX_DEPTH: Final = 4  # authorities between the certificate and `ca`
MIN_RSA: Final = 2_048  # bits: what the library demands of authorities holds for certificates as well


class Authorities:
    """Those whose certificates count. Synchronous: reads files. Raises `ConfigurationError` when made of bad ones."""

    def __init__(self, ca: Path, intermediates: Path | None, crl: Path | None) -> None:
        self._roots = _certificates(ca)
        self._between = _certificates(intermediates) if intermediates is not None else []
        for path, found in ((ca, self._roots), (intermediates, self._between)):
            _check_authorities(path, found)
        self._revocations = None if crl is None else Revocations(crl)
        self._names = {each.subject for each in (*self._roots, *self._between)}
        parts = (
            each.public_bytes(serialization.Encoding.PEM).decode() for each in (*self._roots, *self._between)
        )
        self.pem = "".join(parts)

    def checked(self, der: bytes) -> x509.Certificate | None:
        """Give a certificate that counts now, or None if it is not of these authorities.

        Raises:
            CertificateRefused: it says that it is, and does not count.
        """
        if len(der) > MAX_CERTIFICATE:
            return None
        try:
            certificate = x509.load_der_x509_certificate(der)
            issuer = certificate.issuer
        except (ValueError, UnsupportedAlgorithm):
            return None
        if issuer not in self._names:
            return None
        verifier = (
            PolicyBuilder()
            .store(Store(self._roots))
            .time(datetime.fromtimestamp(time.time(), UTC))
            .max_chain_depth(MAX_DEPTH)
            .build_client_verifier()
        )
        try:
            chain = verifier.verify(certificate, self._between).chain
            _check_purpose(certificate)
            _check_key(certificate)
        except (VerificationError, ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as exc:
            raise CertificateRefused(f"its chain does not verify: {str(exc)[:200]}") from None
        if self._revocations is not None:
            for each, issuer in itertools.pairwise(chain):
                self._revocations.check(each.serial_number, issuer)
        return certificate


def _check_purpose(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise CertificateRefused("it does not say what it is for") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise CertificateRefused("it is not for clients (extended key usage)")


def _check_key(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA:
        raise CertificateRefused(f"its key has fewer than {MIN_RSA} bits")


def _check_authorities(path: Path | None, found: Sequence[x509.Certificate]) -> None:
    """Refuse what is no authority: the library would believe it as it stands, and no list could revoke it."""
    for each in found:
        try:
            is_authority = each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
            is_authority = False
        if not is_authority:
            raise ConfigurationError(
                f"{path}: {each.subject.rfc4514_string()[:200]} is no authority (basic constraints). "
                "Give the certificate of whoever signed it; `rules` say which of theirs count."
            )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"has more than {MAX_FILE} bytes")
    return data


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(
            f"{path}: no certificates (PEM) can be read from it: {exc}. Check it."
        ) from exc
