"""Values as text, from either wire format: what a person reads in a transcript is what psql would have shown."""

from __future__ import annotations

import struct
from typing import Final

from recgate_postgres.encodings import decode
from recgate_postgres.scalars import SCALARS

__all__ = ["bind_values", "shown"]

MAX_DEPTH: Final = 8  # arrays of ranges of arrays: real data has two levels

_RANGES: Final = {3904: 23, 3906: 1700, 3908: 1114, 3910: 1184, 3912: 1082, 3926: 20}
_ARRAYS: Final = frozenset(
    (
        143, 199, 210, 271, 651, 719, 775, 791, 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008,
        1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1027, 1028,
        1034, 1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1270, 1561, 1563, 2201, 2207, 2208, 2209,
        2210, 2211, 2287, 2949, 2951, 3221, 3643, 3645, 3735, 3770, 3807, 3905, 3907, 3909, 3911, 3913,
        3927, 4073, 5039,
    )
)  # fmt: skip
_RECORD: Final = 2249
_TEXT: Final = frozenset((18, 19, 25, 114, 142, 705, 1042, 1043))
_DAMAGED: Final = (struct.error, ValueError, IndexError, OverflowError, KeyError)
_QUOTED: Final = frozenset('{}",\\ \t\n\r\v\f')


def shown(value: bytes, oid: int, binary: bool, codec: str) -> str:
    """Show one value. Never raises: what cannot be decoded is shown as hexadecimal, like bytea.

    Args:
        value: as on the wire.
        oid: of its type; 0 where nobody said.
        binary: the format code.
        codec: of the client's encoding.
    """
    if not binary or oid in _TEXT:
        return decode(value, codec)
    try:
        return _binary(value, oid, codec, 0)
    except _DAMAGED:
        return "\\x" + value.hex()


def bind_values(body: bytes, oids: bytes, codec: str) -> list[str | None]:
    """Show the parameters of a Bind, whose body is given from its format codes on. Never raises.

    Args:
        body: format codes and parameters (55.7, Bind); what follows them is not looked at.
        oids: parameter types of the statement, four bytes each.
        codec: of the client's encoding.
    """
    values: list[str | None] = []
    try:
        (formats,) = struct.unpack_from("!H", body, 0)
        codes = struct.unpack_from(f"!{formats}H", body, 2)
        offset = 2 + 2 * formats
        (count,) = struct.unpack_from("!H", body, offset)
        offset += 2
        for index in range(count):
            (length,) = struct.unpack_from("!i", body, offset)
            offset += 4
            if length < 0:
                values.append(None)
                continue
            code = codes[index] if formats > 1 else codes[0] if formats else 0
            oid = int.from_bytes(oids[4 * index : 4 * index + 4])
            values.append(shown(body[offset : offset + length], oid, code == 1, codec))
            offset += length
    except _DAMAGED:
        values.append("(malformed)")
    return values


def _binary(value: bytes, oid: int, codec: str, depth: int) -> str:
    if oid in _TEXT:
        return decode(value, codec)
    scalar = SCALARS.get(oid)
    if scalar is not None:
        return scalar(value)
    if depth > MAX_DEPTH:
        raise ValueError(depth)
    if oid in _ARRAYS:
        return _array(value, codec, depth + 1)
    if oid in _RANGES:
        return _range(value, _RANGES[oid], codec, depth + 1)
    if oid == _RECORD:
        return _record(value, codec, depth + 1)
    if oid == 3802:
        if value[:1] != b"\x01":
            raise ValueError("jsonb of another version")
        return decode(value[1:], codec)
    return "\\x" + value.hex()


def _array(value: bytes, codec: str, depth: int) -> str:
    dimensions, _, oid = struct.unpack_from("!iii", value, 0)
    if not 0 <= dimensions <= 6:  # MAXDIM
        raise ValueError(dimensions)
    sizes = [struct.unpack_from("!ii", value, 12 + 8 * index)[0] for index in range(dimensions)]
    offset = 12 + 8 * dimensions
    items: list[str] = []
    while offset < len(value):
        (length,) = struct.unpack_from("!i", value, offset)
        offset += 4
        if length < 0:
            items.append("NULL")
            continue
        items.append(_quoted(_binary(value[offset : offset + length], oid, codec, depth)))
        offset += length
    for size in reversed(sizes[1:]):
        if size <= 0:
            raise ValueError(size)
        items = ["{" + ",".join(items[at : at + size]) + "}" for at in range(0, len(items), size)]
    return "{" + ",".join(items) + "}"


def _quoted(item: str) -> str:
    if item and item.upper() != "NULL" and not _QUOTED.intersection(item):
        return item
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _range(value: bytes, oid: int, codec: str, depth: int) -> str:
    flags, offset, bounds = value[0], 1, ["", ""]
    if flags & 0x01:
        return "empty"
    for index, infinite in enumerate((0x08, 0x10)):
        if not flags & infinite:
            (length,) = struct.unpack_from("!i", value, offset)
            offset += 4
            bound = _binary(value[offset : offset + length], oid, codec, depth)
            bounds[index] = f'"{bound}"' if " " in bound else bound
            offset += length
    return f"{'[' if flags & 0x02 else '('}{bounds[0]},{bounds[1]}{']' if flags & 0x04 else ')'}"


def _record(value: bytes, codec: str, depth: int) -> str:
    (count,) = struct.unpack_from("!i", value, 0)
    offset = 4
    items: list[str] = []
    for _ in range(count):
        oid, length = struct.unpack_from("!Ii", value, offset)
        offset += 8
        if length < 0:
            items.append("")
            continue
        item = _binary(value[offset : offset + length], oid, codec, depth)
        special = not item or any(char in '(),"\\ ' for char in item)
        items.append('"' + item.replace("\\", "\\\\").replace('"', '""') + '"' if special else item)
        offset += length
    return "(" + ",".join(items) + ")"
