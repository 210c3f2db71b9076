"""A whole value of a masked column: what is put in its place is of the column's type, in the format that it came in.

Unlike a value in which something was found, nothing of it may stay. So a type that has room for stars, digits or a hash
gets them, and any other NULL.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from recgate.mask.replacing import Becomes, Replacer
from recgate_postgres.rows import Column

__all__ = ["derived", "masked_wholly"]

MAX_DIMENSIONS: Final = 6  # MAXDIM of the server

_TEXTS: Final = frozenset((18, 19, 25, 142, 705, 1042, 1043))  # text on the wire in both formats
_JSON, _JSONB, _BYTEA, _NUMERIC = 114, 3802, 17, 1700
# How many digits always fit; a float shows as many as it holds exactly.
_NUMBERS: Final = {20: 18, 21: 4, 23: 9, 26: 9, 700: 6, 701: 15, _NUMERIC: 1_000}
_PACKED: Final = {20: "!q", 21: "!h", 23: "!i", 26: "!I", 700: "!f", 701: "!d"}
_ELEMENTS: Final = {
    143: 142, 199: 114, 1001: 17, 1002: 18, 1003: 19, 1005: 21, 1007: 23, 1009: 25, 1014: 1042, 1015: 1043,
    1016: 20, 1021: 700, 1022: 701, 1028: 26, 1231: 1700, 3807: 3802,
}  # fmt: skip
_BROKEN: Final = (struct.error, ValueError, IndexError, OverflowError)
_STAR: Final = b"*"
_STARS: Final = b"****"
_ZERO: Final = bytes(8)  # a `numeric` without digits
# What an array's literal is made of: a value in quotes, a bare one, or what stands between them.
_ITEM: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^{},"\\]+)|[{},]', re.DOTALL)
_BOUNDS: Final = re.compile(rb"(?:\[-?[0-9]+:-?[0-9]+\])+=")


def masked_wholly(replacer: Replacer, value: bytes, column: Column | None) -> bytes | None:
    """Give what stands in the place of a value, or None for NULL. None for `column` says that nobody described it."""
    if column is None or replacer.becomes is Becomes.NULL:
        return None
    try:
        return (_binary if column.binary else _text)(replacer, value, column.oid)
    except _BROKEN:
        return None  # what cannot be read need not be: all of it goes


def derived(replacer: Replacer, value: bytes, column: Column | None) -> bytes | None:
    """Give what stands in the place of a value that was worked out from masked ones: always the same for its type."""
    if column is None or column.oid in _ELEMENTS:
        return None
    if column.oid in _NUMBERS:
        value = _ZERO if column.oid == _NUMERIC and column.binary else value
    elif column.oid == _BYTEA and not column.binary:
        value = b"\\x2a2a2a2a"
    else:
        value = _STARS
    return masked_wholly(replacer, value, column)


def _text(replacer: Replacer, value: bytes, oid: int) -> bytes | None:
    if oid in _TEXTS:
        return replacer.text(value)
    if oid in _NUMBERS:
        return replacer.number(value, _NUMBERS[oid])
    if oid in (_JSON, _JSONB):
        return _document(replacer, value)
    if oid == _BYTEA:
        if not value.startswith(b"\\x"):
            return None
        return b"\\x" + replacer.text(bytes.fromhex(value[2:].decode("ascii"))).hex().encode()
    element = _ELEMENTS.get(oid)
    return None if element is None else _literal(replacer, value, element)


def _document(replacer: Replacer, value: bytes) -> bytes:
    """Give a JSON string: what a document holds is not to be told from what it is made of."""
    if replacer.becomes in (Becomes.HASH, Becomes.TOKENIZE):
        return b'"%b"' % replacer.digest(value)
    return b'"%b"' % (_STAR * len(value))


def _literal(replacer: Replacer, value: bytes, element: int) -> bytes | None:
    """Give an array's literal with each element masked (`{a,"b c",NULL}`)."""
    bounds = _BOUNDS.match(value)
    position = bounds.end() if bounds is not None else 0
    parts = [value[:position]]
    while position < len(value):
        found = _ITEM.match(value, position)
        if found is None:
            return None
        position = found.end()
        quoted, bare = found[1], found[2]
        if quoted is None and (bare is None or bare == b"NULL"):
            parts.append(found[0])
            continue
        plain = bare if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL)
        new = _text(replacer, plain, element)
        parts.append(b"NULL" if new is None else _quoted(new))
    return b"".join(parts)


def _quoted(value: bytes) -> bytes:
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


# -- binary --------------------------------------------------------------------------------------------------------


def _binary(replacer: Replacer, value: bytes, oid: int) -> bytes | None:
    if oid in _TEXTS or oid == _BYTEA:
        return replacer.text(value)
    if oid == _JSON:
        return _document(replacer, value)
    if oid == _JSONB:
        return b"\x01" + _document(replacer, value[1:])
    if oid == _NUMERIC:
        return _numeric(replacer, value)
    if oid in _PACKED:
        (number,) = struct.unpack(_PACKED[oid], value)
        shown = f"{number:.15g}" if isinstance(number, float) else str(number)
        masked = int(replacer.number(shown.encode(), _NUMBERS[oid]))
        return struct.pack(_PACKED[oid], masked)
    element = _ELEMENTS.get(oid)
    return None if element is None else _array(replacer, value, element)


def _numeric(replacer: Replacer, value: bytes) -> bytes:
    """Pack a whole number in groups of four decimal digits, made of the digits that were there."""
    (count,) = struct.unpack_from("!h", value, 0)
    shown = b"".join(b"%04d" % group for group in struct.unpack_from(f"!{count}H", value, 8))
    number = int(replacer.number(shown.lstrip(b"0"), _NUMBERS[_NUMERIC]))
    groups: list[int] = []
    while number:
        number, group = divmod(number, 10_000)
        groups.insert(0, group)
    return struct.pack(f"!HhHH{len(groups)}H", len(groups), max(len(groups) - 1, 0), 0, 0, *groups)


def _array(replacer: Replacer, value: bytes, element: int) -> bytes | None:
    dimensions, nulls, oid = struct.unpack_from("!iiI", value, 0)
    if not 0 <= dimensions <= MAX_DIMENSIONS or oid != element:
        return None
    position = 12 + 8 * dimensions
    parts = [value[12:position]]
    while position < len(value):
        (length,) = struct.unpack_from("!i", value, position)
        end = position + 4 + max(length, 0)
        if length < -1 or end > len(value):
            return None
        new = None if length < 0 else _binary(replacer, value[position + 4 : end], element)
        nulls |= new is None
        parts.append(b"\xff\xff\xff\xff" if new is None else len(new).to_bytes(4) + new)
        position = end
    return struct.pack("!iiI", dimensions, nulls, oid) + b"".join(parts)
