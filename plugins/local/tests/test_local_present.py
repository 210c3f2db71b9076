"""Times and durations on the command line."""

import click
import pytest

from recgate_local.present import DURATION, moment


def test_a_moment_is_rfc_3339_in_utc():
    assert moment(0.0) == "1970-01-01T00:00:00Z"
    assert moment(1_795_500_000.7) == "2026-11-24T06:00:00Z"
    assert moment(None) is None


def test_a_duration_needs_its_unit():
    assert DURATION.convert("8h", None, None) == 28_800
    assert DURATION.convert(5.0, None, None) == 5.0
    with pytest.raises(click.BadParameter, match="with a unit"):
        DURATION.convert("8", None, None)
