"""Results as CSV, read back by Python's reader."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from recgate.transcript.entries import Entry
from recgate.transcript.results import Result, csv_lines, result_of


def test_null_and_empty_text_are_told_apart():
    assert "".join(csv_lines([Result(["a", "b"], [[None, ""], ["x", None]])])) == 'a,b\n,""\nx,\n'


def test_parts_of_a_result_have_one_heading():
    parts = [Result(["a"], [["1"]]), Result(["a"], [["2"]])]
    assert "".join(csv_lines(parts)) == "a\n1\n2\n"


def test_a_single_null_is_no_empty_line():
    assert "".join(csv_lines([Result(["a"], [[None]])])) == 'a\n""\n'


VALUES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r"))


@given(st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=5))
def test_a_reader_gets_every_value_back(rows):
    text = "".join(csv_lines([Result(["a", "b"], rows)]))
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [["a", "b"], *rows]


def test_only_entries_with_rows_are_results():
    assert result_of(Entry(1, 0, 0, 0, "sql", {"rows": 3})) is None
    assert result_of(Entry(1, 0, 0, 0, "rows", {"columns": ["a"], "rows": [["1"]]})) == Result(["a"], [["1"]])
