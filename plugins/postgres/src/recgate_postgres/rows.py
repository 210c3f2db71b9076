"""Result rows: what a RowDescription says, and a DataRow as the texts that a person reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from recgate_postgres.encodings import decode
from recgate_postgres.values import shown

__all__ = ["Column", "columns_of", "formats_of", "row_of", "with_formats"]

_COLUMN = struct.Struct("!IhIhih")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, its type, and whether its values come in binary."""

    name: str
    oid: int
    binary: bool = False


def columns_of(body: bytes, codec: str) -> tuple[Column, ...]:
    """Read a RowDescription (55.7). What is cut off or malformed ends the list."""
    found: list[Column] = []
    position = 2
    while position < len(body):
        stop = body.find(0, position)
        if stop < 0 or stop + 1 + _COLUMN.size > len(body):
            break
        _, _, oid, _, _, code = _COLUMN.unpack_from(body, stop + 1)
        found.append(Column(decode(body[position:stop], codec), oid, code == 1))
        position = stop + 1 + _COLUMN.size
    return tuple(found)


def formats_of(bound: bytes) -> tuple[int, ...]:
    """Read the result formats at the end of a Bind's body, given from its parameter formats on."""
    try:
        (count,) = struct.unpack_from("!H", bound, 0)
        position = 2 + 2 * count
        (count,) = struct.unpack_from("!H", bound, position)
        position += 2
        for _ in range(count):
            (length,) = struct.unpack_from("!i", bound, position)
            position += 4 + max(length, 0)
        (count,) = struct.unpack_from("!H", bound, position)
        return struct.unpack_from(f"!{count}H", bound, position + 2)
    except struct.error:
        return ()


def with_formats(columns: tuple[Column, ...], formats: tuple[int, ...]) -> tuple[Column, ...]:
    """Give the columns in the formats that a Bind asked for; none means text, one means all."""
    if len(formats) == 1:
        formats *= len(columns)
    return tuple(
        Column(column.name, column.oid, bool(formats[index]) if index < len(formats) else False)
        for index, column in enumerate(columns)
    )


def row_of(body: bytes, columns: tuple[Column, ...], codec: str) -> list[str | None]:
    """Read a DataRow; what is cut off or malformed ends the row with a remark."""
    row: list[str | None] = []
    position = 2
    while position < len(body):
        if position + 4 > len(body):
            row.append("(malformed)")
            break
        (length,) = struct.unpack_from("!i", body, position)
        position += 4
        if length < 0:
            row.append(None)
            continue
        value = body[position : position + length]
        position += length
        index = len(row)
        column = columns[index] if index < len(columns) else None
        text = shown(value, column.oid, column.binary, codec) if column else decode(value, codec)
        row.append(text if len(value) == length else f"{text} (cut: {length} bytes)")
    return row
