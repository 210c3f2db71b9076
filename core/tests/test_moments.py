"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from recgate.transcript.moments import parse_moment, show_duration, show_moment

NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("now", "2026-11-24 10:00:00Z"),
        ("90s", "2026-11-24 09:58:30Z"),
        ("1h30m", "2026-11-24 08:30:00Z"),
        ("30d", "2026-10-25 10:00:00Z"),
        ("today", "2026-11-24 00:00:00Z"),
        ("Yesterday", "2026-11-23 00:00:00Z"),
        ("09:30", "2026-11-24 09:30:00Z"),
        ("9:30", "2026-11-24 09:30:00Z"),
        ("9:30:15", "2026-11-24 09:30:15Z"),
        ("2026-11-01", "2026-11-01 00:00:00Z"),
        ("2026-11-01T12:00", "2026-11-01 12:00:00Z"),
        ("2026-11-01 12:00:05", "2026-11-01 12:00:05Z"),
        ("2026-11-01T12:00:00+02:00", "2026-11-01 10:00:00Z"),
    ],
)
def test_a_time_is_understood(written, meant):
    assert show_moment(parse_moment(written, NOW)) == meant


def test_until_a_day_has_that_day_in_it():
    assert show_moment(parse_moment("2026-11-01", NOW, end=True)) == "2026-11-02 00:00:00Z"
    assert show_moment(parse_moment("yesterday", NOW, end=True)) == "2026-11-24 00:00:00Z"
    assert show_moment(parse_moment("2026-11-01T12:00", NOW, end=True)) == "2026-11-01 12:00:00Z"


@pytest.mark.parametrize(
    "written", ["", "soon", "30", "2026-13-01", "25:00", "-1d", "1 d", "9999999999999d", "2026"]
)
def test_what_is_no_time_is_refused_with_examples(written):
    with pytest.raises(ValueError, match="write how long ago"):
        parse_moment(written, NOW)


def test_durations_read_like_a_clock():
    assert [show_duration(s) for s in (0, 7.9, 751, 7509, -3)] == ["0:00", "0:07", "12:31", "2:05:09", "0:00"]
