"""Values in binary are shown as the server's own text output shows them."""

from __future__ import annotations

import psycopg
import pytest

from recgate_postgres.encodings import codec, decode
from recgate_postgres.rows import columns_of, formats_of, row_of
from recgate_postgres.values import bind_values, shown
from tests.peers.postgres import PASSWORD

# Expressions as SQL has them, with an underscore for every space.
LITERALS = [
    "true",
    "false",
    "0::int2",
    "(-32768)::int2",
    "2147483647",
    "(-9223372036854775808)::int8",
    "4294967295::oid",
    "0::float4",
    "1.5::float4",
    "0.1::float4",
    "1e20::float4",
    "'NaN'::float4",
    "'-Infinity'::float4",
    "1.17549435e-38::float4",
    "0::float8",
    "0.1::float8",
    "1e16::float8",
    "123456789.125::float8",
    "'-0'::float8",
    "5e-324::float8",
    "'Infinity'::float8",
    "1e-5::float8",
    "0::numeric",
    "1.50::numeric",
    "-0.0001::numeric",
    "12345678901234567890.123456789::numeric",
    "1e30::numeric",
    "'NaN'::numeric",
    "'Infinity'::numeric",
    "10000::numeric",
    "0.00::numeric",
    "''::text",
    "'häß'::text",
    "'x'::char(5)",
    "'abc'::name",
    "'a'::\"char\"",
    "'{\"a\":[1]}'::json",
    "'{\"a\":[1]}'::jsonb",
    "'<a/>'::xml",
    "'\\x00ff'::bytea",
    "''::bytea",
    "'2000-01-01'::date",
    "'1970-01-01'::date",
    "'0001-12-31'::date",
    "'4713-01-01_BC'::date",
    "'5874897-12-31'::date",
    "'infinity'::date",
    "'-infinity'::date",
    "'2024-02-29'::date",
    "'00:00'::time",
    "'23:59:59.999999'::time",
    "'24:00'::time",
    "'12:30:15.5+05:30'::timetz",
    "'12:30-08'::timetz",
    "'2024-02-29_12:34:56.789'::timestamp",
    "'1999-12-31_23:59:59.999999'::timestamp",
    "'infinity'::timestamp",
    "'0044-03-15_12:00_BC'::timestamp",
    "'2024-02-29_12:34:56+00'::timestamptz",
    "'-infinity'::timestamptz",
    "'0044-03-15_12:00+00_BC'::timestamptz",
    "'0'::interval",
    "'1_year_2_mons_3_days_04:05:06.7'::interval",
    "'-1_day'::interval",
    "'-00:00:01'::interval",
    "'1_mon'::interval",
    "'1_day'::interval",
    "'192.0.2.1'::inet",
    "'192.0.2.0/24'::inet",
    "'192.0.2.0/24'::cidr",
    "'2001:db8::1/64'::inet",
    "'2001:db8::'::inet",
    "'08:00:2b:01:02:03'::macaddr",
    "'08:00:2b:01:02:03:04:05'::macaddr8",
    "B'101'",
    "''::varbit",
    "B'1'::bit(3)",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
    "'16/B374D848'::pg_lsn",
    "'(1,2)'::tid",
    "'7'::xid8",
    "'(1,2.5)'::point",
    "'[(0,0),(1,1)]'::lseg",
    "'((0,0),(1,1))'::box",
    "'((0,0),(1,1))'::path",
    "'[(0,0),(1,1)]'::path",
    "'((0,0),(1,1),(1,0))'::polygon",
    "'<(1,2),3>'::circle",
    "'{1,2,3}'::line",
    "array[1,2,null]",
    "array['a','b_c','','NULL','d\"e\\f',null]",
    "array[[1,2],[3,4]]",
    "array[]::int[]",
    "array[1.5::numeric]",
    "array['2024-01-01'::date]",
    "array[true]",
    "array['{\"a\":1}'::jsonb]",
    "array[[['x','y']]]",
    "'[1,5)'::int4range",
    "'(,5]'::int8range",
    "'empty'::int4range",
    "'[2024-01-01,2024-02-01)'::daterange",
    '\'["2024-01-01_00:00","2024-01-02_00:00")\'::tsrange',
    "'(1.5,)'::numrange",
    "row(1,'a_b',null,true)",
    "row('')",
]


