"""The rules as data: read once, chosen by the words of a mask."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from recgate_detect.checks import CHECKS, Check
from recgate_detect.engine import escape

__all__ = ["Rule", "builtin", "deny_rule", "expand", "own_rule", "unanchored", "words"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for; see `rules.toml` for the fields. `ascii` says that no other bytes can match."""

    name: str
    hint: str
    pattern: str
    check: Check
    groups: tuple[str, ...] = ()
    shows: str = ""
    source: str = ""
    ascii: bool = True
    sharp: str = ""


@cache
def builtin() -> Mapping[str, Rule]:
    """Give the rules of `rules.toml` by name."""
    text = files("recgate_detect").joinpath("rules.toml").read_text("utf-8")
    found = cast("list[dict[str, object]]", tomllib.loads(text)["rule"])
    rules: dict[str, Rule] = {}
    for each in found:
        name, hint = str(each["name"]), str(each["hint"])
        rules[name] = Rule(
            name,
            hint,
            str(each.get("pattern", hint)),
            CHECKS[str(each.get("check", "bounded"))],
            tuple(cast("list[str]", each.get("groups", []))),
            str(each["shows"]),
            str(each["source"]),
            sharp=str(each.get("sharp", "")),
        )
    return rules


def words() -> list[str]:
    """Give everything that may stand in `detect:`."""
    rules = builtin()
    return sorted({*rules, *(group for rule in rules.values() for group in rule.groups)})


def expand(detect: Iterable[str]) -> list[Rule]:
    """Give the rules that words of `detect:` stand for, each once. Raises `KeyError` for a word of none."""
    rules = builtin()
    chosen: dict[str, Rule] = {}
    for word in detect:
        of_group = [rule for rule in rules.values() if word in rule.groups]
        for rule in of_group or [rules[word]]:
            chosen.setdefault(rule.name, rule)
    return list(chosen.values())


def own_rule(name: str, pattern: str) -> Rule:
    """Make a rule of an operator's own pattern, which means what it says: anchors and all, in one value."""
    return Rule(name, unanchored(pattern), pattern, CHECKS["whole"], ascii=pattern.isascii())


def deny_rule(phrases: Iterable[str]) -> Rule:
    """Make the rule of a deny list: these words, in capitals or not, and not inside a longer one."""
    listed = list(phrases)
    pattern = f"(?i:{'|'.join(escape(phrase) for phrase in sorted(listed, key=len, reverse=True))})"
    return Rule("deny", pattern, pattern, CHECKS["bounded"], ascii="".join(listed).isascii())


def unanchored(pattern: str) -> str:
    """Give the pattern without its empty assertions: it finds all that the pattern finds, wherever it stands.

    A buffer of protocol bytes has no beginnings and ends of values in it, and a length may look like a letter.
    """
    kept: list[str] = []
    position, in_class, first = 0, False, False
    while position < len(pattern):
        char = pattern[position]
        pair = pattern[position : position + 2]
        if char == "\\":
            quoted = pattern.find("\\E", position) if pair == "\\Q" else -1
            length = (quoted + 2 - position if quoted >= 0 else len(pattern)) if pair == "\\Q" else 2
            taken = pattern[position : position + length]
            kept.append("(?:)" if not in_class and pair in ("\\b", "\\B", "\\A", "\\z") else taken)
            position += length
            first = False
            continue
        if in_class:
            ends = char == "]" and not first
            first = first and char == "^"
            if pattern.startswith("[:", position):
                stop = pattern.find(":]", position)
                if stop >= 0:
                    kept.append(pattern[position : stop + 2])
                    position = stop + 2
                    continue
            in_class = not ends
        elif char == "[":
            in_class = first = True
        kept.append("(?:)" if char in "^$" and not in_class and pattern[position] != "]" else char)
        position += 1
    return "".join(kept)
