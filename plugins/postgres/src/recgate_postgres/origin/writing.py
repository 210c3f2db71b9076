"""INSERT, UPDATE, DELETE and MERGE: where values go that are written, and what RETURNING gives back.

A value that is written into the column that it comes from, as it is, goes nowhere. Any other leaves: what is written
can be read again where nobody knows any more whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin.expressions import everything, only, value
from recgate_postgres.origin.model import Relation, Untraceable
from recgate_postgres.origin.scope import NOTHING, Columns, Item, Scope, Value, column_of, worked_out
from recgate_postgres.origin.selecting import targets
from recgate_postgres.origin.sources import source, table
from recgate_postgres.origin.subqueries import with_clause
from recgate_postgres.origin.work import Work

__all__ = ["change", "target"]


class _Target:
    """What a statement writes to: `item` has its columns as they are, `written` what goes into them."""

    __slots__ = ("item", "relation", "written")

    def __init__(self, item: Item, relation: Relation) -> None:
        self.item = item
        self.relation = relation
        self.written: dict[str, list[Value]] = {}

    @property
    def name(self) -> str:
        return f"{self.relation.schema}.{self.relation.name}"

    def after(self) -> Columns:
        """Give the columns of a row, whether it was there before or is written now."""
        columns = self.item.columns
        found = [
            worked_out((own, *self.written[name])) if name in self.written else own
            for name, own in zip(columns.names, columns.values, strict=True)
        ]
        return Columns(columns.names, tuple(found), columns.rest)


def change(work: Work, kind: str, body: Json, around: Scope) -> Columns:
    """Trace a statement that writes to a table; gives the columns of its RETURNING, none where it has none.

    Raises:
        Untraceable: something in it cannot be followed.
    """
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise Untraceable(f"{kind} is not known here")
    work.budget.spend()
    scope = Scope(around)
    with_clause(work, body, scope)
    return handler(work, body, scope)


def target(work: Work, body: Json) -> tuple[Item, Relation]:
    """Give the table that a statement writes to. An error may quote the whole row.

    Raises:
        Untraceable: it is not known, or it is the catalog.
    """
    relation = work.relation(body.get("schemaname", ""), body["relname"])
    if relation.schema in ("pg_catalog", "information_schema"):
        raise Untraceable(
            f"{relation.schema}.{relation.name} is the catalog, which says what everything means"
        )
    item = table(work, body)
    work.note(item.columns.all())
    return item, relation


def _begin(work: Work, body: Json) -> _Target:
    return _Target(*target(work, body["relation"]))


def _write(work: Work, done: _Target, verb: str, column: str, written: Value) -> None:
    """Note what goes into one column."""
    own = column_of(
        done.item._replace(columns=Columns(done.relation.columns, done.item.columns.values)), column
    )
    if own is None:
        raise Untraceable(f"the column {column} of {done.name} is not known")
    done.written.setdefault(column, []).append(written)
    gone = written.origins - own.origins if written.plain else written.origins
    work.escape(gone, f"{verb} {done.name}")


def _assign(work: Work, done: _Target, nodes: list[Json], scope: Scope) -> None:
    for each in nodes:
        node: Json = each["ResTarget"]
        written = value(work, node["val"], scope)
        if "indirection" in node:
            written = worked_out((written, everything(work, _indices(node["indirection"]), scope)))
        _write(work, done, "UPDATE of", node["name"], written)


def _indices(nodes: list[Json]) -> list[Json]:
    return [each for each in nodes if "A_Indices" in each]


def _fires(work: Work, done: _Target, *, existing: bool) -> None:
    """Note that triggers and rules see what is written, and the row that was there before."""
    if done.relation.active:
        seen = [value for several in done.written.values() for value in several]
        row = [done.item.columns.all()] if existing else []
        work.escape(worked_out((*seen, *row)).origins, f"a trigger or rule of {done.name}")


def _decide(work: Work, node: Json | None, scope: Scope) -> None:
    if node:
        work.decide(value(work, node, scope))


def _returning(
    work: Work, done: _Target, body: Json, scope: Scope, others: list[Item], *, last: bool = False
) -> Columns:
    """Trace RETURNING; `last` says that a star gives the target's columns behind those of `others`, as MERGE does."""
    clause: Json = body.get("returningClause", {})
    if not clause:
        return Columns((), ())
    after = done.item._replace(columns=done.after())
    inner = Scope(scope.parent, [*others, after] if last else [after, *others])
    inner.named = scope.named
    taken = {item.name for item in inner.items}
    names = {"old", "new"} - taken | {each["ReturningOption"]["value"] for each in clause.get("options", ())}
    inner.items += [Item(name, after.columns, bare=False, table=True) for name in sorted(names)]
    return targets(work, clause["exprs"], inner)


