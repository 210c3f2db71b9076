"""A whole value, masked: valid for its type in both formats, and nothing of it left but what the mask says."""

from __future__ import annotations

import json
import struct

import pytest

from recgate.mask import Becomes, Replacer
from recgate_postgres.origin.wholly import derived, masked_wholly
from recgate_postgres.rows import Column
from recgate_postgres.scalars import SCALARS

SSN = b"078-05-1120"
STARS = b"*" * 11
NUMBERS = {
    oid: struct.pack(code, 7)
    for oid, code in ((20, "!q"), (21, "!h"), (23, "!i"), (26, "!I"), (700, "!f"), (701, "!d"))
}


def replacer(becomes=Becomes.REDACT, keep=4):
    return Replacer(becomes, keep=keep, key=b"k" * 32)


def become(value, oid, becomes=Becomes.REDACT, *, binary=False):
    return masked_wholly(replacer(becomes), value, Column("c", oid, binary))


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("oid", [18, 19, 25, 142, 705, 1042, 1043])
def test_text_is_text_in_both_formats(oid, binary):
    assert become(SSN, oid, binary=binary) == STARS
    assert become(SSN, oid, Becomes.KEEP_LAST, binary=binary) == b"*******1120"
    hashed = become(SSN, oid, Becomes.HASH, binary=binary)
    assert hashed is not None
    assert len(hashed) == 16
    assert become(b"", oid, binary=binary) == b""


@pytest.mark.parametrize(("oid", "value", "expected"), [
    (20, b"78051120", b"1120"), (23, b"-78051120", b"1120"), (21, b"77", b"0"), (1700, b"780511.20", b"1120"),
    (701, b"7.8051120e+07", b"2007"), (700, b"NaN", b"0"), (1700, b"NaN", b"0"),
    (17, b"\\x" + SSN.hex().encode(), b"\\x" + b"*******1120".hex().encode()), (17, b"abc", None), (17, b"\\xzz", None),
    (1009, b'{078-05-1120,NULL,"a \\"b\\\\ c"}', b'{"*******1120",NULL,"*******"}'),
    (1009, b'[2:3]={{a,b},{"",NULL}}', b'[2:3]={{"*","*"},{"",NULL}}'), (1009, b'{"a', None), (1009, b"{}", b"{}"),
    (1016, b"{78051120,-2}", b'{"1120","0"}'), (3807, b'{"{}"}', b'{"\\"**\\""}'),
    (16, b"t", None), (1082, b"1980-01-01", None), (2950, b"0" * 36, None), (869, b"10.0.0.1", None),
    (2249, b"(1,078-05-1120)", None), (16999, SSN, None), (0, SSN, None), (3614, b"'a':1", None),
])  # fmt: skip
def test_in_text_it_is_of_its_type_or_null(oid, value, expected):
    assert become(value, oid, Becomes.KEEP_LAST) == expected


@pytest.mark.parametrize("becomes", [Becomes.REDACT, Becomes.KEEP_LAST, Becomes.HASH, Becomes.TOKENIZE])
@pytest.mark.parametrize(("oid", "value"), [
    (20, struct.pack("!q", 78051120)), (21, struct.pack("!h", 780)), (23, struct.pack("!i", -78051120)),
    (26, struct.pack("!I", 78051120)), (700, struct.pack("!f", 780.5)), (701, struct.pack("!d", 78051120.25)),
    (701, struct.pack("!d", float("nan"))), (701, struct.pack("!d", float("inf"))),
    (1700, struct.pack("!HhHH2H", 2, 1, 0, 0, 7805, 1120)), (1700, struct.pack("!HhHH", 0, 0, 0xC000, 0)),
])  # fmt: skip
def test_numbers_in_binary_are_numbers_of_their_size(oid, value, becomes):
    new = become(value, oid, becomes, binary=True)

    assert new is not None
    shown = SCALARS[oid](new)
    assert float(shown) >= 0
    assert "7805" not in shown or becomes in (Becomes.HASH, Becomes.TOKENIZE)
    assert oid == 1700 or len(new) == len(value)
    assert new == become(value, oid, becomes, binary=True)


@pytest.mark.parametrize("becomes", [Becomes.REDACT, Becomes.KEEP_LAST, Becomes.HASH, Becomes.TOKENIZE])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("document", [b'{"ssn": "078-05-1120"}', b'"078"', b"[1, {}]", b"7805"])
def test_a_document_becomes_a_string(document, binary, becomes):
    for oid, value in ((114, document), (3802, b"\x01" * binary + document)):
        new = become(value, oid, becomes, binary=binary)
        assert new is not None
        assert b"078" not in new or becomes in (Becomes.HASH, Becomes.TOKENIZE)
        assert isinstance(json.loads(new.removeprefix(b"\x01")), str)


def array(oid, *items, dimensions=1):
    packed = b"".join(b"\xff" * 4 if item is None else struct.pack("!i", len(item)) + item for item in items)
    return (
        struct.pack("!iiI", dimensions, None in items, oid)
        + struct.pack("!ii", len(items), 1) * dimensions
        + packed
    )


@pytest.mark.parametrize(("oid", "value", "expected"), [
    (1009, array(25, SSN, None, b"x"), array(25, STARS, None, b"*")),
    (1016, array(20, struct.pack("!q", 5)), array(20, bytes(8))),
    (17, b"\0\xff", b"**"),
    (1016, array(25, SSN), None), (1009, array(25, SSN)[:-3], None), (1009, array(25, SSN, dimensions=7), None),
    (1009, b"\0", None), (20, b"\0\0", None), (1700, b"\0\5\0", None),
    (16, b"\1", None), (1082, bytes(4), None), (2950, bytes(16), None), (2249, bytes(12), None), (16999, SSN, None),
    (3614, bytes(12), None), (4072, b"\1$", None),
])  # fmt: skip
def test_in_binary_it_is_of_its_type_or_null(oid, value, expected):
    assert become(value, oid, binary=True) == expected


def test_null_and_what_nobody_described_is_null():
    assert become(SSN, 25, Becomes.NULL) is None
    assert masked_wholly(replacer(), SSN, None) is None
    assert derived(replacer(), SSN, None) is None


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    "oid", [*(each for each in SCALARS), 17, 25, 114, 1009, 1016, 1043, 2249, 3802, 16999]
)
def test_what_was_worked_out_is_always_the_same(oid, binary):
    """Or else its length, or which of two values are equal, would say what somebody put into them."""
    some = NUMBERS.get(oid, struct.pack("!HhHH1H", 1, 0, 0, 0, 7))
    other = bytes(len(some) if oid in NUMBERS else 8)
    values = (some, other) if binary else (b"1", b"222222")

    results = {derived(replacer(), value, Column("c", oid, binary)) for value in values}

    assert len(results) == 1
