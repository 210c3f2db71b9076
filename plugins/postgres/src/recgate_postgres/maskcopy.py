"""COPY in binary format, masked: a stream of rows in pieces of any size, whose types nobody says.

So a field is taken for text, and where it has the form of a number (`bigint`, `numeric`) for that as well.
"""

from __future__ import annotations

import struct

from recgate.mask.masking import Masking
from recgate_postgres.binarycopy import rewritten
from recgate_postgres.maskfound import Found
from recgate_postgres.maskvalues import masked_value
from recgate_postgres.rows import Column

__all__ = ["BinaryCopy"]

_TEXT, _BIGINT, _NUMERIC = Column("copy", 0, True), Column("copy", 20, True), Column("copy", 1700, True)


class BinaryCopy:
    """Masks the CopyData of binary COPYs."""

    __slots__ = ("_masking",)

    def __init__(self, masking: Masking) -> None:
        self._masking = masking

    def masked(self, data: bytes, found: Found) -> bytes:
        """Give one CopyData's content as it goes on. Raises `MaskFailed` for what is not whole rows."""
        return rewritten(data, range, lambda _, value: self._field(value, found))

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
