"""The words that the three halves of origin masks share: the catalog, the lineage of a statement, the masks.

The catalog gives `Catalog`, `recgate_postgres.origin` traces a statement's text through it to `Traced`, and the masks
say from that which result columns must not be seen and which statements are refused. Everything here is plain data, so
that the relay stays pure; what is read from a target is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from recgate.errors import RecgateError

__all__ = ["ANYTHING", "Catalog", "Escape", "Function", "Origin", "Relation", "Traced", "Type", "Untraceable"]


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """A column of a relation that holds values itself: a table, partition, foreign table or materialised view."""

    schema: str
    table: str
    column: str


# What may be a value of any column: statistics, chunks of TOAST. A mask of any column covers it.
ANYTHING: Final = Origin("*", "*", "*")


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation as `pg_class` has it.

    Attributes:
        kind: `relkind`: `r`, `p`, `v`, `m`, `f`, `c`, `S`.
        columns: names of the columns that are not dropped, in the order of `attnum`; `numbers` are theirs.
        types: their types' object ids.
        definition: a view's or materialised view's query, as `pg_get_viewdef` gives it. Every name in it is qualified
            but those of `pg_catalog`: it means what it says under the path `("pg_catalog",)`.
        parents: object ids of the relations that this inherits from or is a partition of.
        active: whether writing to it does more: by a trigger, a rule, a foreign key that writes to another table, or a
            function that is not built in (a default, a check, an index).
        generated: its generated columns, stored or not, each with its expression as `pg_get_expr` gives it; names in
            it are qualified as in `definition`, and columns stand bare.
        guarded: whether reading it runs functions that are not built in (row security policies of the table's owner).
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[str, ...]
    numbers: tuple[int, ...]
    types: tuple[int, ...]
    definition: str = ""
    parents: tuple[int, ...] = ()
    active: bool = False
    generated: tuple[tuple[str, str], ...] = ()
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function as `pg_proc` has it. `kind` is `prokind`; `built_in` says that the server brought it itself.

    `definition` is what `pg_get_functiondef` gives, of those in SQL that are not built in. The body of one that was not
    written with BEGIN ATOMIC means what it says under the path at the time of its call.
    """

    oid: int
    schema: str
    name: str
    kind: str
    language: str
    built_in: bool
    set_returning: bool = False
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Type:
    """A type as `pg_type` has it.

    Attributes:
        kind: `typtype`: `b`, `c`, `d`, `e`, `p`, `r`, `m`.
        relation: object id of the relation whose row it is, for a composite type; else 0.
        element: object id of the element's type, for an array; else 0.
        base: object id of the type that a domain is over; else 0.
        active: whether making a value of it, or of it something else, runs a function that is not built in: a domain's
            check, a cast. One of an extension in C does not count.
    """

    oid: int
    schema: str
    name: str
    kind: str
    relation: int = 0
    element: int = 0
    base: int = 0
    active: bool = False


class Catalog(Protocol):
    """What one database holds, as it was at one moment. Look-ups are by exact name, unquoted and case-sensitive."""

    @property
    def version(self) -> int:
        """The server's major version."""
        ...

    @property
    def generation(self) -> int:
        """A number that changes whenever anything here does."""
        ...

    def relation(self, schema: str, name: str) -> Relation | None:
        """Give a relation, or None."""
        ...

    def relation_of(self, oid: int) -> Relation | None:
        """Give a relation by its object id, or None."""
        ...

    def children(self, oid: int) -> Sequence[Relation]:
        """Give the relations that inherit directly from one."""
        ...

    def functions(self, schema: str, name: str) -> Sequence[Function]:
        """Give every function of that name, whatever its arguments."""
        ...

    def operators(self, schema: str, name: str) -> Sequence[Function]:
        """Give the functions behind the operators of that name that are not built in.

        An operator without a schema is looked for in the whole path, and the best fit for its operands is taken: one of
        a later schema may go before one of `pg_catalog`.
        """
        ...

    def type_named(self, schema: str, name: str) -> Type | None:
        """Give a type, or None."""
        ...

    def type_of(self, oid: int) -> Type | None:
        """Give a type by its object id, or None."""
        ...

    def operator(self, name: str) -> bool:
        """Whether any schema has an operator of that name that is not the server's own."""
        ...


@dataclass(frozen=True, slots=True)
class Escape:
    """A way on which values of `origins` leave a statement other than by a column of its result.

    `way` says it for a reader: `CREATE TABLE AS`, `INSERT into public.copies`, `function dblink`.
    """

    origins: frozenset[Origin]
    way: str


@dataclass(frozen=True, slots=True)
class Traced:
    """What one statement does with values.

    Attributes:
        columns: for each column of its result, in order, the origins whose values may show in it; None for a statement
            that has no result.
        escapes: where else values go.
        predicates: origins that only decide what is found, joined, grouped or ordered.
        changes: whether it creates, alters or drops something that later statements refer to.
        runs: names of prepared statements and cursors that it runs, as `("statement" or "cursor", name)`: its result is
            theirs.
        made: names that it gives a meaning, with what they then do.
    """

    columns: tuple[frozenset[Origin], ...] | None = None
    plain: tuple[bool, ...] = ()
    loose: bool = False
    read: frozenset[Origin] = frozenset()
    escapes: tuple[Escape, ...] = ()
    predicates: frozenset[Origin] = frozenset()
    changes: bool = False
    runs: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, str, Traced], ...] = ()


class Untraceable(RecgateError):
    """A statement whose values cannot be followed for certain. Says what was met, never a value."""
