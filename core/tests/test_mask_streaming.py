"""A value split over pieces is masked all the same; little waits, and what could not wait is noted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.mask import Becomes, Mask, MaskedSpan, Masking, Replacer, StreamMasker
from recgate.mask.streaming import MAX_HELD

CARD = b"4111111111111111"
KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"QUJD" * 500 + b"\n-----END PRIVATE KEY-----\n"


class Cards:
    """Runs of sixteen digits, and keys by their first line."""

    name = "pii"
    ascii = True

    def spans(self, data, *, final):
        for found in re.finditer(rb"(?<![0-9])[0-9]{16}(?![0-9])", data):
            yield (*found.span(), "card")
        for found in re.finditer(
            rb"-----BEGIN PRIVATE KEY-----[A-Za-z\n]*(?:-----END PRIVATE KEY-----)?", data
        ):
            yield (*found.span(), "key")

    def hints(self, data):
        return [(start, end) for start, end, _ in self.spans(data, final=True)]

    def growing(self, data):
        found = re.search(rb"[0-9A-Za-z-]{1,256}\Z", data)
        return found.start() if found else len(data)


def stream(becomes=Becomes.REDACT):
    return StreamMasker(Masking([Mask("pii", (Cards(),), Replacer(becomes, keep=4))], lambda: 0.0))


def test_a_value_in_two_pieces_is_masked_as_one():
    masker = stream(Becomes.KEEP_LAST)

    assert masker.feed(b"card 41111111") == b"card "
    assert masker.feed(b"11111111 ok") == b"************1111 "
    assert masker.flush() == b"ok"
    assert masker.take_found() == [MaskedSpan("pii.card", partial=False)]
    assert masker.take_found() == []


def test_what_cannot_become_a_value_does_not_wait():
    masker = stream()

    assert masker.feed(b"$ ls -l\r\n") == b"$ ls -l\r\n"
    assert masker.held == 0


def test_what_went_out_before_it_was_known_is_noted_as_partial():
    masker = stream()

    assert masker.feed(b"41111111") == b""
    assert masker.flush() == b"41111111"
    assert masker.feed(b"11111111 ") == b"******** "
    assert masker.take_found() == [MaskedSpan("pii.card", partial=True)]


def test_a_long_value_is_masked_while_it_comes_and_noted_once():
    masker = stream()
    out = bytearray()
    for start in range(0, len(KEY), 100):
        out += masker.feed(KEY[start : start + 100])
        assert masker.held <= MAX_HELD
    out += masker.flush()

    assert b"QUJD" not in out
    assert len(out) == len(KEY)
    assert [each.rule for each in masker.take_found()][:1] == ["pii.key"]
    assert masker.feed(b"hello\n") == b"hello\n"


def test_at_most_so_much_is_held():
    masker = stream()

    masker.feed(b"a" * 10_000)

    assert masker.held <= MAX_HELD


@given(st.lists(st.integers(1, 40), max_size=30))
def test_pieces_of_any_size_give_the_same(cuts):
    text = b"see " + CARD + b", " + CARD + b" and " + b"1" * 17 + b" end\n"
    whole = stream()
    expected = whole.feed(text) + whole.flush()
    masker = stream()
    out, position = bytearray(), 0
    for cut in cuts:
        out += masker.feed(text[position : position + cut])
        position += cut
    out += masker.feed(text[position:]) + masker.flush()

    assert bytes(out) == expected
    assert CARD not in out


@pytest.mark.parametrize("size", [1, 2, 3])
def test_one_byte_at_a_time(size):
    masker = stream(Becomes.KEEP_LAST)
    text = b"x " + CARD + b"\n"
    out = b"".join(masker.feed(text[n : n + size]) for n in range(0, len(text), size)) + masker.flush()

    assert out == b"x ************1111\n"
