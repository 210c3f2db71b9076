"""Entry numbers as people write them."""

from __future__ import annotations

import click
import pytest

from recgate.cli.entrynumber import EntryNumber, EntryNumberType
from recgate.transcript.entries import Entry


@pytest.mark.parametrize(
    ("written", "meant"), [("12", EntryNumber(12)), ("12.1", EntryNumber(12, 1)), ("0", EntryNumber(0))]
)
def test_a_number_is_understood(written, meant):
    assert EntryNumberType().convert(written, None, None) == meant
    assert str(meant) == written


@pytest.mark.parametrize("written", ["", "x", "-1", "1.", ".1", "1.2.3", "9" * 30, "\u0661"])
def test_what_is_no_number_is_refused(written):
    with pytest.raises(click.BadParameter, match="such as 12"):
        EntryNumberType().convert(written, None, None)


def test_a_number_names_all_that_begin_there_or_one():
    first, second = Entry(3, 0, 0, 0, "sql"), Entry(3, 0, 0, 0, "sql", part=1)
    assert EntryNumber(3).names(first)
    assert EntryNumber(3).names(second)
    assert not EntryNumber(3, 1).names(first)
    assert EntryNumber(3, 1).names(second)
    assert not EntryNumber(4).names(first)
