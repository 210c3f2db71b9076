"""Moments and spans as people say them."""

from __future__ import annotations

import pytest

from recgate.cli.moments import span, until


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (3_599, "59 min 59 s"),
        (28_799, "7 h 59 min"),
        (86_400, "1 d 0 h"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_moment_says_how_long_it_is_away() -> None:
    assert until(1_000_000_060.0, 1_000_000_000.0).endswith("(in 1 min 0 s)")
    assert until(1_000_000_000.0, 1_000_000_000.0).endswith("(over)")
    assert until(None, 0) == "it is revoked"
