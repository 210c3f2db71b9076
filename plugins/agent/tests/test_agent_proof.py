"""What is signed for one purpose, gateway, agent and nonce proves nothing at another."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate_agent.proof import (
    CONTROL,
    NONCE,
    STREAM,
    decoded,
    encoded,
    fingerprint,
    looks_like_token,
    new_token,
    proves,
    signed,
    token_hash,
)

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
MADE = (CONTROL, "gate", "relay", b"n" * NONCE)


def test_a_signature_proves_what_was_signed() -> None:
    assert proves(PUBLIC, signed(KEY, *MADE), *MADE)


@pytest.mark.parametrize(
    "other",
    [
        (STREAM, "gate", "relay", b"n" * NONCE),
        (CONTROL, "gate-2", "relay", b"n" * NONCE),
        (CONTROL, "gate", "relay-2", b"n" * NONCE),
        (CONTROL, "gate", "relay", b"m" * NONCE),
        (
            CONTROL,
            "gater",
            "elay",
            b"n" * NONCE,
        ),  # the lengths are signed: nothing moves from one field to the next
        (CONTROL, "gate", "relay", b"n" * (NONCE - 1)),
    ],
)
def test_and_nothing_else(other: tuple[str, str, str, bytes]) -> None:
    assert not proves(PUBLIC, signed(KEY, *MADE), *other)


def test_another_key_or_a_damaged_signature_proves_nothing() -> None:
    good = signed(KEY, *MADE)
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert not proves(stranger, good, *MADE)
    for bad in (b"", good[:-1], good + b"\0", bytes(64), good[:-1] + bytes([good[-1] ^ 1])):
        assert not proves(PUBLIC, bad, *MADE)
    for bad in (b"", PUBLIC[:-1], PUBLIC + b"\0", bytes(32)):
        assert not proves(bad, good, *MADE)


def test_what_is_signed_is_told_from_what_others_sign() -> None:
    assert not proves(PUBLIC, KEY.sign(b"n" * NONCE), *MADE)


def test_bytes_have_one_spelling() -> None:
    data = bytes(range(32))
    assert decoded(encoded(data), 32) == data
    for wrong in (
        None,
        7,
        "",
        encoded(data) + "=",
        encoded(data)[:-1],
        encoded(data) + "A",
        "é" * 43,
        "*" * 43,
    ):
        with pytest.raises(ValueError, match="base64url"):
            decoded(wrong, 32)
    with pytest.raises(ValueError, match="base64url"):
        decoded(encoded(data)[:-1] + "9", 32)  # the same bytes, with stray bits at the end


def test_tokens() -> None:
    one, two = new_token(), new_token()
    assert one != two
    assert looks_like_token(one)
    assert not looks_like_token(one + "\n")
    assert not looks_like_token("rg_" + one[4:])
    assert len(token_hash(one)) == 32
    assert one[4:] not in encoded(token_hash(one))
    assert fingerprint(PUBLIC).startswith("SHA256:")
