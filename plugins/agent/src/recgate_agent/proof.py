"""What an agent signs, and the tokens that let it in the first time. Pure.

A signature is over a context string of our own, what it is for, the gateway's name, the agent's name, and a nonce that
the gateway chose for this one use, each with its length in front: nothing that was signed for one purpose, gateway,
agent or occasion proves anything at another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = [
    "CONTROL",
    "ENROLL",
    "KEY",
    "NONCE",
    "SIGNATURE",
    "STREAM",
    "decoded",
    "encoded",
    "fingerprint",
    "looks_like_token",
    "new_token",
    "proves",
    "signed",
    "token_hash",
]

ENROLL: Final = "enroll"
CONTROL: Final = "control"
STREAM: Final = "stream"
NONCE: Final = 32  # bytes
KEY: Final = 32  # bytes of an Ed25519 public key (RFC 8032 §5.1.5)
SIGNATURE: Final = 64  # bytes (RFC 8032 §5.1.6)

_CONTEXT: Final = b"recgate agent proof, version 1"
_PREFIX: Final = "rga_"  # lets secret scanners and people tell what it is
_TOKEN: Final = re.compile(r"rga_[A-Za-z0-9_-]{43}\Z")  # 256 bits


def _statement(role: str, gateway: str, agent: str, nonce: bytes) -> bytes:
    parts = (_CONTEXT, role.encode(), gateway.encode(), agent.encode(), nonce)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def signed(key: Ed25519PrivateKey, role: str, gateway: str, agent: str, nonce: bytes) -> bytes:
    """Sign for one purpose at one gateway, as one agent, over one nonce."""
    return key.sign(_statement(role, gateway, agent, nonce))


def proves(public: bytes, signature: bytes, role: str, gateway: str, agent: str, nonce: bytes) -> bool:
    """Say whether `signature` is what `signed` gives for the private key to `public` (32 raw bytes)."""
    if len(public) != KEY or len(signature) != SIGNATURE:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _statement(role, gateway, agent, nonce))
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(public: bytes) -> str:
    """Name a public key as OpenSSH names keys."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")


def encoded(data: bytes) -> str:
    """Write bytes as text: base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: object, size: int) -> bytes:
    """Read `size` bytes that `encoded` wrote. Raises `ValueError`."""
    if not isinstance(text, str) or len(text) > 4 * size or not text.isascii():
        raise ValueError("not bytes as base64url")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not bytes as base64url") from None
    if len(data) != size or encoded(data) != text:
        raise ValueError("not bytes as base64url")
    return data


# -- one-time tokens ---------------------------------------------------------------------------------------


def new_token() -> str:
    """Make the text of a token: the prefix and 256 random bits."""
    return _PREFIX + encoded(secrets.token_bytes(32))


def looks_like_token(text: str) -> bool:
    """Say whether this can be one of our tokens, good or bad."""
    return _TOKEN.match(text) is not None


def token_hash(text: str) -> bytes:
    """Give what is kept of a token. Plain SHA-256 is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(text.encode()).digest()
