"""What is known while one statement is traced, and how the names in it are resolved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from recgate_postgres.builtin import functions, operators
from recgate_postgres.origin.model import Catalog, Escape, Function, Origin, Relation, Untraceable
from recgate_postgres.origin.safe import Safe, safe
from recgate_postgres.origin.scope import NOTHING, Value, joined

if TYPE_CHECKING:
    from recgate_postgres.grammar import Json
    from recgate_postgres.origin.scope import Columns, Scope

__all__ = ["MAX_STEPS", "Budget", "Seen", "Work", "words"]

# Nodes and names looked at for one text, the views that it reads included. Usual statements take a few hundred; the
# most that are allowed take about 0.3 s, once for each text.
MAX_STEPS: Final = 50_000
_SYSTEM: Final = "pg_catalog"
_NATIVE: Final = ("c", "internal")  # nobody but a superuser makes a function in these


class Budget:
    """What one text may cost, over all statements and views that it reaches."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_STEPS) -> None:
        self.left = left

    def spend(self, steps: int = 1) -> None:
        """Take some off.

        Raises:
            Untraceable: nothing is left.
        """
        self.left -= steps
        if self.left < 0:
            raise Untraceable("it is too large to follow: ask for less at once")


class Seen(NamedTuple):
    """What reading a relation does: its columns, and besides them what its definition looks at."""

    columns: Columns
    predicates: frozenset[Origin] = frozenset()
    read: frozenset[Origin] = frozenset()
    escapes: tuple[Escape, ...] = ()


Select: TypeAlias = "Callable[[Work, Json, Scope], Columns]"
Change: TypeAlias = "Callable[[Work, str, Json, Scope], Columns]"


@dataclass(slots=True)
class Work:
    """One statement on its way.

    Attributes:
        path: schemas that names are looked for in, as `current_schemas(true)` gives them.
        select: traces a query, `change` a statement that writes and gives columns by RETURNING, by its kind; passed in,
            since queries and expressions hold each other.
        within: object ids of the views that are being read, and of functions, below zero.
        given: what the parameters may hold: those of a statement hold nothing of the database.
        trusted: names of functions that somebody answers for, with or without their schema.
        seen: what is known of relations, by object id and whether children are left out; kept by the caller.
        changes: whether it makes something that later statements can name.
        unsettled: whether it changes how later statements are read.
    """

    catalog: Catalog
    path: tuple[str, ...]
    select: Select
    change: Change
    trusted: frozenset[str] = frozenset()
    budget: Budget = field(default_factory=Budget)
    seen: dict[tuple[int, bool], Seen] = field(default_factory=dict)
    within: frozenset[int] = frozenset()
    given: Value = NOTHING
    predicates: set[frozenset[Origin]] = field(default_factory=set)
    read: set[frozenset[Origin]] = field(default_factory=set)
    escapes: dict[Escape, None] = field(default_factory=dict)
    changes: bool = False
    unsettled: bool = False

    def escape(self, origins: frozenset[Origin], way: str) -> None:
        """Note that values leave on another way than the result. Of none, nothing is noted."""
        if origins:
            self.escapes[Escape(origins, way)] = None

    def decide(self, value: Value) -> None:
        """Note that a value decides what is found, joined, grouped or ordered."""
        self.predicates.add(value.origins)

    def note(self, value: Value) -> None:
        """Note that a value is read."""
        self.read.add(value.origins)

    def apart(self, trace: Callable[[], Columns]) -> Seen:
        """Trace something for itself; gives its columns with all that would have been noted."""
        outside = self.predicates, self.read, self.escapes
        self.predicates, self.read, self.escapes = set(), set(), {}
        try:
            columns = trace()
            return Seen(columns, joined(self.predicates), joined(self.read), tuple(self.escapes))
        finally:
            self.predicates, self.read, self.escapes = outside

    def use(self, seen: Seen) -> Columns:
        """Note what reading a relation does, and give its columns."""
        self.predicates.add(seen.predicates)
        self.read.add(seen.read)
        self.escapes.update(dict.fromkeys(seen.escapes))
        return seen.columns

    # -- names -------------------------------------------------------------------------------------------------------

    def schemas(self) -> tuple[str, ...]:
        """Give the schemas of the path, with the server's own first unless it is said elsewhere."""
        return self.path if _SYSTEM in self.path else (_SYSTEM, *self.path)

    def relation(self, schema: str, name: str) -> Relation:
        """Give the relation that a name means.

        Raises:
            Untraceable: there is none, or it may be a temporary one.
        """
        self.budget.spend()
        for each in (schema,) if schema else self.schemas():
            if each.startswith("pg_temp"):
                raise Untraceable(f"{name} may be a temporary table: write another's schema before its name")
            found = self.catalog.relation(each, name)
            if found is not None:
                return found
        raise Untraceable(f"{schema}.{name} is not known" if schema else f"{name} is not known in any schema")

    def function(self, names: list[str]) -> Safe:
        """Give what is known of a function.

        Raises:
            Untraceable: nothing is: it is somebody's own, or not known to leave values where they are.
        """
        self.budget.spend()
        name = names[-1]
        schema = names[-2] if len(names) > 1 else ""
        built_in = known = safe(name if schema in ("", _SYSTEM) else f"{schema}.{name}")
        for each in self.own(names):
            known = self._own(each, known or Safe(columns=None), built_in is not None)
        if known is not None:
            return known
        if schema in ("", _SYSTEM) and name in functions():
            raise Untraceable(f"the function {name} gives out what cannot be followed")
        raise Untraceable(f"the function {'.'.join(names[-2:])} is not known")

    def several(self, names: list[str]) -> bool:
        """Whether a function may give several rows."""
        schemas = (names[-2],) if len(names) > 1 else self.schemas()
        return any(
            each.set_returning for schema in schemas for each in self.catalog.functions(schema, names[-1])
        )

    def own(self, names: list[str]) -> list[Function]:
        """Give the functions of a name that are not the server's."""
        schemas = (names[-2],) if len(names) > 1 else self.schemas()
        return [
            each
            for schema in schemas
            for each in self.catalog.functions(schema, names[-1])
            if not each.built_in
        ]

    def _own(self, function: Function, known: Safe, built_in: bool) -> Safe:
        """Add one that is not the server's to what is known of a name; `built_in` says that the server has it too."""
        said = f"{function.schema}.{function.name}"
        if said in self.trusted or function.name in self.trusted:
            return known._replace(columns=None)
        if function.definition and function.language == "sql":
            return known._replace(columns=None, bodies=(*known.bodies, function))
        if built_in and function.language in _NATIVE:
            return known._replace(columns=None)  # an extension's, for types of its own
        raise Untraceable(f"the function {said} is not the server's own, and nobody has said that it is safe")

    def operator(self, name: list[Json]) -> None:
        """See that an operator does no more than compute: one of the server's own, or an extension's in C.

        Raises:
            Untraceable: it may be another.
        """
        said = words(name)
        schemas = said[:-1] or self.schemas()
        known = said[:-1] in ([], [_SYSTEM]) and said[-1] in operators()
        behind = [each for schema in schemas for each in self.catalog.operators(schema, said[-1])]
        foreign = [each for each in behind if each.language not in _NATIVE]
        if foreign or not (known or behind):
            raise Untraceable(f"the operator {'.'.join(said)} is not the server's own")


def words(names: list[Json]) -> list[str]:
    """Give the words of a name that is written as a list of strings."""
    return [each["String"]["sval"] for each in names]
