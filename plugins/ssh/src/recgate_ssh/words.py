"""The words of RFC 4254 that pass: each channel type and request with its fields, and nothing else.

One table says what a payload holds, so that it is recorded by name (CBOR), shown in a transcript, and written
back to the wire from what was recorded. A word that is not here is refused (law 5). Pure code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from recgate.errors import RemoteProtocolError

__all__ = [
    "CHANNELS",
    "FROM_CLIENT",
    "FROM_TARGET",
    "GLOBAL",
    "Field",
    "Value",
    "Word",
    "legible",
    "pack",
    "unpack",
]

Value = str | bytes | int | bool
MAX_WORD: Final = (
    256 * 1024
)  # bytes of one payload; the longest honest one is a command line (128 KiB on Linux)


class Field(StrEnum):
    """How a field is written (RFC 4251 §5)."""

    TEXT = "text"  # string: kept as text where it is UTF-8, else as bytes
    BLOB = "blob"  # string: kept as bytes
    NUMBER = "number"  # uint32
    FLAG = "flag"  # boolean


@dataclass(frozen=True, slots=True)
class Word:
    """A channel type or request: its fields in order.

    `starts` is for the three that begin a session's program, `ends` for the two that tell its end.
    """

    name: str
    fields: tuple[tuple[str, Field], ...] = ()
    starts: bool = False
    ends: bool = False


def _table(*words: Word) -> Mapping[str, Word]:
    return {word.name: word for word in words}


_SIZE: Final = (
    ("cols", Field.NUMBER),
    ("rows", Field.NUMBER),
    ("width", Field.NUMBER),
    ("height", Field.NUMBER),
)
_ADDRESSES: Final = (
    ("host", Field.TEXT),
    ("port", Field.NUMBER),
    ("origin_host", Field.TEXT),
    ("origin_port", Field.NUMBER),
)

# What a client may ask of a session channel (§6).
FROM_CLIENT: Final = _table(
    Word("pty-req", (("term", Field.TEXT), *_SIZE, ("modes", Field.BLOB))),
    Word("env", (("name", Field.TEXT), ("value", Field.TEXT))),
    Word("shell", (), starts=True),
    Word("exec", (("command", Field.TEXT),), starts=True),
    Word("subsystem", (("name", Field.TEXT),), starts=True),
    Word("window-change", _SIZE),
    Word("signal", (("name", Field.TEXT),)),
    Word("break", (("ms", Field.NUMBER),)),  # RFC 4335
    Word("eow@openssh.com"),
)

# What a target may tell about one.
FROM_TARGET: Final = _table(
    Word("exit-status", (("status", Field.NUMBER),), ends=True),
    Word(
        "exit-signal",
        (("signal", Field.TEXT), ("core", Field.FLAG), ("message", Field.TEXT), ("lang", Field.TEXT)),
        ends=True,
    ),
    Word("xon-xoff", (("client", Field.FLAG),)),
    Word("eow@openssh.com"),
)

# Channel types. Which of them pass is decided elsewhere; those that are not here never do.
CHANNELS: Final = _table(
    Word("session"),
    Word("direct-tcpip", _ADDRESSES),
    Word("forwarded-tcpip", _ADDRESSES),
)

GLOBAL: Final = _table(
    Word("tcpip-forward", (("host", Field.TEXT), ("port", Field.NUMBER))),
    Word("cancel-tcpip-forward", (("host", Field.TEXT), ("port", Field.NUMBER))),
    Word("no-more-sessions@openssh.com"),
)


def unpack(word: Word, payload: bytes) -> dict[str, Value]:
    """Read a payload by its word. Raises `RemoteProtocolError` if it is cut short, or longer than it says."""
    if len(payload) > MAX_WORD:
        raise RemoteProtocolError(f"{word.name}: longer than {MAX_WORD} bytes")
    values: dict[str, Value] = {}
    position = 0
    for name, kind in word.fields:
        width = 1 if kind is Field.FLAG else 4
        if position + width > len(payload):
            raise RemoteProtocolError(f"{word.name}: cut short")
        number = int.from_bytes(payload[position : position + width], "big")
        position += width
        if kind is Field.FLAG:
            values[name] = bool(number)
        elif kind is Field.NUMBER:
            values[name] = number
        else:
            if position + number > len(payload):
                raise RemoteProtocolError(f"{word.name}: cut short")
            raw = payload[position : position + number]
            values[name] = raw if kind is Field.BLOB else _text(raw)
            position += number
    if position != len(payload):
        raise RemoteProtocolError(f"{word.name}: {len(payload) - position} bytes too many")
    return values


def pack(word: Word, values: Mapping[str, object]) -> bytes:
    """Write what `unpack` read. Raises `KeyError` or `TypeError` for values that are not of this word."""
    parts: list[bytes] = []
    for name, kind in word.fields:
        value = values[name]
        if kind is Field.FLAG:
            parts.append(b"\1" if value else b"\0")
        elif isinstance(value, int):
            parts.append(value.to_bytes(4, "big"))
        else:
            if not isinstance(value, str | bytes):
                raise TypeError(f"{word.name}: {name} is not a string")
            raw = value.encode() if isinstance(value, str) else value
            parts += (len(raw).to_bytes(4, "big"), raw)
    return b"".join(parts)


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def legible(value: object) -> str:
    """Give a text field as text, whatever it holds: for policies and people, never for the wire."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
