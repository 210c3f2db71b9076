"""One value of a result, masked: what is put in its place is of the value's type, in the format that it came in.

A text keeps its place in what is around it (a JSON document, an array's literal), a number stays a number, and a value
whose type has room for neither becomes NULL. What cannot be read is `MaskFailed`: unread is never unmasked.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from recgate.mask.masking import Hit, MaskFailed, Masking
from recgate_postgres.maskfound import Found
from recgate_postgres.rows import Column
from recgate_postgres.scalars import SCALARS

__all__ = ["Found", "decodes", "masked_copy", "masked_text", "masked_value"]

MAX_DEPTH: Final = 8  # arrays in records in arrays

# What is text on the wire in both formats. 0 is nobody's type, and then what the value says is all there is.
_TEXTS: Final = frozenset((0, 18, 19, 25, 142, 194, 705, 1042, 1043, 2275, 3614, 3615, 4072))
_JSONS: Final = frozenset((114, 3802))
_TEXT_ARRAYS: Final = frozenset((143, 199, 1001, 1002, 1003, 1009, 1014, 1015, 2287, 3807, 4073))
_BYTEA: Final = 17
_RECORD: Final = 2249
_JSONB: Final = 3802
_NUMERIC: Final = 1700
# Types of numbers: how many digits always fit. A float shows as many as it holds exactly.
_NUMBERS: Final = {20: 18, 21: 4, 23: 9, 26: 9, 700: 6, 701: 15, _NUMERIC: 1_000}
# With the vectors of catalogs, which are arrays that count from 0.
_NUMBER_ARRAYS: Final = frozenset(
    (22, 30, 1005, 1007, 1016, 1021, 1022, 1028, 1231, 3904, 3906, 3926, 4451, 4532, 4536)
)
_PACKED: Final = {20: "!q", 21: "!h", 23: "!i", 26: "!I", 700: "!f", 701: "!d"}
_ARRAYS: Final = _TEXT_ARRAYS | _NUMBER_ARRAYS - {3904, 3906, 3926, 4451, 4532, 4536}
_FLOATS: Final = frozenset((700, 701))
_OWN_TYPES: Final = 16_384  # the first number that the server gives to types of its users
_DIGITS: Final = re.compile(rb"[0-9]+\Z")
_HEX: Final = re.compile(rb"\\x([0-9A-Fa-f]{2,})")
_BROKEN: Final = (struct.error, ValueError, IndexError, OverflowError)


def decodes(column: Column) -> bool:
    """Whether a column's bytes do not show what is in them, so that each value must be read."""
    if column.oid in _FLOATS:
        return True  # in text a large one has a point and an exponent in it
    return column.binary and not (column.oid in _TEXTS or column.oid in _JSONS or column.oid == _BYTEA)


def masked_value(masking: Masking, value: bytes, column: Column, found: Found) -> bytes | None:
    """Give the value as it goes on: the same object where nothing is masked, None for NULL.

    Raises:
        MaskFailed: a masker did not answer, or this cannot be read.
    """
    if not column.binary:
        return _as_text(masking, value, column, found)
    try:
        return _as_binary(masking, value, column, found, 0)
    except _BROKEN as exc:
        raise MaskFailed(f"a value of type {column.oid} cannot be read ({type(exc).__name__})") from None


def masked_text(masking: Masking, text: bytes, place: str, found: Found) -> bytes:
    """Give a piece of text that is nobody's value (an error, a notice, a name) as it goes on."""
    text = _unhexed(masking, text, place, found)
    hits = masking.find(text)
    return _replaced(text, hits, place, found, lambda hit, piece: hit.replacer.text(piece)) if hits else text


def masked_copy(masking: Masking, row: bytes, found: Found) -> bytes:
    """Give a row of COPY in text or CSV as it goes on.

    Of which type a field is nobody says, so what has only digits stays digits, as many: it can be loaded again.
    """
    row = _unhexed(masking, row, "copy", found)
    hits = masking.find(row)
    return _replaced(row, hits, "copy", found, _padded) if hits else row


