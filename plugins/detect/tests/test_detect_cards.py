"""Issuer ranges, lengths, groups and the check digit of card numbers."""

import pytest

from recgate_detect.cards import cards_in, luhn


@pytest.mark.parametrize("digits", [b"4111111111111111", b"378282246310005", b"79927398713", b"0"])
def test_the_check_digit_and_no_other(digits):
    assert luhn(digits)
    assert not any(luhn(digits[:-1] + b"%d" % other) for other in range(10) if other != digits[-1] - 0x30)


@pytest.mark.parametrize(
    "number",
    [
        "4222222222222",
        "4111111111111111",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "3530111333300000",
        "36227206271667",
        "6200000000000005",
    ],
)
def test_each_network_has_its_numbers(number):
    assert list(cards_in(number.encode(), 0, len(number))) == [(0, len(number))]


@pytest.mark.parametrize(
    "number", ["411111111111116", "1111111111111117", "555555555555557", "4444444444444444448"]
)
def test_another_length_or_range_is_none(number):
    assert list(cards_in(number.encode(), 0, len(number))) == []


def test_groups_are_as_they_are_embossed_and_with_one_separator():
    for text, spans in (
        (b"12 4111 1111 1111 1111 12", [(3, 22)]),
        (b"4111-1111-1111-1111", [(0, 19)]),
        (b"4111-1111 1111-1111", []),
        (b"41111111 11111111", []),
        (b"4111111111111111 5555555555554444", [(0, 16), (17, 33)]),
    ):
        assert list(cards_in(text, 0, len(text))) == spans
