"""The signature: what it is over, and what a receiver must not believe."""

from __future__ import annotations

import hmac

import pytest

from recgate.model import Secret
from recgate_notify.signing import sign, verify

KEY, BODY = Secret(b"k" * 32), b'{"event": "approval.asked"}'


def headers(**more: str) -> dict[str, str]:
    given = {
        "Recgate-Timestamp": "1000",
        "Recgate-Delivery": "d1",
        "Recgate-Signature": sign(KEY, 1000, "d1", BODY),
    }
    return given | {name.replace("_", "-"): value for name, value in more.items()}


def test_it_is_what_the_guide_says() -> None:
    made = hmac.new(b"k" * 32, b"1000.d1." + BODY, "sha256").hexdigest()
    assert sign(KEY, 1000, "d1", BODY) == f"v1={made}"
    assert verify(KEY, headers(), BODY, 1000.0)
    assert verify(KEY, {name.upper(): value for name, value in headers().items()}, BODY, 1299.0)


@pytest.mark.parametrize(
    ("given", "body", "now"),
    [
        (headers(), BODY + b" ", 1000.0),
        (headers(), BODY, 1301.0),
        (headers(), BODY, 699.0),
        (headers(Recgate_Timestamp="1001"), BODY, 1001.0),
        (headers(Recgate_Delivery="d2"), BODY, 1000.0),
        (headers(Recgate_Signature="v1="), BODY, 1000.0),
        (headers(Recgate_Signature=sign(Secret(b"x" * 32), 1000, "d1", BODY)), BODY, 1000.0),
        (headers(Recgate_Timestamp="1000.0"), BODY, 1000.0),
        (headers(Recgate_Timestamp="\u0661"), BODY, 1000.0),
        ({}, BODY, 1000.0),
    ],
)
def test_anything_else_is_not_believed(given: dict[str, str], body: bytes, now: float) -> None:
    assert not verify(KEY, given, body, now)
