"""COPY in binary: fields of types that nobody says."""

from __future__ import annotations

import struct

import pytest

from plugins.postgres.tests.maskers import CARD, EMAIL, masks
from plugins.postgres.tests.test_postgres_maskvalues import NUMERIC_CARD
from recgate.mask import Becomes, MaskFailed
from recgate_postgres.maskcopy import BinaryCopy
from recgate_postgres.maskfound import Found

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


def row(*fields: bytes | None) -> bytes:
    packed = b"".join(b"\xff" * 4 if each is None else struct.pack("!i", len(each)) + each for each in fields)
    return struct.pack("!h", len(fields)) + packed


def test_text_and_numbers_are_masked_in_their_own_form():
    found = Found()
    fields = (
        EMAIL.encode(),
        struct.pack("!q", int(CARD)),
        NUMERIC_CARD,
        None,
        b"\x01" + b'{"a":4111111111111111}',
        b"x",
    )

    masked = BinaryCopy(masks(Becomes.KEEP_LAST)).masked(HEADER + row(*fields), found)

    numeric = struct.pack("!HhHHH", 1, 0, 0, 0, 1111)
    assert masked == HEADER + row(
        b"*************.org", struct.pack("!q", 1111), numeric, None, b'\x01{"a":1111}', b"x"
    )
    assert found.total() == 4


def test_rows_without_a_header_and_the_end_pass():
    copy = BinaryCopy(masks())

    assert copy.masked(row(b"a", b"12345678") + row(b"b", None), Found()) == row(b"a", b"12345678") + row(
        b"b", None
    )
    assert copy.masked(b"\xff\xff", Found()) == b"\xff\xff"


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\0\1\0\0",
        b"\0\1\0\0\0\x09short",
        row(b"x") + b"\0",
        b"\xff\xffmore",
        HEADER[:-4] + b"\0\0\1\0",
    ],
)
def test_what_is_not_whole_rows_is_not_let_through(data):
    with pytest.raises(MaskFailed):
        BinaryCopy(masks()).masked(data, Found())
