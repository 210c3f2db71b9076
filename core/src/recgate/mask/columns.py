"""Masks by origin: which columns must not be seen, by name, however what they hold gets into a result.

What a name matches is settled here, the same for every protocol; following a column through a query is the protocol's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from recgate.decisions import ALLOW, Decision
from recgate.mask.replacing import Replacer

if TYPE_CHECKING:
    from recgate.providers import PolicyRequest

__all__ = ["COLUMNS", "ColumnMask", "ColumnPattern", "ColumnPolicy", "ColumnRefusal", "strictest"]

# The key among a request's details under which a protocol that follows columns says why it cannot be let through with
# its columns masked: a `ColumnRefusal`, or None where it can. Whoever looks must find it: a missing key is a no.
COLUMNS: Final = "columns"

_PART: Final = re.compile(r'"(?P<quoted>(?:[^"\0]|"")+)"|(?P<plain>[^".\s\0]+)')


@dataclass(frozen=True)
class ColumnPattern:
    """`*.ssn`, `customers.email` or `sales.customers.email`: without a schema it is meant in every schema.

    `*` stands for any characters of one name and `?` for one of them; a name in double quotes is taken as it is. Upper
    and lower case are the same here, though not in every database: the doubtful column is masked.
    """

    text: str

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no such pattern."""
        if len(self._parts) not in (2, 3):
            raise ValueError("should be TABLE.COLUMN or SCHEMA.TABLE.COLUMN, such as `*.ssn`")

    def __str__(self) -> str:
        return self.text

    @cached_property
    def _parts(self) -> tuple[re.Pattern[str], ...]:
        parts: list[re.Pattern[str]] = []
        position = 0
        while True:
            found = _PART.match(self.text, position)
            if found is None:
                return ()
            parts.append(_compiled(found))
            position = found.end()
            if position == len(self.text):
                return tuple(parts)
            if self.text[position] != ".":
                return ()
            position += 1

    def matches(self, schema: str, table: str, column: str) -> bool:
        """Whether a column is meant."""
        names = (schema, table, column)[-len(self._parts) :]
        return all(part.fullmatch(name) for part, name in zip(self._parts, names, strict=True))


def _compiled(found: re.Match[str]) -> re.Pattern[str]:
    if found["quoted"] is not None:
        pattern = re.escape(found["quoted"].replace('""', '"'))
    else:
        pattern = re.escape(found["plain"]).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """One mask's columns, and what becomes of their values.

    Attributes:
        whole: what cannot be traced is masked whole, and not refused.
        predicates: its columns may decide what is found, joined and ordered.
        trusted: names of functions that the operator answers for: they keep and show nothing but what they are given.
    """

    name: str
    patterns: tuple[ColumnPattern, ...]
    replacer: Replacer
    whole: bool = False
    predicates: bool = True
    trusted: frozenset[str] = frozenset()

    def covers(self, schema: str, table: str, column: str) -> bool:
        """Whether a column is among them."""
        return any(pattern.matches(schema, table, column) for pattern in self.patterns)


def strictest(masks: Sequence[ColumnMask]) -> ColumnMask:
    """Of masks that want the same value, give the one that hides most."""
    return min(masks, key=lambda mask: mask.replacer.rank)


@dataclass(frozen=True, slots=True)
class ColumnRefusal:
    """Why a request is not let through: the mask, and words that are fit for the client."""

    rule: str
    reason: str


class ColumnPolicy:
    """The policy of a session with such masks: refuses what its protocol cannot mask."""

    name = "masks"

    def decide(self, request: PolicyRequest) -> Decision:
        """Deny what the protocol says cannot be let through, and what it says nothing about."""
        if request.request.kind == "session":
            return ALLOW
        said = request.request.details.get(COLUMNS, "")
        if said is None:
            return ALLOW
        if isinstance(said, ColumnRefusal):
            return Decision.deny(said.reason, rule=said.rule)
        return Decision.deny("nothing says for certain which columns this shows", rule=self.name)

    def judges(self, kind: str) -> bool:
        """Every kind of request may show something."""
        return kind != "session"
