"""Session ids: UUIDv7 (RFC 9562 §5.7), written as 26 letters of Crockford's base 32, so that text sorts by time."""

from __future__ import annotations

import secrets
import time
from typing import Final

__all__ = ["SESSION_ID_LENGTH", "new_session_id", "session_bytes", "session_text"]

SESSION_ID_LENGTH: Final = 26
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}


def new_session_id() -> str:
    """Make an id from the wall clock and 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    raw = bytearray(milliseconds.to_bytes(6, "big") + secrets.token_bytes(10))
    raw[6] = 0x70 | raw[6] & 0x0F  # version 7
    raw[8] = 0x80 | raw[8] & 0x3F  # variant of RFC 9562
    return session_text(bytes(raw))


def session_text(raw: bytes) -> str:
    """Write 16 bytes as 26 letters, most significant first."""
    value = int.from_bytes(raw, "big")
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def session_bytes(text: str) -> bytes:
    """Read an id back to its 16 bytes. Raises `ValueError` for anything that is not one."""
    if len(text) != SESSION_ID_LENGTH:
        raise ValueError("a session id has 26 letters")
    value = 0
    for letter in text:
        if letter not in _VALUES:
            raise ValueError("a session id is written in Crockford's base 32")
        value = value << 5 | _VALUES[letter]
    return value.to_bytes(16, "big") if value < 1 << 128 else _too_large()


def _too_large() -> bytes:
    raise ValueError("a session id has 128 bits")
