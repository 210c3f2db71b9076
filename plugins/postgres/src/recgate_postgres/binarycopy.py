"""COPY data in binary format (PostgreSQL, COPY, "Binary Format"), taken apart into fields and put together again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from recgate.mask.masking import MaskFailed

__all__ = ["rewritten"]

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
_HEADER: Final = 19  # bytes: signature, flags, size of the extension
_NULL: Final = b"\xff\xff\xff\xff"

T = TypeVar("T")


def rewritten(
    data: bytes, fields: Callable[[int], Iterable[T]], instead: Callable[[T, bytes], bytes | None]
) -> bytes:
    """Give one CopyData's content as it goes on. The server sends a row in each, and the header with the first.

    `fields` says something of each field of a row of so many, which `instead` is given with the field's value: it gives
    what stands in its place, None for NULL. NULL stays NULL.

    Raises:
        MaskFailed: it is not whole rows.
    """
    try:
        return _rewritten(data, fields, instead)
    except struct.error:
        raise MaskFailed("COPY data in binary format that is not whole rows cannot be masked") from None


def _rewritten(
    data: bytes, fields: Callable[[int], Iterable[T]], instead: Callable[[T, bytes], bytes | None]
) -> bytes:
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
        known = tuple(fields(count))
        if len(known) != count:
            raise struct.error
        for each in known:
            (length,) = struct.unpack_from("!i", data, position)
            position += 4
            if length < 0:
                parts.append(_NULL)
                continue
            if position + length > len(data):
                raise struct.error
            field = instead(each, data[position : position + length])
            parts.append(_NULL if field is None else len(field).to_bytes(4) + field)
            position += length
    if position != len(data):
        raise struct.error
    return b"".join(parts)
