"""Find the tests that say what they are about, in a name or a docstring: `threat 12`, `law 3`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "numbers", "tests_about"]

ROOT: Final = Path(__file__).resolve().parents[2]
TESTS: Final = ("core/tests/**/test_*.py", "plugins/*/tests/**/test_*.py", "tests/**/test_*.py")

_RANGE: Final = re.compile(r"(\d+)\s*(?:\u2013|-|to)\s*(\d+)|(\d+)")


def numbers(word: str, text: str) -> set[int]:
    """The numbers behind a word: `threats 7, 9 and 12 to 15` speaks of six."""
    mention = re.compile(rf"\b{word}s? ((?:\d+(?:[ ,;\u2013-]|and|to)*)+)", re.IGNORECASE)
    found: set[int] = set()
    for run in mention.findall(text.replace("_", " ")):
        for first, last, single in _RANGE.findall(run):
            found.update([int(single)] if single else range(int(first), int(last) + 1))
    return found


def tests_about(word: str) -> dict[int, list[str]]:
    """Numbers with the tests that say they are about them, as `path::name`, or `path` for a whole module."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for path in sorted(path for pattern in TESTS for path in ROOT.glob(pattern)):
        for test, about in _tests(word, path):
            for number in sorted(about):
                found[number].append(test)
    return found


def _tests(word: str, path: Path) -> Iterator[tuple[str, set[int]]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = path.relative_to(ROOT).as_posix()
    of_module = numbers(word, ast.get_docstring(tree) or "")
    named: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            about = numbers(word, node.name) | numbers(word, ast.get_docstring(node) or "")
            if about:
                named |= about
                yield f"{name}::{node.name}", about
    # A module that announces a number answers for it as a whole where no single test does.
    if of_module - named:
        yield name, of_module - named
