"""TLS contexts for both sides, and what binds an authentication to the certificate that was shown."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from recgate.errors import ConfigurationError, UpstreamFailed
from recgate.model import Credential

__all__ = ["UpstreamTls", "channel_binding", "client_context", "server_context"]

UpstreamTls = Literal["verify-full", "verify-ca", "require", "disable"]


def server_context(
    certificate: Path, key: Path, *, alpn: Sequence[str] = (), client_ca: str = ""
) -> ssl.SSLContext:
    """Make the context of a listener: TLS 1.2 and later, no renegotiation, no resumption.

    Args:
        certificate: chain (PEM).
        key: its private key (PEM, not encrypted).
        alpn: protocols to select from (RFC 7301); none means that ALPN is not answered.
        client_ca: PEM of the authorities of client certificates, which are then asked for and may be absent.

    Raises:
        ConfigurationError: the files are not a certificate and its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.num_tickets = 0  # each connection proves itself anew, and idle sessions hold no ticket state
    try:
        # Without a password callback OpenSSL would prompt on the operator's terminal and hang a service.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as exc:
        raise ConfigurationError(
            f"{certificate}: does not load with the key {key}: {exc}. "
            "Give a PEM chain and its unencrypted key."
        ) from exc
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if client_ca:
        try:
            context.load_verify_locations(cadata=client_ca)
        except (TypeError, ValueError, ssl.SSLError) as exc:
            raise ConfigurationError(f"the client authorities are no certificates: {exc}. Give PEM.") from exc
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(
    mode: UpstreamTls,
    *,
    ca: Path | None = None,
    credential: Credential | None = None,
    alpn: Sequence[str] = (),
) -> ssl.SSLContext | None:
    """Make the context towards a target, or None for `disable`.

    `verify-full` checks chain and name, `verify-ca` the chain, `require` encrypts to whoever answers.

    Args:
        mode: the target's `tls:`.
        ca: authorities to believe (PEM); without it the system's.
        credential: its certificate and private key (PEM) are shown when the target asks.
        alpn: protocols to offer (RFC 7301).

    Raises:
        UpstreamFailed: `ca` or the credential's certificate cannot be used. Holds no part of the key.
    """
    if mode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.check_hostname = mode == "verify-full"
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, ca)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if credential is not None and credential.certificate and credential.private_key is not None:
        _load_client_certificate(context, credential.certificate, credential.private_key.reveal())
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET


def _load_authorities(context: ssl.SSLContext, ca: Path | None) -> None:
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as exc:
        raise UpstreamFailed(f"{ca}: holds no certificates to verify the target with: {exc}") from exc


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL takes a path only; a memory file has one, and never touches a disk.
    descriptor = os.memfd_create("recgate-client-certificate", os.MFD_CLOEXEC)
    try:
        pem = certificate.rstrip(b"\n") + b"\n" + key.rstrip(b"\n") + b"\n"
        view = memoryview(pem)
        while view:
            view = view[os.write(descriptor, view) :]
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
    except (OSError, ValueError):
        # `from None`: OpenSSL's words may quote what it read.
        raise UpstreamFailed("the leased certificate and key do not fit together, or are not PEM") from None
    finally:
        os.close(descriptor)


def channel_binding(der: bytes) -> bytes:
    """Give `tls-server-end-point` data of a certificate (RFC 5929 §4.1), empty where it is not defined.

    The hash is that of the certificate's signature, SHA-256 in place of MD5 and SHA-1. A signature without a
    single hash function (Ed25519) has no such binding, and then SCRAM-SHA-256-PLUS is not offered.
    """
    try:
        algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if algorithm is None:
        return b""
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, der).digest()
