"""Rows that COPY writes, with columns hidden: field by field, in every form, or not at all."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.mask import Becomes, MaskFailed, Replacer
from recgate_postgres.grammar import syntax
from recgate_postgres.maskfound import Found
from recgate_postgres.origin import copies
from recgate_postgres.origin.copies import CopyFormat, CopyMask, copy_format
from recgate_postgres.origin.outcomes import Hidden, Outcome


def hides(becomes=Becomes.REDACT, derived=False):
    return Hidden("pii.people.ssn", Replacer(becomes, keep=4, key=b"k"), derived)


def read(options):
    statements = syntax(f"copy t to stdout {options}")
    assert statements is not None
    return copy_format(statements[0]["stmt"]["CopyStmt"])


@pytest.mark.parametrize(("options", "expected"), [
    ("", CopyFormat()),
    ("with (format text, delimiter '|', null 'none')", CopyFormat("text", b"|", b"none")),
    ("csv header", CopyFormat("csv", b",", b"", header=True)),
    ("(format csv, header false)", CopyFormat("csv", b",", b"")),
    ("(format csv, header 'on', quote '''', force_quote *)", CopyFormat("csv", b",", b"", b"'", b"'", header=True)),
    ("(format csv, escape '\\')", CopyFormat("csv", b",", b"", b'"', b"\\")),
    ("(format binary)", CopyFormat("binary")),
    ("(encoding 'LATIN1')", CopyFormat()),
    ("(encoding 'SJIS')", None),
    ("(delimiter 'ab')", None),
    ("(delimiter '')", None),
    ("(null '\N{EURO SIGN}')", None),
    ("(format xml)", None),
    ("(whatever 1)", None),
])  # fmt: skip
def test_the_form_is_read_off_the_statement(options, expected):
    assert read(options) == expected


def masked(options, columns, *rows, binary=False):
    found = Found()
    copy = CopyMask(Outcome(columns, copy=read(options)), binary)
    return [copy.masked(row, found) for row in rows], found.total()


def test_text_is_taken_apart_at_its_delimiters_and_put_together_again():
    rows, count = masked(
        "", (None, hides(), None), b"a\\tb\t07\\\\8\tx\n", b"\\N\t\\N\t\\N\n", b"\t\t\n", b"a\tb\\\tc\td\n"
    )
    assert rows == [b"a\\tb\t****\tx\n", b"\\N\t\\N\t\\N\n", b"\t\t\n", b"a\t***\td\n"]
    assert count == 3


def test_csv_is_taken_apart_at_its_quotes():
    rows, _ = masked("csv", (None, hides(Becomes.KEEP_LAST), None),
        b'"a,""b""",078-05-1120,\n', b',,"x\ny"\n', b'1,"",2\n', b'1,"a ""q"" 12345678",2\n')  # fmt: skip

    assert rows[0] == b'"a,""b""","*******1120",\n'
    assert rows[1] == b',,"x\ny"\n'
    assert rows[2] == b'1,"",2\n'
    assert next(csv.reader(io.StringIO(rows[3].decode()))) == ["1", "**********5678", "2"]


def test_a_csv_with_an_escape_of_its_own():
    rows, _ = masked("(format csv, escape '\\')", (hides(Becomes.KEEP_LAST), None), b'"a\\"b\\\\c,defgh",x\n')

    assert rows == [b'"*******efgh",x\n']


@pytest.mark.parametrize(("field", "expected"), [
    (b"0781", b"0000"), (b"-3.50", b"0"), (b"1e9", b"0"), (b"word", b"****"), (b"078-05-1120", b"*" * 11),
    (b"t", b"\\N"), (b"false", b"\\N"), (b"1980-01-02", b"\\N"), (b"12:30:00+02", b"\\N"), (b"{a,b}", b"\\N"),
    (b"(1,a)", b"\\N"), (b"[1,2)", b"\\N"), (b'{"a": 1}', b"\\N"), (b"\\\\x0102", b"\\N"), (b"10.0.0.1", b"\\N"),
    (b"fe80::1", b"\\N"), (b"6f1a4e0e-0e3b-4d1c-9d4f-0123456789ab", b"\\N"), (b"NaN", b"\\N"), (b"3 days", b"\\N"),
])  # fmt: skip
def test_what_has_the_form_of_a_type_becomes_null(field, expected):
    assert masked("", (hides(),), field + b"\n")[0] == [expected + b"\n"]


def test_what_was_worked_out_is_always_null():
    assert masked("", (hides(derived=True),), b"word\n", b"12\n", b"\n")[0] == [b"\\N\n"] * 3
    assert masked("csv", (hides(derived=True), None), b"word,1\n", b"12,1\n")[0] == [b",1\n"] * 2


def test_binary_is_null_where_it_is_hidden():
    head = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    row, null = b"\0\2\0\0\0\1x\0\0\0\3ssn", b"\xff" * 4
    rows, count = masked(
        "(format binary)", (None, hides()), head + row + row, b"\0\2" + null * 2, b"\xff\xff", binary=True
    )

    assert rows == [head + (row[:7] + null) * 2, b"\0\2" + null * 2, b"\xff\xff"]
    assert count == 2


@pytest.mark.parametrize(("options", "binary", "row"), [
    ("", False, b"one\n"), ("", False, b"a\tb\tc\n"), ("", False, b"a\nb\tc\n"), ("csv", False, b'a,"b\n'),
    ("csv", False, b"a\n"), ("(format binary)", True, b"\0\2\0\0\0\1x"), ("(format binary)", True, b"\0\1\0\0\0\1x"),
    ("(format binary)", True, b"\0\2\0\0\0\1x\0\0\0\1ymore"), ("(format binary)", True, b"\0\2\0\0\0\x09x"),
    ("(format binary)", False, b"a\tb\n"), ("", True, b"\0\2"),
])  # fmt: skip
def test_rows_that_are_not_as_foreseen_are_doubt(options, binary, row):
    with pytest.raises(MaskFailed):
        masked(options, (None, hides()), row, binary=binary)


def test_rows_whose_form_nobody_knows_are_doubt():
    with pytest.raises(MaskFailed):
        CopyMask(Outcome((None,)), binary=False)


def outcome_of(fields):
    try:
        return list(fields())
    except MaskFailed:
        return None


@given(
    st.lists(st.sampled_from([b"\t", b"\\", b"\n", b"\\N", b"|", b"ab"]), max_size=12).map(b"".join),
    st.sampled_from(b"\t|\\"),
)
def test_the_quick_way_through_a_row_of_text_gives_what_going_byte_by_byte_gives(row, delimiter):
    form = CopyFormat(delimiter=bytes((delimiter,)))
    whole = row.removesuffix(b"\n")
    byte_by_byte = outcome_of(lambda: copies._plain_escaped(whole, form))
    assert outcome_of(lambda: copies._plain(row, form)) == byte_by_byte


@given(
    st.lists(st.sampled_from([b",", b'"', b"'", b"\n", b"ab"]), max_size=12).map(b"".join),
    st.sampled_from(b"\"'"),
)
def test_the_quick_way_through_a_row_of_csv_gives_what_going_byte_by_byte_gives(row, escape):
    form = CopyFormat("csv", b",", b"", b'"', bytes((escape,)))
    whole = row.rstrip(b"\r\n")
    byte_by_byte = outcome_of(lambda: copies._csv_quoted(whole, form))
    assert outcome_of(lambda: copies._csv(row, form)) == byte_by_byte
