"""What stands in the ledger: one deterministic CBOR array an entry, and nothing in it that names a person.

    entry = [kind: tstr, wall: uint, *fields]     ; wall is ns since 1970 by the gateway's own clock

Who did something is a keyed hash, why is a digest: the words are in the audit trail, which may be erased.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from recgate.errors import LedgerDamaged, RecordingDamaged
from recgate.recording.cbor import MAX_UINT, as_list, decode_strict, encode

__all__ = ["NOBODY", "SHAPES", "WHO_BYTES", "Entry", "digest_of", "pack_entry", "read_entry", "who_is"]

WHO_BYTES: Final = 16
NOBODY: Final = bytes(WHO_BYTES)  # the gateway itself, or somebody whose name is not known any more
MAX_TEXT: Final = 200  # characters of a name or a word in an entry

_SESSION, _REQUEST, _DIGEST, _UINT = "session", "request", "digest", "uint"
_WHO, _TEXT, _BOOL = "who", "text", "bool"
_SIZES: Final = {_SESSION: 16, _REQUEST: 16, _DIGEST: 32, _WHO: WHO_BYTES}

# What follows kind and wall: (name, type).
SHAPES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "node": (("gateway", _TEXT),),
    "open": (("session", _SESSION), ("opened", _DIGEST), ("who", _WHO)),
    "seal": (
        ("session", _SESSION),
        ("segment", _UINT),
        ("first", _UINT),
        ("count", _UINT),
        ("seal", _DIGEST),
        ("stored", _DIGEST),
    ),
    "close": (("session", _SESSION), ("segments", _UINT), ("frames", _UINT), ("seal", _DIGEST)),
    "abort": (("session", _SESSION), ("reason", _TEXT)),
    "redact": (
        ("session", _SESSION),
        ("segment", _UINT),
        ("old", _DIGEST),
        ("new", _DIGEST),
        ("who", _WHO),
        ("why", _DIGEST),
    ),
    "erase": (("session", _SESSION), ("who", _WHO), ("why", _DIGEST)),
    "retention": (("session", _SESSION), ("who", _WHO), ("why", _DIGEST)),
    "hold": (("session", _SESSION), ("on", _BOOL), ("who", _WHO), ("why", _DIGEST)),
    "decide": (
        ("session", _SESSION),
        ("request", _REQUEST),
        ("approved", _BOOL),
        ("who", _WHO),
        ("why", _DIGEST),
    ),
    "view": (("session", _SESSION), ("who", _WHO), ("what", _TEXT)),
    "export": (("session", _SESSION), ("who", _WHO), ("what", _TEXT)),
    "unseal": (("session", _SESSION), ("who", _WHO), ("what", _TEXT)),
    "policy": (("configuration", _DIGEST), ("who", _WHO)),
    "key": (("what", _TEXT), ("old", _DIGEST), ("new", _DIGEST)),
    "admin": (("act", _TEXT), ("details", _DIGEST), ("who", _WHO)),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry taken apart; `fields` by the names of its kind's shape."""

    kind: str
    wall: int
    fields: Mapping[str, object]

    @property
    def session(self) -> bytes | None:
        """The session that it is about, or None."""
        return cast("bytes | None", self.fields.get("session"))

    def number(self, name: str) -> int:
        """Give a field that is a number."""
        return cast("int", self.fields[name])

    def bytes(self, name: str) -> bytes:
        """Give a field that is a digest or a hash."""
        return cast("bytes", self.fields[name])


def pack_entry(kind: str, wall: int, *fields: object) -> bytes:
    """Write an entry. Texts are cut to what an entry holds.

    Raises:
        LedgerDamaged: the fields are not those of the kind.
    """
    values = [value[:MAX_TEXT] if isinstance(value, str) else value for value in fields]
    return encode([kind, wall, *_checked(kind, wall, values)])


def read_entry(data: bytes) -> Entry:
    """Take an entry apart, from bytes that anybody may have written. Raises `LedgerDamaged`."""
    try:
        kind, wall, *values = as_list(decode_strict(data, "it"), "it")
    except RecordingDamaged as error:
        raise LedgerDamaged(str(error)) from None
    except ValueError:
        raise LedgerDamaged("it has neither kind nor time") from None
    if not isinstance(kind, str) or type(wall) is not int:
        raise LedgerDamaged("it does not begin with its kind and a time")
    checked = _checked(kind, wall, values)
    return Entry(kind, wall, dict(zip((name for name, _ in SHAPES[kind]), checked, strict=True)))


def who_is(key: bytes, issuer: str, subject: str) -> bytes:
    """Name a principal without naming anybody: the same hash for the same one, which means nothing without the key."""
    return hmac.digest(key, issuer.encode() + b"\0" + subject.encode(), "sha256")[:WHO_BYTES]


def digest_of(value: object) -> bytes:
    """Give the digest by which an entry stands for words that are kept elsewhere."""
    return hashlib.sha256(encode(value)).digest()


def _checked(kind: str, wall: int, values: list[object]) -> list[object]:
    shape = SHAPES.get(kind)
    if shape is None:
        raise LedgerDamaged(f"{kind[:40]!r} is no kind of entry")
    if not 0 <= wall < MAX_UINT or len(values) != len(shape):
        raise LedgerDamaged(f"it has {len(values)} fields, and {kind!r} has {len(shape)}")
    for value, (name, wanted) in zip(values, shape, strict=True):
        if not _fits(value, wanted):
            raise LedgerDamaged(f"{name!r} of {kind!r} is no {wanted}")
    return values


def _fits(value: object, wanted: str) -> bool:
    match value:
        case bool():
            return wanted == _BOOL
        case int():
            return wanted == _UINT and 0 <= value < MAX_UINT
        case bytes():
            return _SIZES.get(wanted) == len(value)
        case str():
            return wanted == _TEXT and len(value) <= MAX_TEXT
        case _:
            return False
