"""What a relation of the catalog gives: its columns, each with all origins that its values may have.

A table's column is an origin itself, and so is that of the same name in whatever it inherits from or is a partition of,
and in whatever inherits from it: a mask on either side counts. A view is its query; a materialised view is both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from recgate_postgres.grammar import Json, syntax
from recgate_postgres.origin.model import ANYTHING, Origin, Relation, Untraceable
from recgate_postgres.origin.scope import Columns, Item, Scope, Value, joined, worked_out
from recgate_postgres.origin.work import Seen, Work

__all__ = ["MAX_FAMILY", "columns_of", "derived"]

MAX_FAMILY: Final = 2_000  # relations that inherit from each other; of more, every column is held for any
MAX_ORIGINS: Final = 100_000  # of one relation: columns of all of its family
MAX_WITHIN: Final = 64  # views inside of views
_TABLES: Final = frozenset("rpfmS")
# Columns of the system that hold values of other tables' columns.
_COPIES: Final = {
    "pg_attribute": frozenset(("attmissingval",)),
    "pg_statistic": frozenset(f"stavalues{number}" for number in range(1, 6)),
    "pg_statistic_ext_data": frozenset(("stxdmcv", "stxdexpr")),
}


def columns_of(work: Work, relation: Relation, *, alone: bool) -> Columns:
    """Give a relation's columns; `alone` leaves its children out (ONLY).

    Raises:
        Untraceable: it is of a kind that cannot be read, or its definition cannot be followed.
    """
    seen = work.seen.get((relation.oid, alone))
    if seen is None:
        if relation.oid in work.within or len(work.within) >= MAX_WITHIN:
            raise Untraceable(f"the view {relation.schema}.{relation.name} goes too deep")
        if relation.kind == "v":
            seen = _view(work, relation)
        elif relation.kind in _TABLES:
            seen = _table(work, relation, alone)
        else:
            raise Untraceable(f"{relation.schema}.{relation.name} is no table and no view")
        work.seen[relation.oid, alone] = seen
    work.budget.spend(len(seen.columns.names))
    return work.use(seen)


def _within(work: Work, relation: Relation) -> Work:
    """Give what a relation's own definition is read with: every name in it is qualified."""
    return Work(
        work.catalog,
        ("pg_catalog",),
        work.select,
        work.change,
        work.trusted,
        work.budget,
        work.seen,
        work.within | {relation.oid},
    )


def _seen(columns: Columns, inner: Work) -> Seen:
    return Seen(columns, joined(inner.predicates), joined(inner.read), tuple(inner.escapes))


def _view(work: Work, relation: Relation) -> Seen:
    inner = _within(work, relation)
    return _seen(Columns(relation.columns, tuple(_defined(inner, relation))), inner)


def _defined(inner: Work, relation: Relation) -> list[Value]:
    """Give the values of the query that a relation is defined by."""
    name = f"{relation.schema}.{relation.name}"
    parsed = syntax(relation.definition)
    if parsed is None or len(parsed) != 1 or "SelectStmt" not in parsed[0]["stmt"]:
        raise Untraceable(f"the definition of {name} cannot be read")
    try:
        columns = inner.select(inner, parsed[0]["stmt"]["SelectStmt"], Scope())
    except Untraceable as exc:
        raise Untraceable(f"{exc} (in {name})") from None
    if columns.rest is None and len(columns.values) == len(relation.columns):
        return list(columns.values)
    return [columns.all()] * len(relation.columns)


def _table(work: Work, relation: Relation, alone: bool) -> Seen:
    inner = _within(work, relation)
    family = _family(work, relation, alone)
    values: list[Value] = []
    for column in relation.columns:
        if family is None:
            values.append(Value(frozenset((ANYTHING,)), plain=True))
            continue
        origins = frozenset(Origin(each.schema, each.name, column) for each, own in family if column in own)
        values.append(Value(origins, plain=True))
    if relation.schema == "pg_catalog" and relation.name in _COPIES:
        copies = _COPIES[relation.name]
        for place, column in enumerate(relation.columns):
            if column in copies:
                values[place] = Value(frozenset((ANYTHING,)))
    for each, _ in family or ():
        for column, expression in each.generated:
            if column in relation.columns:
                place = relation.columns.index(column)
                values[place] = worked_out((values[place], derived(inner, each, expression)))
    if relation.kind == "m":
        defined = _defined(inner, relation)
        values = [
            Value(own.origins | value.origins, value.plain or not value.origins)
            for own, value in zip(values, defined, strict=True)
        ]
    return _seen(Columns(relation.columns, tuple(values)), inner)


def derived(work: Work, relation: Relation, expression: str) -> Value:
    """Give the value of an expression over a relation's own columns, as a generated column has it.

    Raises:
        Untraceable: it cannot be read.
    """
    parsed = syntax(f"SELECT {expression}")
    if parsed is None or len(parsed) != 1:
        raise Untraceable(f"an expression of {relation.schema}.{relation.name} cannot be read")
    own = tuple(
        Value(frozenset((Origin(relation.schema, relation.name, column),)), plain=True)
        for column in relation.columns
    )
    around = Scope(None, [Item(relation.name, Columns(relation.columns, own))])
    query: Json = parsed[0]["stmt"]["SelectStmt"]
    return work.select(work, query, around).all()


def _family(work: Work, relation: Relation, alone: bool) -> list[tuple[Relation, frozenset[str]]] | None:
    """Give a relation with all that it inherits from and, unless `alone`, all that inherit; None for too many.

    Each comes with its columns.
    """
    found = {relation.oid: relation}
    if not alone and not _spread(work, found, work.catalog.children):
        return None

    def parents(oid: int) -> Iterable[Relation]:
        known = (work.catalog.relation_of(each) for each in found[oid].parents)
        return [each for each in known if each is not None]

    if not _spread(work, found, parents) or len(found) * len(relation.columns) > MAX_ORIGINS:
        return None
    return [(each, frozenset(each.columns)) for each in found.values()]


def _spread(work: Work, found: dict[int, Relation], next_to: Callable[[int], Iterable[Relation]]) -> bool:
    """Add all that can be reached; whether these are not too many."""
    pending = list(found)
    while pending:
        for each in next_to(pending.pop()):
            if each.oid not in found:
                work.budget.spend()
                found[each.oid] = each
                pending.append(each.oid)
                if len(found) > MAX_FAMILY:
                    return False
    return True
