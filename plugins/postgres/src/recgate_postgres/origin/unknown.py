"""The catalog of a database of which nothing is known for certain: whoever asks it anything is in doubt.

A statement that names nothing (BEGIN, COMMIT, SET) is traced with it all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recgate_postgres.origin.model import Function, Relation, Type, Untraceable
from recgate_postgres.origin.sights import Doubt, Sight

if TYPE_CHECKING:
    from recgate.model import TargetInfo

__all__ = ["UnknownCatalog", "Unsighted"]


class UnknownCatalog:
    """Implements `Catalog`; every look-up raises `Untraceable` with the reason why nothing is known."""

    def __init__(self, reason: str, version: int) -> None:
        self._reason = reason
        self.version = version
        self.generation = 0

    def relation(self, schema: str, name: str) -> Relation | None:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)

    def relation_of(self, oid: int) -> Relation | None:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)

    def children(self, oid: int) -> Sequence[Relation]:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)

    def operators(self, schema: str, name: str) -> Sequence[Function]:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)

    def operator(self, name: str) -> bool:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)

    def type_named(self, schema: str, name: str) -> Type | None:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)

    def type_of(self, oid: int) -> Type | None:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)

    def functions(self, schema: str, name: str) -> Sequence[Function]:
        """Raise `Untraceable`."""
        raise Untraceable(self._reason)


class Unsighted:
    """Implements `Sights` where nobody reads a target's catalog: always in doubt."""

    def __init__(self, target: TargetInfo) -> None:
        self._doubt = Doubt(f"the catalog of {target.name} is not read")

    def sight(self, text: bytes) -> Doubt:
        """Give the doubt."""
        return self._doubt

    def holds(self, sight: Sight) -> bool:
        """Nothing that was never given holds."""
        return False

    def runs(self, text: bytes, changes: bool) -> None:
        """Nothing could be less known."""