@pytest.fixture(scope="module")
def connection(debian):
    with psycopg.connect(
        host=debian.host, port=debian.port, user="scram_user", password=PASSWORD, dbname="postgres",
        options="-c TimeZone=UTC -c bytea_output=hex",
    ) as opened:  # fmt: skip
        yield opened


@pytest.mark.parametrize("literal", LITERALS)
def test_binary_is_shown_as_the_server_shows_it(connection, literal):
    expression = literal.replace("_", " ").replace("pg lsn", "pg_lsn")
    result = connection.pgconn.exec_params(f"select {expression}".encode(), [], result_format=1)
    assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message
    text = connection.pgconn.exec_params(f"select {expression}".encode(), [], result_format=0).get_value(0, 0)
    value = result.get_value(0, 0)
    assert value is not None
    assert shown(value, result.ftype(0), True, "utf-8") == text.decode()


def test_money_is_shown_without_a_locale():
    assert shown((-123456).to_bytes(8, "big", signed=True), 790, True, "utf-8") == "-1234.56"


@pytest.mark.parametrize(
    "oid", [0, 16, 23, 700, 701, 1700, 1082, 1114, 869, 1007, 3904, 2249, 3802, 600, 999_999]
)
@pytest.mark.parametrize("value", [b"", b"\xff", bytes(3), b"\xff" * 12, b"\0\0\0\x06" + bytes(60)])
def test_threat_32_what_is_not_of_its_type_is_hexadecimal_and_never_an_error(oid, value):
    assert isinstance(shown(value, oid, True, "utf-8"), str)


def test_text_that_is_not_of_its_encoding_stays_visible():
    assert shown(b"a\xffb", 25, False, "utf-8") == "a\\xffb"


def test_binds_in_every_combination_of_formats():
    values = b"\0\2" + b"\0\0\0\1a" + b"\0\0\0\4\0\0\0\7"
    assert bind_values(b"\0\0" + values, b"", "utf-8") == ["a", "\0\0\0\7"]
    assert bind_values(b"\0\2\0\0\0\1" + values, b"\0\0\0\x19\0\0\0\x17", "utf-8") == ["a", "7"]
    assert bind_values(b"\0\1\0\1" + b"\0\1\xff\xff\xff\xff", b"", "utf-8") == [None]
    assert bind_values(b"\0\1\0\1" + b"\0\1\0\0\0\2\0\7", b"", "utf-8") == ["\\x0007"]
    assert bind_values(b"\0\0\0\2\0\0\0\1a", b"", "utf-8") == ["a", "(malformed)"]
    assert bind_values(b"", b"", "utf-8") == ["(malformed)"]


def test_rows_and_their_descriptions():
    description = b"\0\2id\0" + bytes(6) + b"\0\0\0\x17\0\4\xff\xff\xff\xff\0\1" + b"n\0" + bytes(18)
    columns = columns_of(description, "utf-8")
    assert [(column.name, column.oid, column.binary) for column in columns] == [
        ("id", 23, True),
        ("n", 0, False),
    ]
    assert row_of(b"\0\2\0\0\0\4\0\0\0\5\xff\xff\xff\xff", columns, "utf-8") == ["5", None]
    assert row_of(b"\0\1\0\0\0\xc8abc", columns[1:], "utf-8") == ["abc (cut: 200 bytes)"]
    assert columns_of(description[:20], "utf-8") == ()
    assert formats_of(b"\0\0\0\1\0\0\0\1x\0\1\0\1") == (1,)
    assert formats_of(b"\0\0") == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UTF8", "utf-8"),
        ("utf-8", "latin-1"),
        ("SQL_ASCII", "latin-1"),
        ("WIN1252", "cp1252"),
        ("SJIS", "cp932"),
        ("WIN9999", "latin-1"),
        ("", "latin-1"),
    ],
)
def test_codecs(name, expected):
    assert codec(name) == expected


@pytest.mark.parametrize(
    "name",
    ["UTF8", "SJIS", "GBK", "BIG5", "UHC", "GB18030", "EUC_JP", "JOHAB", "KOI8R", "LATIN10", "ISO_8859_8"],
)
def test_no_bytes_make_a_codec_fail(name):
    assert decode(bytes(range(256)) * 2, codec(name))
