"""COPY in binary format, masked: a stream of rows in pieces of any size, whose types nobody says.

So a field is taken for text, and where it has the form of a number (`bigint`, `numeric`) for that as well.
"""

from __future__ import annotations

import struct
from typing import Final

from recgate.mask.masking import MaskFailed, Masking
from recgate_postgres.maskvalues import Found, masked_value
from recgate_postgres.rows import Column

__all__ = ["BinaryCopy"]

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
_HEADER: Final = 19  # bytes: signature, flags, size of the extension
_END: Final = b"\xff\xff"
_TEXT, _BIGINT, _NUMERIC = Column("copy", 0, True), Column("copy", 20, True), Column("copy", 1700, True)


class BinaryCopy:
    """Masks the CopyData of binary COPYs. The server sends a row in each, and the header with the first."""

    __slots__ = ("_masking",)

    def __init__(self, masking: Masking) -> None:
        self._masking = masking

    def masked(self, data: bytes, found: Found) -> bytes:
        """Give one CopyData's content as it goes on. Raises `MaskFailed` for what is not whole rows."""
        try:
            return self._rows(data, found)
        except struct.error:
            raise MaskFailed("COPY data in binary format that is not whole rows cannot be masked") from None

    def _rows(self, data: bytes, found: Found) -> bytes:
        position = 0
        if data.startswith(_SIGNATURE):
            (extension,) = struct.unpack_from("!I", data, _HEADER - 4)
            position = _HEADER + extension
        parts = [data[:position]]
        while position < len(data):
            (count,) = struct.unpack_from("!h", data, position)
            parts.append(data[position : position + 2])
            position += 2
            if count == -1:
                break
            for _ in range(count):
                (length,) = struct.unpack_from("!i", data, position)
                position += 4
                if length < 0:
                    parts.append(_END + _END)
                    continue
                if position + length > len(data):
                    raise struct.error
                field = self._field(data[position : position + length], found)
                parts.append(_END + _END if field is None else len(field).to_bytes(4) + field)
                position += length
        if position != len(data):
            raise struct.error
        return b"".join(parts)

    def _field(self, value: bytes, found: Found) -> bytes | None:
        if value[:1] == b"\x01" and value[1:2] in (b"{", b"[", b'"'):
            return masked_value(self._masking, value, Column("copy", 3802, binary=True), found)
        new = masked_value(self._masking, value, _TEXT, found)
        if new is not value:
            return new
        if len(value) == 8 and value[:1] < b"\x20":
            return masked_value(self._masking, value, _BIGINT, found)
        if _numeric(value):
            return masked_value(self._masking, value, _NUMERIC, found)
        return value


def _numeric(value: bytes) -> bool:
    """Whether bytes have the form of a `numeric`: a size that fits, a sign that exists, groups below ten thousand."""
    if len(value) < 10 or len(value) % 2:
        return False
    count, _, sign, _ = struct.unpack_from("!HhHH", value, 0)
    if 8 + 2 * count != len(value) or sign not in (0, 0x4000):
        return False
    return all(group < 10_000 for group in struct.unpack_from(f"!{count}H", value, 8))
