"""Shamir's scheme: any k of n give the secret back, fewer give nothing."""

from __future__ import annotations

import itertools
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.recipients.shamir import combine, split


def test_shares_are_values_of_the_polynomial_in_the_field_of_aes() -> None:
    """FIPS 197 §4.2: {57} x {83} = {c1}; so 0x57 + 0x83 x has these values."""
    shares = split(b"\x57", 2, 0x57, draw=lambda size: b"\x83" * size)
    assert {place: shares[place] for place in (1, 2, 0x57)} == {1: b"\xd4", 2: b"\x4a", 0x57: b"\x96"}
    assert combine({2: b"\x4a", 0x57: b"\x96"}) == b"\x57"


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_k_of_n_give_the_secret_back(secret: bytes, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 6))
    threshold = data.draw(st.integers(2, count))
    shares = split(secret, threshold, count)
    for places in itertools.combinations(shares, threshold):
        assert combine({place: shares[place] for place in places}) == secret


def test_one_share_less_gives_something_else() -> None:
    secret = secrets.token_bytes(32)
    shares = split(secret, 3, 5)
    for places in itertools.combinations(shares, 2):
        assert combine({place: shares[place] for place in places}) != secret


def test_every_secret_fits_to_too_few_shares() -> None:
    """For one share of two, each value of a byte is the secret for exactly one polynomial."""
    fitting = {
        split(bytes([secret]), 2, 1 + 1, draw=lambda _, c=c: bytes([c]))[1]
        for secret, c in ((s, s ^ 0x5A) for s in range(256))
    }
    assert fitting == {b"\x5a"}


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (2, 256)])
def test_what_is_no_division_is_refused(threshold: int, count: int) -> None:
    with pytest.raises(ValueError, match="no division"):
        split(b"secret", threshold, count)


@pytest.mark.parametrize("shares", [{}, {0: b"a"}, {256: b"a"}, {1: b"a", 2: b"ab"}])
def test_what_cannot_be_shares_is_refused(shares: dict[int, bytes]) -> None:
    with pytest.raises(ValueError, match="shares"):
        combine(shares)
