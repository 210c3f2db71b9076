"""The signature of a webhook: HMAC-SHA256 over when and what, so that a receiver believes no copy and no old one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from recgate.model import Secret

__all__ = ["DELIVERY", "SIGNATURE", "TIMESTAMP", "WINDOW", "sign", "verify"]

TIMESTAMP: Final = "Recgate-Timestamp"
SIGNATURE: Final = "Recgate-Signature"
DELIVERY: Final = "Recgate-Delivery"
WINDOW: Final = (
    300.0  # seconds that a receiver takes a timestamp for new; it keeps delivery numbers for as long
)


def sign(secret: Secret, timestamp: int, delivery: str, body: bytes) -> str:
    """Give the value of the signature's header: `v1=` and hex."""
    said = b"%d.%b.%b" % (timestamp, delivery.encode(), body)
    return "v1=" + hmac.new(secret.reveal(), said, hashlib.sha256).hexdigest()


def verify(secret: Secret, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether a delivery is the gateway's and new. That it came once is for the receiver to remember."""
    given = {name.lower(): value for name, value in headers.items()}
    timestamp, delivery = given.get(TIMESTAMP.lower(), ""), given.get(DELIVERY.lower(), "")
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > WINDOW:
        return False
    expected = sign(secret, int(timestamp), delivery, body)
    return hmac.compare_digest(expected.encode(), given.get(SIGNATURE.lower(), "").encode())
