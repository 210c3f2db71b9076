"""The certificate that this gateway shows to clients: TLS contexts by ALPN, and what binds SCRAM to it."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from recgate.keys import GatewayKeys
from recgate.tls import channel_binding, server_context

__all__ = ["ServerCertificate"]

MAX_CONTEXTS: Final = 32  # kept; configurations have a few


class ServerCertificate:
    """One certificate in force. A reload makes a new one; connections keep the one they began with."""

    def __init__(self, keys: GatewayKeys) -> None:
        self._keys = keys
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        self._asking: dict[tuple[tuple[str, ...], str], ssl.SSLContext] = {}

    def context(self, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Give the server context that selects from `alpn`, made once. Raises `ConfigurationError`."""
        if alpn not in self._contexts:
            self._contexts[alpn] = server_context(
                self._keys.certificate_file, self._keys.certificate_key_file, alpn=alpn
            )
        return self._contexts[alpn]

    def asking_context(self, alpn: tuple[str, ...], authorities: str) -> ssl.SSLContext:
        """Give one that asks clients for a certificate of `authorities` (PEM). Raises `ConfigurationError`."""
        key = (alpn, authorities)
        if key not in self._asking:
            if len(self._asking) >= MAX_CONTEXTS:  # authorities come from the configuration, which reloads
                self._asking.clear()
            self._asking[key] = server_context(
                self._keys.certificate_file, self._keys.certificate_key_file, alpn=alpn, client_ca=authorities
            )
        return self._asking[key]

    @cached_property
    def binding(self) -> bytes:
        """`tls-server-end-point` of the certificate (RFC 5929 §4.1), empty where its signature defines none."""
        chain = x509.load_pem_x509_certificates(self._keys.certificate_file.read_bytes())
        return channel_binding(chain[0].public_bytes(Encoding.DER))
