"""One value at a time: what it becomes is of its type, in text and in binary, and nothing of it is left."""

from __future__ import annotations

import json
import struct

import pytest

from plugins.postgres.tests.maskers import CARD, EMAIL, masks
from recgate.mask import Becomes, MaskFailed
from recgate_postgres.maskfound import Found
from recgate_postgres.maskvalues import decodes, masked_copy, masked_text, masked_value
from recgate_postgres.rows import Column
from recgate_postgres.scalars import SCALARS

STARS = b"*" * 17
MAIL = EMAIL.encode()
NUMERIC_CARD = struct.pack("!HhHH4H", 4, 3, 0, 0, 4111, 1111, 1111, 1111)


def become(value, oid, *, binary=False, how=Becomes.KEEP_LAST):
    found = Found()
    new = masked_value(masks(how), value, Column("c", oid, binary), found)
    return new, found.total()


def array(oid, *items):
    packed = b"".join(b"\xff" * 4 if item is None else struct.pack("!i", len(item)) + item for item in items)
    return struct.pack("!iiIii", 1, 0, oid, len(items), 1) + packed


@pytest.mark.parametrize(
    ("oid", "value", "expected"),
    [
        (25, MAIL, b"*************.org"),
        (1043, b"<" + MAIL + b">", b"<*************.org>"),
        (20, CARD.encode(), b"1111"),
        (1700, CARD.encode() + b".50", b"1111"),
        (23, b"7777", b"0"),
        (701, b"4.111111111111111e+15", b"1111"),
        (
            3802,
            b'{"a": 4111111111111111, "b": ["alice@example.org"]}',
            b'{"a": 1111, "b": ["*************.org"]}',
        ),
        (114, b'["4111111111111111",-4111111111111111]', b'["************1111",-1111]'),
        (17, b"\\x" + MAIL.hex().encode(), b"\\x" + b"*************.org".hex().encode()),
        (1009, b'{alice@example.org,"x y"}', b'{*************.org,"x y"}'),
        (1016, b"{4111111111111111,2}", b"{0000000000001111,2}"),
        (2249, b"(1,4111111111111111,alice@example.org)", b"(1,0000000000001111,*************.org)"),
        (16999, MAIL, b"*************.org"),
        (869, b"10.9.8.7", None),
        (0, MAIL, b"*************.org"),
    ],
)
def test_in_text(oid, value, expected):
    new, count = become(value, oid)

    assert new == expected
    assert count >= 1
    if oid in (114, 3802):
        json.loads(new or b"")


@pytest.mark.parametrize(
    ("oid", "value", "expected"),
    [
        (25, MAIL, b"*************.org"),
        (17, b"\0" + MAIL, b"\0*************.org"),
        (20, struct.pack("!q", int(CARD)), struct.pack("!q", 1111)),
        (23, struct.pack("!i", 7777), struct.pack("!i", 0)),
        (21, struct.pack("!h", 7777), struct.pack("!h", 0)),
        (701, struct.pack("!d", float(CARD)), struct.pack("!d", 1111.0)),
        (1700, NUMERIC_CARD, struct.pack("!HhHHH", 1, 0, 0, 0, 1111)),
        (3802, b'\x01{"a":4111111111111111}', b'\x01{"a":1111}'),
        (1009, array(25, MAIL, None, b"x"), array(25, b"*************.org", None, b"x")),
        (1016, array(20, struct.pack("!q", int(CARD))), array(20, struct.pack("!q", 1111))),
        (2249, struct.pack("!iIi", 1, 25, 17) + MAIL, struct.pack("!iIi", 1, 25, 17) + b"*************.org"),
        (869, b"\x02\x20\0\x04\x0a\x09\x08\x07", None),
    ],
)
def test_in_binary(oid, value, expected):
    new, count = become(value, oid, binary=True)

    assert new == expected
    assert count == 1


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("oid", [25, 17, 114, 1009, 3802])
def test_null_is_null_in_every_type_that_text_can_be_in(oid, binary):
    value = {17: b"\\x" + MAIL.hex().encode(), 3802: b'["alice@example.org"]'}.get(oid, MAIL)
    if binary:
        value = {17: MAIL, 1009: array(25, MAIL), 3802: b"\x01" + value}.get(oid, value)
    new, count = become(value, oid, binary=binary, how=Becomes.NULL)

    assert count == 1
    assert new == (struct.pack("!iiIii", 1, 1, 25, 1, 1) + b"\xff" * 4 if binary and oid == 1009 else None)


@pytest.mark.parametrize("how", [Becomes.HASH, Becomes.TOKENIZE, Becomes.REDACT, Becomes.KEEP_LAST])
def test_numbers_stay_numbers_however_they_are_masked(how):
    for oid, pack in ((20, "!q"), (23, "!i"), (21, "!h"), (701, "!d")):
        number = int(CARD) if oid in (20, 701) else 7777
        new, _ = become(struct.pack(pack, number), oid, binary=True, how=how)
        assert new is not None
        assert struct.unpack(pack, new)[0] != number
    new, _ = become(NUMERIC_CARD, 1700, binary=True, how=how)
    assert new is not None
    assert SCALARS[1700](new).isdigit()
    text, _ = become(CARD.encode(), 20, how=how)
    assert text is not None
    assert text == b"%d" % int(text)


@pytest.mark.parametrize("binary", [False, True])
def test_what_has_nothing_to_hide_is_the_same_object(binary):
    eight, numeric = struct.pack("!q", 42), struct.pack("!HhHHH", 1, 0, 0, 0, 42)
    values = {25: b"plain", 20: eight if binary else b"42", 1700: numeric if binary else b"1.5"}
    for oid, value in values.items():
        assert become(value, oid, binary=binary)[0] is value


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (20, b"short"),
        (23, b""),
        (1700, b"\0\1"),
        (3802, b"\x02{}"),
        (1009, b"\0\0\0\1"),
        (1009, struct.pack("!iiIii", 1, 0, 25, 1, 1) + b"\0\0\0\x40x"),
        (1009, struct.pack("!iiI", 99, 0, 25)),
        (2249, struct.pack("!iIi", 1, 25, 99) + b"x"),
        (2249, struct.pack("!i", 0) + b"more"),
        (16999, b"who knows"),
        (3926, b"\x02" + struct.pack("!iq", 8, int(CARD))),
    ],
)
def test_what_cannot_be_read_in_binary_is_not_let_through(oid, value):
    with pytest.raises(MaskFailed):
        become(value, oid, binary=True)


def test_arrays_in_records_in_arrays_end_somewhere():
    value = MAIL
    oid = 25
    for _ in range(12):
        value, oid = struct.pack("!iIi", 1, oid, len(value)) + value, 2249

    with pytest.raises(MaskFailed):
        become(value, 2249, binary=True)


def test_which_columns_must_be_read():
    assert decodes(Column("c", 20, binary=True))
    assert decodes(Column("c", 701))
    assert not decodes(Column("c", 25, binary=True))
    assert not decodes(Column("c", 20))


def test_copy_keeps_its_columns_loadable():
    found = Found()
    row = b"1\t4111111111111111\talice@example.org\t\\N\t\\\\x" + MAIL.hex().encode() + b"\n"

    masked = masked_copy(masks(), row, found)

    assert masked.startswith(b"1\t0000000000000000\t*****************\t\\N\t\\\\x2a2a")
    assert found == {("pii.card", "copy"): 1, ("pii.email", "copy"): 2}


def test_a_text_that_is_no_value_is_redacted_where_a_value_would_be_null():
    assert masked_text(masks(Becomes.NULL), b"see " + MAIL, "error", Found()) == b"see " + STARS
