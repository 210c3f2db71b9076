"""Read `policies:` — a rule with `when` is one of CEL, anything else is a word with its options, as everywhere."""

from __future__ import annotations

from typing import Final, cast

from recgate.config.entries import EntryReader
from recgate.config.sections import PluginEntry

__all__ = ["DEFAULT_LANGUAGE", "read_policies", "rule_name"]

DEFAULT_LANGUAGE: Final = "cel"
_RULE_KEYS: Final = frozenset({"name", "when", "then", "message"})


def rule_name(entry: PluginEntry) -> str:
    """The name that refusals and audit events give, or the empty string for a language whose entries have none."""
    name = getattr(entry.options, "name", "")
    return name if isinstance(name, str) else ""


def read_policies(value: object, read: EntryReader) -> tuple[PluginEntry, ...]:
    """Give the entries in their order; problems are noted, and two rules of one name are one."""
    entries: list[PluginEntry] = []
    taken: dict[str, int] = {}
    for n, item in enumerate(read.sequence(value, ("policies",))):
        path = ("policies", n)
        if isinstance(item, dict) and (_RULE_KEYS & cast("dict[str, object]", item).keys()):
            entry = read.options(DEFAULT_LANGUAGE, cast("object", item), path, "policies")
        elif isinstance(item, dict) and len(cast("dict[str, object]", item)) == 1:
            ((word, options),) = cast("dict[str, object]", item).items()
            entry = read.options(word, options, (*path, word), "policies")
        else:
            read.problems.add(
                path, "should be a rule with `name`, `when` and `then`, or one word with its options"
            )
            continue
        if entry is None:
            continue
        name = rule_name(entry)
        if name and taken.setdefault(name, n) != n:
            wrong = f"policies[{taken[name]}] has this name already"
            read.problems.add((*path, "name"), wrong, "A refusal names its rule: names are unique")
        entries.append(entry)
    return tuple(entries)
