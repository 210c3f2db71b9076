"""A session's own view of the catalog: what everybody sees, and in front of it its temporary objects, by name alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from recgate_postgres.origin.model import Function, Relation, Type
from recgate_postgres.origin.snapshot import Snapshot

__all__ = ["HERE", "TEMPORARY", "Overlay"]

# The kind of a relation that is there, goes before others of its name, and can be followed nowhere.
TEMPORARY: Final = "t"
# What a path has in the place of the session's own temporary schema: no schema can be called that. Its name is the
# session's own, and would make whoever does not know this overlay doubt every name.
HERE: Final = ""
_ALIASES: Final = ("pg_temp", HERE)


class Overlay:
    """A `Catalog`."""

    __slots__ = ("__weakref__", "_relations", "_schemas", "_types", "generation", "under", "version")

    def __init__(
        self, under: Snapshot, path: Sequence[str], temporary: tuple[frozenset[str], frozenset[str]]
    ) -> None:
        """`temporary` are the names of the session's temporary relations, and of its temporary types."""
        self.under = under
        self.version = under.version
        self._schemas = frozenset((*_ALIASES, *(each for each in path if each.startswith("pg_temp_"))))
        self._relations, self._types = temporary
        # What is kept under this number hangs on the temporary objects as well.
        self.generation = hash((under.generation, temporary)) if any(temporary) else under.generation

    def relation(self, schema: str, name: str) -> Relation | None:
        """Give a relation, or None."""
        if schema in self._schemas:
            return Relation(0, schema, name, TEMPORARY, (), (), ()) if name in self._relations else None
        return self.under.relation(schema, name)

    def relation_of(self, oid: int) -> Relation | None:
        """Give a relation by its object id, or None."""
        return self.under.relation_of(oid)

    def children(self, oid: int) -> Sequence[Relation]:
        """Give the relations that inherit directly from one. A temporary child is known to nobody but its session."""
        return self.under.children(oid)

    def functions(self, schema: str, name: str) -> Sequence[Function]:
        """Give every function of that name, whatever its arguments."""
        return self.under.functions(schema, name)

    def operators(self, schema: str, name: str) -> Sequence[Function]:
        """Give the functions behind the operators of that name that are not built in."""
        return self.under.operators(schema, name)

    def operator(self, name: str) -> bool:
        """Whether any schema has an operator of that name that is not the server's own."""
        return self.under.operator(name)

    def type_named(self, schema: str, name: str) -> Type | None:
        """Give a type, or None."""
        if schema in self._schemas:
            return Type(0, schema, name, "d", active=True) if name in self._types else None
        return self.under.type_named(schema, name)

    def type_of(self, oid: int) -> Type | None:
        """Give a type by its object id, or None."""
        return self.under.type_of(oid)
