"""What can be wrong with a client certificate."""

from __future__ import annotations

from recgate.errors import RecgateError

__all__ = ["CertificateRefused"]


class CertificateRefused(RecgateError):
    """The certificate is of these authorities, or says so, and does not count."""
