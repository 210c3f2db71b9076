"""An act that is opaque only because of names that a catalog knows: of whoever has one, it may be asked again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from recgate.policy import Act

__all__ = ["Hinge", "Hinged", "told"]

# What a name is of (`function`, `operator`, `type`), and its words, at most a schema before the last.
Hinge: TypeAlias = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Hinged(Act):
    """An opaque act that would not be one if each of `hinges` did no more than is known."""

    hinges: tuple[Hinge, ...] = ()


def told(act: Act, *, opaque: bool) -> Act:
    """Give an act without its hinges, once they were looked at."""
    if not isinstance(act, Hinged):
        return act if act.opaque or not opaque else replace(act, opaque=True)
    return Act(
        act.verb,
        act.objects,
        act.tables,
        act.columns_read,
        act.columns_written,
        act.functions,
        act.has_where,
        act.has_limit,
        opaque,
        act.kind,
        act.path,
        act.direction,
    )
