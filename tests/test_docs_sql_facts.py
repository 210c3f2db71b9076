"""The examples on the page about SQL facts say what the gateway says."""

from __future__ import annotations

import re
from pathlib import Path

from plugins.postgres.tests.acting import said
from recgate_postgres.acts import read_strictly

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "sql-facts.md"


def examples() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for block in re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        text = ""
        for line in block.splitlines():
            if line.startswith("    "):
                found[text].append(line.strip())
            else:
                text = line
                found[text] = []
    return found


def test_every_example_is_what_the_gateway_says():
    page = examples()
    assert len(page) > 15
    assert page == {text: [said(act) for act in read_strictly(text).acts] for text in page}
