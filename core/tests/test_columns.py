"""Columns as a terminal draws them."""

from __future__ import annotations

from recgate.transcript.columns import aligned, clipped


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [["id", "user"], ["1", "alice"], ["22", "b"]]
    assert list(aligned(rows, right=frozenset({0}))) == ["id  user", " 1  alice", "22  b"]


def test_wide_characters_count_double():
    assert list(aligned([["日本", "x"], ["abcd", "y"]])) == ["日本  x", "abcd  y"]


def test_cells_do_not_act_on_the_terminal_and_stay_on_their_line():
    (line,) = aligned([["\x1b[2J", "a\nb", "\u202eevil"]])
    assert line == "\\x1b[2J  a\\x0ab  \\u202eevil"


def test_long_cells_are_cut_visibly():
    assert clipped("abcdef", 4) == "abc…"
    assert clipped("日本語", 4) == "日…"
    assert clipped("abcd", 4) == "abcd"
    assert list(aligned([["x" * 30]], width=5)) == ["xxxx…"]


def test_rows_may_be_short():
    assert list(aligned([["a"], ["b", "c"]])) == ["a", "b  c"]
    assert list(aligned([])) == []
