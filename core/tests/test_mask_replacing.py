"""What a masked value becomes: as long as it was where it can be, stable where joins need it, and never the value."""

import pytest

from recgate.mask import Becomes, Replacer

KEY = b"k" * 32


def test_redacted_text_keeps_its_length_in_characters():
    assert Replacer(Becomes.REDACT).text(b"alice@example.org") == b"*" * 17
    assert Replacer(Becomes.REDACT).text("jürgen".encode()) == b"******"
    assert Replacer(Becomes.NULL).text(b"abc") == b"***"
    assert Replacer(Becomes.REDACT).text(b"a\xff\xfe") == b"***"


@pytest.mark.parametrize(
    ("keep", "value", "expected"),
    [
        (4, b"4111111111111111", b"************1111"),
        (4, b"12345678", b"****5678"),
        (4, b"1234567", b"*******"),
        (2, "añoñ".encode(), "**oñ".encode()),
    ],
)
def test_the_last_characters_stay_unless_they_are_more_than_half(keep, value, expected):
    assert Replacer(Becomes.KEEP_LAST, keep=keep).text(value) == expected


def test_a_hash_is_stable_for_one_key_and_says_nothing_for_another():
    one, other = Replacer(Becomes.HASH, key=KEY), Replacer(Becomes.HASH, key=b"o" * 32)

    assert one.text(b"alice@example.org") == Replacer(Becomes.HASH, key=KEY).text(b"alice@example.org")
    assert one.text(b"alice@example.org") != one.text(b"bob@example.org")
    assert one.text(b"alice@example.org") != other.text(b"alice@example.org")
    assert len(one.text(b"x")) == 16


def test_a_token_looks_like_what_it_stands_for():
    token = Replacer(Becomes.TOKENIZE, key=KEY).text(b"Alice.B+7@example.org")

    assert token != b"Alice.B+7@example.org"
    assert [chr(each) for each in token if not chr(each).isalnum()] == [".", "+", "@", "."]
    assert token[:1].isupper()
    assert token[1:5].islower()
    assert token[8:9].isdigit()
    assert token == Replacer(Becomes.TOKENIZE, key=KEY).text(b"Alice.B+7@example.org")
    assert Replacer(Becomes.TOKENIZE, key=KEY).text("ü".encode()).isalpha()


def test_a_long_token_does_not_repeat_itself():
    token = Replacer(Becomes.TOKENIZE, key=KEY).text(b"a" * 96)

    assert len({token[:32], token[32:64], token[64:]}) == 3


@pytest.mark.parametrize("becomes", list(Becomes))
@pytest.mark.parametrize(
    ("value", "most"), [(b"4111111111111111", 18), (b"4111-1111", 4), (b"7", 9), (b"", 9)]
)
def test_a_number_stays_one_and_fits(becomes, value, most):
    number = Replacer(becomes, keep=4, key=KEY).number(value, most)

    assert number == b"%d" % int(number)
    assert len(number) <= most
    assert number != value


def test_a_number_keeps_its_last_digits_or_nothing():
    assert Replacer(Becomes.KEEP_LAST, keep=4).number(b"4111111111110012", 18) == b"12"
    assert Replacer(Becomes.REDACT).number(b"4111111111111111", 18) == b"0"
    hashed = Replacer(Becomes.HASH, key=KEY).number(b"4111111111111111", 18)
    assert hashed == Replacer(Becomes.HASH, key=KEY).number(b"4111111111111111", 18)
    assert len(hashed) == 16


def test_what_hides_more_comes_first():
    ranks = [Replacer(each, key=KEY).rank for each in Becomes]

    assert ranks == sorted(ranks)
    assert Replacer(Becomes.KEEP_LAST, keep=2).rank < Replacer(Becomes.KEEP_LAST, keep=4).rank


def test_a_key_is_needed_and_not_shown():
    with pytest.raises(ValueError, match="key"):
        Replacer(Becomes.HASH)
    assert repr(Replacer(Becomes.HASH, key=KEY)) == "Replacer(hash)"
