"""The wire format: message codes, and how the gateway packs what it says itself (PostgreSQL protocol 55.7, 55.8)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from recgate.errors import RemoteProtocolError

__all__ = [
    "AUTHENTICATION_OK",
    "CANCEL_REQUEST",
    "GSS_REQUEST",
    "HEADER",
    "MAX_LENGTH",
    "MAX_SMALL",
    "SSL_REQUEST",
    "authentication",
    "cstring",
    "error_response",
    "execute",
    "fields_of",
    "message",
    "negotiate_version",
    "notice_response",
    "query",
    "startup_message",
]

HEADER: Final[Callable[[bytes, int], tuple[int, int]]] = struct.Struct("!BI").unpack_from
INT32: Final = struct.Struct("!I")

# The server reads no message of 1 GiB or more, and none but the ones with a payload above 10,000 bytes.
MAX_LENGTH: Final = 0x3FFFFFFF
MAX_SMALL: Final = 10_000

# Codes in place of a protocol version: 1234 in the upper half, which no version will ever be.
CANCEL_REQUEST: Final = 80877102
SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104

AUTHENTICATION_OK: Final = b"R\0\0\0\x08\0\0\0\0"


def message(kind: bytes, body: bytes) -> bytes:
    """Pack one message: its type byte, its length, its body."""
    return kind + INT32.pack(len(body) + 4) + body


def authentication(code: int, body: bytes = b"") -> bytes:
    """Pack an authentication request."""
    return message(b"R", INT32.pack(code) + body)


def error_response(sqlstate: str, text: str, *, severity: str = "ERROR", encoding: str = "utf-8") -> bytes:
    """Pack an ErrorResponse. What the client's encoding lacks is written as an escape."""
    return _report(b"E", severity, sqlstate, text, encoding)


def notice_response(text: str, *, encoding: str = "utf-8") -> bytes:
    """Pack a NoticeResponse."""
    return _report(b"N", "NOTICE", "00000", text, encoding)


def _report(kind: bytes, severity: str, sqlstate: str, text: str, encoding: str) -> bytes:
    shown = text.replace("\0", "").encode(encoding, "backslashreplace")
    word = severity.encode()
    return message(kind, b"S%b\0V%b\0C%b\0M%b\0\0" % (word, word, sqlstate.encode(), shown))


def query(text: bytes) -> bytes:
    """Pack a simple Query."""
    return message(b"Q", text + b"\0")


def execute(portal: bytes) -> bytes:
    """Pack an Execute without a row limit."""
    return message(b"E", portal + b"\0\0\0\0\0")


def startup_message(minor: int, parameters: Mapping[bytes, bytes]) -> bytes:
    """Pack a StartupMessage of protocol 3."""
    body = b"".join(b"%b\0%b\0" % pair for pair in parameters.items())
    return INT32.pack(len(body) + 9) + struct.pack("!HH", 3, minor) + body + b"\0"


def negotiate_version(minor: int, unknown: list[bytes]) -> bytes:
    """Pack a NegotiateProtocolVersion: the minor version that will be spoken, the options that will not."""
    head = struct.pack("!HHI", 3, minor, len(unknown))
    return message(b"v", head + b"".join(name + b"\0" for name in unknown))


def cstring(data: bytes, start: int, end: int) -> tuple[bytes, int]:
    """Read a string up to its NUL; gives it and the offset behind the NUL.

    Raises:
        RemoteProtocolError: no NUL before `end`.
    """
    stop = data.find(0, start, end)
    if stop < 0:
        raise RemoteProtocolError("a string without its end", hint="08P01")
    return data[start:stop], stop + 1


def fields_of(body: bytes) -> dict[str, bytes]:
    """Take an ErrorResponse or NoticeResponse apart, by field code. What is malformed is left out."""
    return {part[:1].decode("latin-1"): part[1:] for part in body.split(b"\0") if part}
