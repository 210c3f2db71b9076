"""Revocation lists (RFC 5280 §5), read only when their file has changed: sessions are judged every few seconds."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from recgate_certificates.errors import CertificateRefused

__all__ = ["MAX_FILE", "Revocations"]

MAX_FILE: Final = 32 << 20  # bytes of revocation lists

_BEGIN: Final = b"-----BEGIN X509 CRL-----"
_END: Final = b"-----END X509 CRL-----"
_Stamp = tuple[int, int, int, int]


@dataclass(slots=True)
class _List:
    """One list. What it takes long to find out is found out once."""

    found: x509.CertificateRevocationList
    serials: frozenset[int]
    complete: bool
    signed_by: dict[bytes, bool] = field(default_factory=dict[bytes, bool])

    def is_of(self, issuer: x509.Certificate) -> bool:
        """Whether it is a complete list that this authority has signed."""
        if not self.complete or self.found.issuer != issuer.subject:
            return False
        known = issuer.fingerprint(hashes.SHA256())
        if known not in self.signed_by:
            self.signed_by[known] = _is_signed(self.found, issuer)
        return self.signed_by[known]

    def is_current(self, now: datetime) -> bool:
        """Whether its time is now."""
        end = self.found.next_update_utc
        return self.found.last_update_utc <= now and end is not None and end >= now


class Revocations:
    """The lists in a file (PEM). Synchronous, and for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: _Stamp | None = None
        self._lists: tuple[_List, ...] = ()

    def check(self, serial: int, issuer: x509.Certificate) -> None:
        """Refuse a certificate of `issuer` unless a current list of that authority clears it.

        Raises:
            CertificateRefused: it was revoked, or there is no such list.
        """
        now = datetime.fromtimestamp(time.time(), UTC)
        with self._lock:
            current = [each for each in self._read() if each.is_current(now) and each.is_of(issuer)]
        if not current:
            raise CertificateRefused("there is no current revocation list of its authority")
        if any(serial in each.serials for each in current):
            raise CertificateRefused("it was revoked")

    def _read(self) -> tuple[_List, ...]:
        try:
            if self._stamp != _stamp(self._path.stat()):
                self._stamp, self._lists = None, ()
                with self._path.open("rb") as file:
                    stamp = _stamp(os.fstat(file.fileno()))
                    self._lists = _lists(file.read(MAX_FILE + 1))
                self._stamp = stamp
        except (OSError, ValueError, UnsupportedAlgorithm):
            raise CertificateRefused("its authority's revocation list cannot be read") from None
        return self._lists


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _lists(data: bytes) -> tuple[_List, ...]:
    if len(data) > MAX_FILE:
        raise ValueError(f"more than {MAX_FILE} bytes")
    parts = [part.partition(_END)[0] for part in data.split(_BEGIN)[1:]]
    return tuple(_list(x509.load_pem_x509_crl(_BEGIN + part + _END + b"\n")) for part in parts)


def _list(found: x509.CertificateRevocationList) -> _List:
    try:
        # Critical marks a list of some of its certificates only (RFC 5280 §5.2.4, §5.2.5): who is not in it may be
        # revoked all the same.
        complete = not any(each.critical for each in found.extensions)
    except (x509.DuplicateExtension, ValueError):
        complete = False
    return _List(found, frozenset(each.serial_number for each in found), complete)


def _is_signed(found: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return found.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return False