def _beside(scope: Scope, items: list[Item]) -> Scope:
    """Give a level of these items, with the queries of WITH."""
    found = Scope(scope.parent, items)
    found.named = scope.named
    return found


# -- the statements ---------------------------------------------------------------------------------------------------


def _insert(work: Work, body: Json, scope: Scope) -> Columns:
    done = _begin(work, body)
    names = [each["ResTarget"]["name"] for each in body.get("cols", ())]
    if "selectStmt" in body:
        given = work.select(work, only(body["selectStmt"])[1], scope)
        columns = names or list(done.relation.columns)
        if given.rest is not None:
            given = Columns(tuple(columns), (given.all(),) * len(columns))
        if len(given.values) > len(columns):
            raise Untraceable(f"{done.name} has fewer columns than are written to it")
        for column, written in zip(columns, given.values, strict=False):
            _write(work, done, "INSERT into", column, written)
    for each in body.get("cols", ()):
        indices = _indices(each["ResTarget"].get("indirection", []))
        _write(work, done, "INSERT into", each["ResTarget"]["name"], everything(work, indices, scope))
    conflict: Json = body.get("onConflictClause", {})
    if conflict:
        _conflict(work, done, conflict, scope)
    _fires(work, done, existing=conflict.get("action") == "ONCONFLICT_UPDATE")
    return _returning(work, done, body, scope, [])


def _conflict(work: Work, done: _Target, body: Json, scope: Scope) -> None:
    inner = _beside(scope, [done.item])
    infer: Json = body.get("infer", {})
    for each in infer.get("indexElems", ()):
        _decide(work, each["IndexElem"].get("expr"), inner)
    _decide(work, infer.get("whereClause"), inner)
    if body.get("action") == "ONCONFLICT_UPDATE":
        names = done.relation.columns
        given = tuple(worked_out(done.written[each]) if each in done.written else NOTHING for each in names)
        both = _beside(scope, [done.item, Item("excluded", Columns(names, given), bare=False)])
        _assign(work, done, body["targetList"], both)
        _decide(work, body.get("whereClause"), both)


def _update(work: Work, body: Json, scope: Scope) -> Columns:
    done = _begin(work, body)
    both = _beside(scope, [done.item])
    for each in body.get("fromClause", ()):
        both.items += source(work, each, both)
    _assign(work, done, body["targetList"], both)
    _decide(work, body.get("whereClause"), both)
    _fires(work, done, existing=True)
    return _returning(work, done, body, scope, both.items[1:])


def _delete(work: Work, body: Json, scope: Scope) -> Columns:
    done = _begin(work, body)
    both = _beside(scope, [done.item])
    for each in body.get("usingClause", ()):
        both.items += source(work, each, both)
    _decide(work, body.get("whereClause"), both)
    _fires(work, done, existing=True)
    return _returning(work, done, body, scope, both.items[1:])


def _merge(work: Work, body: Json, scope: Scope) -> Columns:
    done = _begin(work, body)
    others = source(work, body["sourceRelation"], _beside(scope, []))
    both = _beside(scope, [done.item, *others])
    _decide(work, body["joinCondition"], both)
    for each in body["mergeWhenClauses"]:
        clause: Json = each["MergeWhenClause"]
        _decide(work, clause.get("condition"), both)
        nodes: list[Json] = clause.get("targetList", [])
        if clause["commandType"] == "CMD_UPDATE":
            _assign(work, done, nodes, both)
        elif clause["commandType"] == "CMD_INSERT":
            columns = [node["ResTarget"]["name"] for node in nodes] or list(done.relation.columns)
            for column, node in zip(columns, clause.get("values", ()), strict=False):
                _write(work, done, "INSERT into", column, value(work, node, both))
        elif clause["commandType"] not in ("CMD_DELETE", "CMD_NOTHING"):
            raise Untraceable(f"MERGE with {clause['commandType']} is not known here")
    _fires(work, done, existing=True)
    return _returning(work, done, body, scope, others, last=True)


_HANDLERS: Final[dict[str, Callable[[Work, Json, Scope], Columns]]] = {
    "DeleteStmt": _delete,
    "InsertStmt": _insert,
    "MergeStmt": _merge,
    "UpdateStmt": _update,
}
