"""What is shown holds nothing that a terminal acts on or an eye misses (threats 24 and 33)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.transcript.neutral import neutralise


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("café 日本 🙂", "café 日本 🙂"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("a\tb\r\nc\0", "a\\x09b\\x0d\\x0ac\\x00"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("half \ud800", "half \\ud800"),
        ("line\u2028sep", "line\\u2028sep"),
    ],
)
def test_what_acts_or_hides_is_spelt_out(text, shown):
    assert neutralise(text) == shown


def test_lines_keep_their_ends_but_not_their_returns():
    # A carriage return alone would let the rest of the line overwrite its beginning.
    assert neutralise("a\n\tb\rc\x1b", lines=True) == "a\n\tb\\x0dc\\x1b"


@given(st.text(alphabet=st.characters(codec=None) | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_nothing_unprintable_is_left(text):
    for kept in (neutralise(text), neutralise(text, lines=True).replace("\n", "").replace("\t", "")):
        assert not [c for c in kept if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        kept.encode()


@given(st.text())
def test_neutral_text_stays_as_it_is(text):
    once = neutralise(text)
    assert neutralise(once) == once


def test_every_character_that_unicode_calls_invisible_is_known():
    missed = [
        hex(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and neutralise(chr(code)) == chr(code)
    ]
    assert missed == []
