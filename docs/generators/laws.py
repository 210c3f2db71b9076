"""The seven laws, each with the tests that would fail if it were broken."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docs.generators.mentions import ROOT, tests_about
from docs.generators.pages import page
from docs.generators.threats import named

__all__ = ["laws_page"]

SOURCE: Final = Path(__file__).with_name("laws.toml")


@dataclass(frozen=True, slots=True)
class Law:
    """A law, and the tests known to hold it."""

    title: str
    text: str
    tests: list[str]


def _laws() -> dict[int, Law]:
    found = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    return {int(number): Law(**law) for number, law in found.items()}


def laws_page() -> str:
    """The page, one section a law."""
    mentioned = tests_about("law")
    parts = []
    for number, law in _laws().items():
        for test in law.tests:
            _must_exist(test)
        known = [*law.tests, *(test for test in mentioned.get(number, []) if test not in law.tests)]
        parts.append(f"## {number}. {law.title}\n\n{law.text.strip()}\n\nTests:\n\n{_listed(known)}")
    introduction = """
These stand above everything else in recgate, and SECURITY.md counts whatever breaks one as a vulnerability.
Below each are tests that fail when it is broken; those in `contracts.py` run for every relay. Threats that
were tried against them are in [](threats.md).
"""
    return page("The seven laws", introduction, *parts)


def _listed(tests: list[str]) -> str:
    lines = named(tests, shown=12).split("<br>")
    return "\n".join(f"- {line}" for line in lines)


def _must_exist(test: str) -> None:
    path, _, name = test.partition("::")
    source = ROOT / path
    if not source.exists() or not re.search(rf"def {name}\(", source.read_text(encoding="utf-8")):
        raise LookupError(f"docs/generators/laws.toml names {test}, which is not there")
