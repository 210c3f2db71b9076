"""What the comparisons share: a loud line at the end for every suite that could not be had."""

from __future__ import annotations

import pytest

MISSING: list[str] = []


@pytest.fixture(scope="session")
def say_missing():
    """Give what notes a suite that was not run, for the end of the report."""
    return MISSING.append


def pytest_terminal_summary(terminalreporter):
    """Say in capitals what this run did not compare."""
    for line in MISSING:
        terminalreporter.write_line(f"NOT RUN: {line}", red=True, bold=True)
