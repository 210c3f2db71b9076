"""Where values may be: never less than there are, and few more."""

import pytest

from recgate_detect.masker import ContentMasker
from recgate_detect.rules import builtin, expand, own_rule

ALL = ContentMasker("m", list(builtin().values()))
CARD = b"4111111111111111"


@pytest.mark.parametrize(
    "data",
    [b"\t674.1900000000000000\t", b"\0\0\0\x14674.3800000000000000\0\0\0\1", b"x 12.4111111111111111\n"],
)
def test_decimals_are_no_place_to_look_at(data):
    assert ContentMasker("m", expand(["credit_card", "national_id", "nl_bsn"])).hints(data) == []
    assert list(ALL.spans(data, final=True)) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\xc8" + CARD + b" in a value of 200 bytes",
        b"\0\0\0\x35" + CARD + b" in a value of 53 bytes",
        b"\0\0\x35\x35" + CARD + b" in a value of 13621 bytes",
        b"\0\0\0\x2e" + CARD + b" in a value of 46 bytes",
        b"\0\0\x30\x2e" + CARD + b" in a value of 12334 bytes",
        b"\0\x31\x30\x2e" + CARD + b" in a value of 3223598 bytes",
        b"1.4111111111111@example.org",
        b".4111111111111111 ",
        b"a.4111111111111111 ",
        b"1. " + CARD,
        CARD,
    ],
)
def test_a_length_of_the_protocol_is_taken_for_no_number(data):
    assert ALL.hints(data) != []


def test_an_own_pattern_finds_decimals():
    masker = ContentMasker("m", [own_rule("fraction", "[0-9]{16}"), *expand(["credit_card"])])

    assert masker.hints(b"\t674.1900000000000000\t") != []


def test_what_may_grow_waits():
    assert ALL.growing(b"plain text ") == 11
    assert ALL.growing(b"mail alice@exam") == 5
    assert ALL.growing(b"card 4111 1111 ") == 5
    assert ALL.growing(b"") == 0
    assert ALL.growing(b"a" * 1000) == 744
