"""Time stamps by an authority (RFC 3161): when a head was there, by somebody who has never seen a ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from recgate.errors import ConfigurationError, LedgerDamaged

__all__ = ["MAX_TOKEN", "QUERY_TYPE", "Query", "authorities", "stamp_path", "stamped", "verify_stamp"]

MAX_TOKEN: Final = 64 << 10  # bytes; one with a chain of three certificates takes 6 KiB
MAX_CA: Final = 1 << 20
QUERY_TYPE: Final = "application/timestamp-query"  # RFC 3161 §3.4
DIRECTORY: Final = "timestamps"
_SHA256: Final = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")


@dataclass(frozen=True, slots=True)
class Query:
    """What an authority is asked over a text: `data` is sent to it, `nonce` must come back."""

    data: bytes
    nonce: int

    @classmethod
    def over(cls, text: str) -> Query:
        """Ask for a time stamp over the SHA-256 of a text, with the authority's certificate in it."""
        request = TimestampRequestBuilder().data(text.encode()).hash_algorithm(HashAlgorithm.SHA256)
        built = request.nonce(nonce=True).cert_request(cert_request=True).build()
        return cls(built.as_bytes(), built.nonce or 0)


def authorities(path: Path) -> list[x509.Certificate]:
    """Read the authorities that time stamps must be signed under. Raises `ConfigurationError`."""
    try:
        with open(path, "rb") as file:
            return x509.load_pem_x509_certificates(file.read(MAX_CA))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{path}: cannot be read as authorities (PEM).") from exc


def verify_stamp(token: bytes, text: str, roots: Sequence[x509.Certificate], nonce: int | None = None) -> int:
    """Give the time, in seconds since 1970, at which an authority saw the text.

    The signer's certificate must be for time stamping alone, be under one of the `roots`, and have been valid then.

    Raises:
        LedgerDamaged: it is no time stamp over this text by such an authority. Says what is wrong.
    """
    if len(token) > MAX_TOKEN:
        raise LedgerDamaged(f"a time stamp is longer than {MAX_TOKEN} bytes")
    try:
        response = decode_timestamp_response(token)
        info = response.tst_info
        if info.message_imprint.hash_algorithm != _SHA256:
            raise LedgerDamaged("a time stamp is not over a SHA-256")
        verifier = VerifierBuilder(roots=list(roots), nonce=nonce).build()
        verifier.verify(response, hashlib.sha256(text.encode()).digest())
    except (VerificationError, ValueError, AssertionError) as exc:
        raise LedgerDamaged(f"a time stamp does not verify: {exc}"[:300]) from None
    return int(info.gen_time.timestamp())


def stamp_path(ledger: Path, size: int) -> Path:
    """Say where the time stamp over the head of so many entries is."""
    return ledger / DIRECTORY / f"{size}.tsr"


def stamped(ledger: Path) -> list[int]:
    """Give the sizes of the heads that there are time stamps over, the largest last."""
    try:
        names = [
            path.name.removesuffix(".tsr") for path in (ledger / DIRECTORY).iterdir() if path.suffix == ".tsr"
        ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 20)
