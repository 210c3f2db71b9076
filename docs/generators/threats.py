"""What is tried against a gateway, and the tests that show what becomes of it.

A test says which threats it is about with the word *threat* and their numbers, in its name (`test_threat_12_…`), its
docstring, or the first docstring of its module. This table is made of those, so a threat without a test shows as one.
"""

from __future__ import annotations

from typing import Final

from docs.generators.mentions import tests_about
from docs.generators.pages import page, table, words

__all__ = ["THREATS", "named", "threats_page"]

SHOWN: Final = 6  # tests named per threat; the rest are counted

THREATS: Final = {int(number): text for number, text in words("threats").items()}


def threats_page() -> str:
    """The page, one line a threat."""
    found = tests_about("threat")
    rows = [(str(number), text, named(found.get(number, []))) for number, text in THREATS.items()]
    introduction = """
Each line has broken a real product in this field. The right column names the tests that try it; a test is
counted because it says which threat it is about, and this page is made from that. Numbers that are missing
belong to protocols and features that are not in this release. SECURITY.md says what counts as a
vulnerability and how to report one.
"""
    return page("Threats and their tests", introduction, table(("", "what is tried", "tests"), rows))


def named(tests: list[str], shown: int = SHOWN) -> str:
    """Name tests in a table's cell, the first few of many."""
    if not tests:
        return "*no test names it yet*"
    text = "<br>".join(f"`{test}`" for test in tests[:shown])
    rest = len(tests) - shown
    return f"{text}<br>and {rest} more" if rest > 0 else text
