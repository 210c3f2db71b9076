"""What a name can mean where it stands: the items of FROM, level by level, and the values of their columns.

Names are looked up as the server does it (`colNameToVar`, `refnameNamespaceItem`): the innermost level that knows one
decides. Where a column's name or the number of columns is not known, it may be any name, and levels further out count
as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from recgate_postgres.origin.model import Origin, Untraceable

__all__ = [
    "NOTHING",
    "Columns",
    "Item",
    "Scope",
    "Value",
    "column_of",
    "combined",
    "either",
    "joined",
    "worked_out",
]

# Columns that every table has besides its own; they hold nothing of a row's values.
_SYSTEM: Final = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"))


class Value(NamedTuple):
    """What a value may come from. `plain` says that it is a column's value as it is."""

    origins: frozenset[Origin]
    plain: bool = False


NOTHING: Final = Value(frozenset())


def joined(sets: Iterable[frozenset[Origin]]) -> frozenset[Origin]:
    """Give all of several sets. Equal ones are put together once: a set knows its hash, and large ones come again."""
    found = {each for each in sets if each}
    if len(found) == 1:
        return found.pop()
    none: frozenset[Origin] = frozenset()
    return none.union(*found)


def worked_out(values: Iterable[Value]) -> Value:
    """Give the value that is worked out of others."""
    return Value(joined(each.origins for each in values))


def either(values: Iterable[Value]) -> Value:
    """Give the value that is one of several as it is. One that somebody wrote down is not a column's."""
    found = list(values)
    if len(found) == 1:
        return found[0]
    return Value(joined(each.origins for each in found), all(each.plain for each in found))


class Columns:
    """What a query or an item of FROM gives. A name of None may be any. Nothing in it changes.

    `rest`, if there is one, is what any further column may hold: how many there are is not known.
    """

    __slots__ = ("_all", "_places", "names", "rest", "values")

    def __init__(
        self, names: tuple[str | None, ...], values: tuple[Value, ...], rest: Value | None = None
    ) -> None:
        self.names = names
        self.values = values
        self.rest = rest
        self._all: Value | None = None
        self._places: dict[str | None, list[Value]] | None = None

    def all(self) -> Value:
        """Give the value that is worked out of the whole row."""
        if self._all is None:
            self._all = worked_out(self.values if self.rest is None else (*self.values, self.rest))
        return self._all

    def named(self, name: str | None) -> list[Value]:
        """Give the values of all columns of a name."""
        if self._places is None:
            self._places = {}
            for own, value in zip(self.names, self.values, strict=True):
                self._places.setdefault(own, []).append(value)
        return self._places.get(name, [])

    def same(self, other: Columns) -> bool:
        """Whether another holds the same, whatever it is called."""
        return self.values == other.values and self.rest == other.rest

    def renamed(self, names: Iterable[str]) -> Columns:
        """Give the same with other names for the first of them.

        Raises:
            Untraceable: there are more names than columns.
        """
        given = tuple(names)
        if self.rest is not None:
            # Which of them has which place is not known either.
            every = self.all()
            return Columns(given, (every,) * len(given), every)
        if len(given) > len(self.values):
            raise Untraceable("it names more columns than there are")
        return Columns((*given, *self.names[len(given) :]), self.values)


def combined(left: Columns, right: Columns) -> Columns:
    """Give what UNION and its like make of two: columns by their place, names of the left."""
    if len(left.values) == len(right.values) and left.rest is None and right.rest is None:
        return Columns(left.names, tuple(map(either, zip(left.values, right.values, strict=True))))
    every = worked_out((left.all(), right.all()))
    return Columns(left.names, (every,) * len(left.names), every)


class Item(NamedTuple):
    """One item of FROM.

    Attributes:
        name: what it is asked for under, or "" where it has no name.
        schema: that of a table without an alias, else "".
        bare: whether its columns are found by their name alone.
        table: whether it has the columns of the system.
    """

    name: str
    columns: Columns
    schema: str = ""
    bare: bool = True
    table: bool = False


class Scope:
    """One level of names. `items` are in order; `named` are the queries that WITH has given here."""

    __slots__ = ("items", "named", "parent")

    def __init__(self, parent: Scope | None = None, items: Iterable[Item] = ()) -> None:
        self.parent = parent
        self.items: list[Item] = list(items)
        self.named: dict[str, object] = {}

    def levels(self) -> Iterator[Scope]:
        """Give this level, and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def query(self, name: str) -> object | None:
        """Give the query that WITH has given a name, or None."""
        for level in self.levels():
            if name in level.named:
                return level.named[name]
        return None

    def bare(self, name: str) -> Value | None:
        """Give the value of a column that is written as a name alone, or None where there is none."""
        doubtful: list[Value] = []
        for level in self.levels():
            found, maybe = _in_items((item for item in level.items if item.bare), name)
            if found:
                return either([*found, *doubtful])
            doubtful += maybe
        if doubtful:
            return worked_out(doubtful)
        return NOTHING if name in _SYSTEM else None

    def item(self, name: str, schema: str = "") -> Item | None:
        """Give the item of a name; where `schema` is said, that of the table of this name and schema."""
        for level in self.levels():
            for item in level.items:
                if item.name == name and (not schema or item.schema == schema):
                    return item
        return None


def column_of(item: Item, name: str) -> Value | None:
    """Give the value of an item's column, or None where it has none of that name."""
    found, maybe = _in_items((item,), name)
    if found:
        return either(found)
    if maybe:
        return worked_out(maybe)
    return NOTHING if item.table and name in _SYSTEM else None


def _in_items(items: Iterable[Item], name: str) -> tuple[list[Value], list[Value]]:
    """Give what certainly has a name, and what may have it."""
    found: list[Value] = []
    maybe: list[Value] = []
    for item in items:
        columns = item.columns
        certain = columns.named(name)
        found += certain
        if not certain:
            maybe += columns.named(None)
        if columns.rest is not None:
            maybe.append(columns.rest)
    return found, maybe
