"""Read `policies:` — a rule with `when` is one of CEL, anything else is a word with its options, as everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from recgate.config.entries import EntryReader
from recgate.config.problems import KeyPath, suggestion
from recgate.config.sections import PluginEntry
from recgate.policy.obligations import MASKS

__all__ = ["DEFAULT_LANGUAGE", "read_policies", "rule_name"]

DEFAULT_LANGUAGE: Final = "cel"
_RULE_KEYS: Final = frozenset({"name", "when", "then", "message"})


def rule_name(entry: PluginEntry) -> str:
    """The name that refusals and audit events give, or the empty string for a language whose entries have none."""
    name = getattr(entry.options, "name", "")
    return name if isinstance(name, str) else ""


def read_policies(value: object, read: EntryReader, masks: Iterable[str]) -> tuple[PluginEntry, ...]:
    """Give the entries in their order; problems are noted, and two rules of one name are one.

    `masks` are the names that an allow may demand.
    """
    known = tuple(masks)
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
        _check_masks(entry, path, read, known)
        entries.append(entry)
    return tuple(entries)


def _check_masks(entry: PluginEntry, path: KeyPath, read: EntryReader, known: tuple[str, ...]) -> None:
    """Refuse a demand for a mask that is not there: it would refuse every session that it is meant for."""
    # Asked for by name: the model of `then:` is built of this package, and cannot be imported here.
    obligations: object = getattr(getattr(entry.options, "then", None), "obligations", None)
    if not isinstance(obligations, dict):
        return
    for name in cast("dict[str, tuple[str, ...]]", obligations).get(MASKS, ()):
        if name not in known:
            read.problems.add(
                (*path, "then", "allow", MASKS),
                f"there is no mask `{name}`",
                suggestion(name, known, noun="Masks are") if known else "Add it to `masks:`",
            )
