"""Queries: SELECT, VALUES, set operations. Each gives columns, and notes what decides which rows they have."""

from __future__ import annotations

from typing import Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin.expressions import everything, item_of, only, row_of, value, window
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.naming import column_name, function_names
from recgate_postgres.origin.scope import Columns, Scope, Value, combined, either, worked_out
from recgate_postgres.origin.sources import source
from recgate_postgres.origin.subqueries import with_clause
from recgate_postgres.origin.work import Work, words

__all__ = ["select", "targets"]

_OWN: Final = ("withClause", "sortClause", "limitCount", "limitOffset", "lockingClause")


def select(work: Work, body: Json, around: Scope) -> Columns:
    """Trace a query, as the fields of its SelectStmt.

    Raises:
        Untraceable: something in it cannot be followed.
    """
    work.budget.spend()
    scope = Scope(around)
    with_clause(work, body, scope)
    if "larg" in body:
        columns = _set_operation(work, body, scope)
    elif "valuesLists" in body:
        columns = _values(work, body, scope)
    else:
        columns = _plain(work, body, scope)
    _ordered(work, body.get("sortClause", []), columns, scope)
    limits = [body[each] for each in ("limitCount", "limitOffset") if each in body]
    work.decide(everything(work, limits, scope))
    if "intoClause" in body:
        work.changes = True
        work.escape(columns.all().origins, "SELECT INTO")
    return columns


def _set_operation(work: Work, body: Json, scope: Scope) -> Columns:
    """Combine from left to right, without going deeper for each: there may be many."""
    steps: list[Json] = []
    left = body
    while "larg" in left and (left is body or not any(each in left for each in _OWN)):
        steps.append(left)
        left = left["larg"]
    found = select(work, left, scope)
    for each in reversed(steps):
        found = combined(found, select(work, each["rarg"], scope))
        if not each.get("all"):
            work.decide(found.all())
    return found


def _values(work: Work, body: Json, scope: Scope) -> Columns:
    rows: list[list[Value]] = [
        [value(work, each, scope) for each in row["List"]["items"]] for row in body["valuesLists"]
    ]
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        raise Untraceable("the lists of VALUES are not of one length")
    names = tuple(f"column{place}" for place in range(1, width + 1))
    return Columns(names, tuple(map(either, zip(*rows, strict=True))))


def _plain(work: Work, body: Json, scope: Scope) -> Columns:
    for item in body.get("fromClause", ()):
        scope.items += source(work, item, scope)
    columns = targets(work, body.get("targetList", []), scope)
    decides = [body[each] for each in ("whereClause", "havingClause") if each in body]
    work.decide(everything(work, decides, scope))
    _ordered(work, body.get("groupClause", []), columns, scope)
    for each in body.get("windowClause", ()):
        window(work, each["WindowDef"], scope)
    if "distinctClause" in body:
        chosen = [each for each in body["distinctClause"] if each]
        _ordered(work, chosen, columns, scope)
        if not chosen:
            work.decide(columns.all())
    return columns


def _ordered(work: Work, nodes: list[Json], columns: Columns, scope: Scope) -> None:
    """Note what decides order or groups: an expression, or a column of the result by its name or number."""
    for node in nodes:
        kind, body = only(node)
        if kind == "SortBy":
            if body.get("useOp"):
                work.operator(body["useOp"])
            _ordered(work, [body["node"]], columns, scope)
        elif kind == "GroupingSet":
            _ordered(work, body.get("content", []), columns, scope)
        elif kind == "RowExpr":
            _ordered(work, body.get("args", []), columns, scope)
        elif kind == "A_Const":
            work.decide(columns.all())
        else:
            name = _bare(node)
            known = name is not None and (name in columns.names or None in columns.names or columns.rest)
            if known:
                work.decide(_output(columns, name or ""))
            if not known or scope.bare(name or "") is not None:
                work.decide(value(work, node, scope))


def _bare(node: Json) -> str | None:
    fields = node.get("ColumnRef", {}).get("fields", ())
    return fields[0].get("String", {}).get("sval") if len(fields) == 1 else None


def _output(columns: Columns, name: str) -> Value:
    named = [value for own, value in zip(columns.names, columns.values, strict=True) if own == name]
    return worked_out(named) if named else columns.all()


# -- the list of what is selected -------------------------------------------------------------------------------------


def targets(work: Work, nodes: list[Json], scope: Scope) -> Columns:
    """Trace the list behind SELECT or RETURNING."""
    names: list[str | None] = []
    values: list[Value] = []
    rests: list[Value] = []
    for each in nodes:
        target: Json = each["ResTarget"]
        node: Json = target["val"]
        several = _several(work, node, scope)
        if several is None:
            names.append(target["name"] if "name" in target else column_name(node))
            values.append(value(work, node, scope))
            continue
        work.budget.spend(len(several.names))
        names += several.names
        values += several.values
        if several.rest is not None:
            rests.append(several.rest)
        work.note(several.all())
    return Columns(tuple(names), tuple(values), worked_out(rests) if rests else None)


def _several(work: Work, node: Json, scope: Scope) -> Columns | None:
    """Give the columns that a star stands for; None for what is no star."""
    kind, body = only(node)
    if kind == "ColumnRef" and "A_Star" in body["fields"][-1]:
        if len(body["fields"]) > 1:
            return item_of(words(body["fields"][:-1]), scope).columns
        shown = [item.columns for item in scope.items if item.bare]
        rests = [each.rest for each in shown if each.rest is not None]
        return Columns(
            tuple(name for each in shown for name in each.names),
            tuple(value for each in shown for value in each.values),
            worked_out(rests) if rests else None,
        )
    if kind == "A_Indirection" and "A_Star" in body["indirection"][-1]:
        steps = body["indirection"][:-1]
        inner: Json = {"A_Indirection": {**body, "indirection": steps}} if steps else body["arg"]
        row = row_of(work, inner, scope)
        if row is not None:
            return row
        whole = value(work, inner, scope)
        if "FuncCall" in inner:
            call: Json = inner["FuncCall"]
            shape = function_names(work, words(call["funcname"]), call.get("args", []))
            if shape:
                return Columns(shape, (whole,) * len(shape))
        return Columns((), (), whole)
    return None