def _as_text(masking: Masking, value: bytes, column: Column, found: Found) -> bytes | None:
    oid = column.oid
    if b"\\x" in value:
        before = found.total()
        unhexed = _unhexed(masking, value, column.name, found)
        if found.total() > before and masking.nulls:
            return None
        value = unhexed
    if oid in _FLOATS and b"e" in value:
        return _float(masking, value, column, found)
    hits = masking.find(value)
    if not hits:
        return value
    if any(hit.nulls for hit in hits):
        return _nothing(value, hits, column, found)
    if oid in _NUMBERS:
        return _number(value, hits, column, found)
    if oid in _JSONS:
        return _json(value, hits, column, found)
    if oid in _TEXTS or oid in _TEXT_ARRAYS or oid == _BYTEA:
        return _replaced(value, hits, column.name, found, lambda hit, piece: hit.replacer.text(piece))
    if oid in _NUMBER_ARRAYS or oid == _RECORD or oid >= _OWN_TYPES:
        return _replaced(value, hits, column.name, found, _padded)
    return _nothing(value, hits, column, found)


def _float(masking: Masking, value: bytes, column: Column, found: Found) -> bytes | None:
    number = float(value)
    shown = b"%d" % int(number) if number.is_integer() else value
    hits = masking.find(shown)
    if not hits:
        return value
    return (
        _nothing(shown, hits, column, found)
        if any(hit.nulls for hit in hits)
        else _number(shown, hits, column, found)
    )


def _nothing(value: bytes, hits: list[Hit], column: Column, found: Found) -> None:
    """Count hits in a value all of which goes: the first stands for the whole of it."""
    for n, hit in enumerate(hits):
        found.note(hit.rule, column.name, value if not n else value[hit.start : hit.end])


def _replaced(
    value: bytes, hits: list[Hit], place: str, found: Found, by: Callable[[Hit, bytes], bytes]
) -> bytes:
    parts: list[bytes] = []
    position = 0
    for hit in hits:
        piece = value[hit.start : hit.end]
        parts += value[position : hit.start], by(hit, piece)
        position = hit.end
        found.note(hit.rule, place, piece)
    parts.append(value[position:])
    return b"".join(parts)


def _padded(hit: Hit, piece: bytes) -> bytes:
    """Give digits for digits where it may be a number that is meant."""
    if _DIGITS.match(piece) is None:
        return hit.replacer.text(piece)
    return hit.replacer.number(piece, len(piece)).rjust(len(piece), b"0")


def _number(value: bytes, hits: list[Hit], column: Column, found: Found) -> bytes:
    """Give a whole number for one that was found; what was around it in the value would tell more."""
    strictest = min(hits, key=lambda hit: hit.replacer.rank)
    _nothing(value, hits, column, found)
    return strictest.replacer.number(value[strictest.start : strictest.end], _NUMBERS[column.oid])


def _json(value: bytes, hits: list[Hit], column: Column, found: Found) -> bytes:
    """Give a JSON document that is still one: a number in it stays a number."""
    bare = {hit.start for hit in hits if _bare(value, hit)}

    def by(hit: Hit, piece: bytes) -> bytes:
        return hit.replacer.number(piece, len(piece)) if hit.start in bare else hit.replacer.text(piece)

    return _replaced(value, hits, column.name, found, by)


def _bare(value: bytes, hit: Hit) -> bool:
    """Whether a hit is a JSON number and no part of a string: what stands before it is no quote and no letter."""
    if _DIGITS.match(value[hit.start : hit.end]) is None:
        return False
    before = value[max(0, hit.start - 16) : hit.start].rstrip(b" \t\r\n-")
    behind = value[hit.end : hit.end + 16].lstrip(b" \t\r\n")
    return before[-1:] in b":[," and behind[:1] in b",]}"


def _unhexed(masking: Masking, value: bytes, place: str, found: Found) -> bytes:
    """Mask inside what `bytea_output = hex` shows."""
    if b"\\x" not in value:
        return value

    def inside(match: re.Match[bytes]) -> bytes:
        digits = match[1]
        plain = bytes.fromhex(digits[: len(digits) & ~1].decode())
        hits = masking.find(plain)
        if not hits:
            return match[0]
        masked = _replaced(plain, hits, place, found, lambda hit, piece: hit.replacer.text(piece))
        return b"\\x" + masked.hex().encode() + digits[len(digits) & ~1 :]

    return _HEX.sub(inside, value)


# -- binary ------------------------------------------------------------------------------------------------------


def _as_binary(masking: Masking, value: bytes, column: Column, found: Found, depth: int) -> bytes | None:
    oid = column.oid
    if oid == _JSONB:
        if value[:1] != b"\x01":
            raise ValueError("jsonb of another version")
        rest = _as_text(masking, value[1:], Column(column.name, oid), found)
        return None if rest is None else b"\x01" + rest
    if oid == _BYTEA or oid in _TEXTS or oid in _JSONS:
        hits = masking.find(value)
        if not hits:
            return value
        if any(hit.nulls for hit in hits):
            return _nothing(value, hits, column, found)
        if oid in _JSONS:
            return _json(value, hits, column, found)
        return _replaced(value, hits, column.name, found, lambda hit, piece: hit.replacer.text(piece))
    scalar = SCALARS.get(oid)
    if scalar is not None:
        return _scalar(masking, value, scalar(value).encode(), column, found)
    if depth >= MAX_DEPTH:
        raise ValueError("nested too deeply")
    if oid in _ARRAYS:
        return _array(masking, value, column, found, depth + 1)
    if oid == _RECORD:
        return _record(masking, value, column, found, depth + 1)
    raise MaskFailed(f"values of type {oid} cannot be read in binary format: ask for text")


def _scalar(masking: Masking, value: bytes, shown: bytes, column: Column, found: Found) -> bytes | None:
    hits = masking.find(shown)
    if not hits:
        return value
    if column.oid not in _NUMBERS or any(hit.nulls for hit in hits):
        return _nothing(shown, hits, column, found)
    number = int(_number(shown, hits, column, found))
    if column.oid == _NUMERIC:
        return _numeric(number)
    return struct.pack(_PACKED[column.oid], number)


def _numeric(number: int) -> bytes:
    """Pack a whole number as the server does: groups of four decimal digits, the most significant first."""
    groups: list[int] = []
    while number:
        number, group = divmod(number, 10_000)
        groups.insert(0, group)
    return struct.pack(f"!HhHH{len(groups)}H", len(groups), len(groups) - 1 if groups else 0, 0, 0, *groups)


def _array(masking: Masking, value: bytes, column: Column, found: Found, depth: int) -> bytes:
    dimensions, nulls, oid = struct.unpack_from("!iiI", value, 0)
    if not 0 <= dimensions <= 6:
        raise ValueError("an array of too many dimensions")
    position = 12 + 8 * dimensions
    parts = [value[12:position]]
    inner = Column(column.name, oid, binary=True)
    while position < len(value):
        item, position = _item(value, position)
        if item is not None:
            item = _as_binary(masking, item, inner, found, depth)
            nulls |= item is None
        parts.append(_packed(item))
    return struct.pack("!iiI", dimensions, nulls, oid) + b"".join(parts)


def _record(masking: Masking, value: bytes, column: Column, found: Found, depth: int) -> bytes:
    (count,) = struct.unpack_from("!i", value, 0)
    position = 4
    parts = [value[:4]]
    for _ in range(count):
        (oid,) = struct.unpack_from("!I", value, position)
        item, position = _item(value, position + 4)
        if item is not None:
            item = _as_binary(masking, item, Column(column.name, oid, binary=True), found, depth)
        parts += struct.pack("!I", oid), _packed(item)
    if position != len(value):
        raise ValueError("a record with more in it than it says")
    return b"".join(parts)


def _item(value: bytes, position: int) -> tuple[bytes | None, int]:
    (length,) = struct.unpack_from("!i", value, position)
    position += 4
    if length == -1:
        return None, position
    end = position + length
    if length < 0 or end > len(value):
        raise ValueError("an item that ends behind its array")
    return value[position:end], end


def _packed(item: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if item is None else len(item).to_bytes(4) + item
