"""FROM: what each of its items gives, and under which names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin.expressions import EQUAL, arguments, everything, only, value
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.naming import function_names
from recgate_postgres.origin.relations import columns_of
from recgate_postgres.origin.scope import NOTHING, Columns, Item, Scope, Value, column_of, either, worked_out
from recgate_postgres.origin.subqueries import named_columns
from recgate_postgres.origin.work import Work, words

__all__ = ["HANDLERS", "source", "table"]


def source(work: Work, node: Json, scope: Scope) -> list[Item]:
    """Give the items that one item of FROM adds. `scope` holds those to its left, which LATERAL sees.

    Raises:
        Untraceable: it is of a kind that is not known here, or cannot be followed.
    """
    work.budget.spend()
    kind, body = only(node)
    handler = HANDLERS.get(kind)
    if handler is None:
        raise Untraceable(f"{kind} is not known here")
    return handler(work, body, scope)


def table(work: Work, body: Json) -> Item:
    """Give the item of a table that is named as one: the target of a statement that writes."""
    relation = work.relation(body.get("schemaname", ""), body["relname"])
    columns = columns_of(work, relation, alone=not body.get("inh"))
    return _item(body, columns, body["relname"], relation.schema, table=relation.kind != "v")


def _item(body: Json, columns: Columns, name: str, schema: str = "", *, table: bool = False) -> Item:
    alias: Json = body.get("alias") or {}
    if "colnames" in alias:
        columns = columns.renamed(words(alias["colnames"]))
    own = alias.get("aliasname")
    return Item(own or name, columns, "" if own else schema, table=table)


def _relation(work: Work, body: Json, scope: Scope) -> list[Item]:
    name: str = body["relname"]
    if "schemaname" not in body:
        named = scope.query(name)
        if named is not None:
            return [_item(body, named_columns(work, named), name)]
    return [table(work, body)]


def _subselect(work: Work, body: Json, scope: Scope) -> list[Item]:
    around = scope if body.get("lateral") else _outside(scope)
    columns = work.select(work, only(body["subquery"])[1], around)
    return [_item(body, columns, "")]


def _outside(scope: Scope) -> Scope:
    """Give a level without the items to the left, with the queries of WITH."""
    found = Scope(scope.parent)
    found.named = scope.named
    return found


def _sample(work: Work, body: Json, scope: Scope) -> list[Item]:
    if words(body["method"])[-1] not in ("system", "bernoulli"):
        raise Untraceable(f"the sampling method {words(body['method'])[-1]} is not the server's own")
    fields = [*body.get("args", []), *([body["repeatable"]] if "repeatable" in body else [])]
    work.decide(everything(work, fields, scope))
    return source(work, body["relation"], scope)


# -- joins ------------------------------------------------------------------------------------------------------------


def _join(work: Work, body: Json, scope: Scope) -> list[Item]:
    left = source(work, body["larg"], scope)
    beside = Scope(scope.parent, [*scope.items, *left])
    beside.named = scope.named
    right = source(work, body["rarg"], beside)
    first, second = _visible(left), _visible(right)
    merged = words(body.get("usingClause", []))
    if body.get("isNatural"):
        if first.rest or second.rest or None in first.names or None in second.names:
            raise Untraceable("which columns NATURAL JOIN is by is not known")
        merged = [name for name in first.names if name is not None and name in second.names]
    joined, shared = _joined(work, first, second, merged)
    if "quals" in body:
        both = Scope(scope.parent, [*left, *right])
        both.named = scope.named
        work.decide(value(work, body["quals"], both))
    using: Json = body.get("join_using_alias") or {}
    extra = [Item(using["aliasname"], shared, bare=False)] if using else []
    if "alias" in body:
        return [_item(body, joined, ""), *extra]
    inner = [item._replace(bare=False) for item in (*left, *right)]
    return [*inner, *extra, Item("", joined)]


def _visible(items: Iterable[Item]) -> Columns:
    """Give the columns that `*` stands for."""
    shown = [item.columns for item in items if item.bare]
    if len(shown) == 1:
        return shown[0]
    names = tuple(name for each in shown for name in each.names)
    values = tuple(value for each in shown for value in each.values)
    rest = [each.rest for each in shown if each.rest is not None]
    return Columns(names, values, worked_out(rest) if rest else None)


def _joined(work: Work, left: Columns, right: Columns, merged: list[str]) -> tuple[Columns, Columns]:
    """Give the columns of a join, the merged ones first; and those alone."""
    values: list[Value] = []
    if merged:
        work.operator(EQUAL)
    for name in merged:
        found = [column_of(Item("", each), name) for each in (left, right)]
        known = [each for each in found if each is not None]
        if len(known) < 2:
            raise Untraceable(f"the column {name} is not on both sides of a join")
        values.append(either(known))
        work.decide(values[-1])
        work.note(values[-1])
    shared = Columns(tuple(merged), tuple(values))
    rests = [each.rest for each in (left, right) if each.rest is not None]
    names: list[str | None] = list(merged)
    for each in (left, right):
        for name, own in zip(each.names, each.values, strict=True):
            if name is None or name not in merged:
                names.append(name)
                values.append(own)
    return Columns(tuple(names), tuple(values), worked_out(rests) if rests else None), shared


# -- functions --------------------------------------------------------------------------------------------------------


def _functions(work: Work, body: Json, scope: Scope) -> list[Item]:
    parts: list[list[Json]] = [each["List"]["items"] for each in body["functions"]]
    alias: Json = body.get("alias") or {}
    found: list[Columns] = []
    for part in parts:
        given: Json = part[1] if len(part) > 1 else {}
        defined: list[Json] = given.get("List", {}).get("items", []) or body.get("coldeflist", [])
        name: str = alias.get("aliasname", "") if len(parts) == 1 else ""
        found.append(_function(work, part[0], defined, scope, name))
    columns = found[0] if len(found) == 1 else _side_by_side(found)
    if body.get("ordinality"):
        columns = _side_by_side([columns, Columns(("ordinality",), (NOTHING,))])
    return [_item(body, columns, _function_name(parts[0][0]))]


def _side_by_side(several: list[Columns]) -> Columns:
    rest = [each.rest for each in several if each.rest is not None]
    if rest:
        # Where one ends and the next begins is not known.
        every = worked_out(each.all() for each in several)
        return Columns((), (), every)
    names = tuple(name for each in several for name in each.names)
    return Columns(names, tuple(value for each in several for value in each.values))


def _function(work: Work, node: Json, defined: list[Json], scope: Scope, alias: str) -> Columns:
    body: Json | None = node.get("FuncCall")
    whole = value(work, node, scope)
    work.decide(whole)  # how many rows there are
    if body is None:  # CURRENT_DATE and its like
        return Columns((alias or None,), (whole,))
    names = words(body["funcname"])
    if defined:
        columns = [each["ColumnDef"]["colname"] for each in defined]
        return Columns(tuple(columns), (whole,) * len(columns))
    nodes: list[Json] = body.get("args", [])
    if names[-1] == "unnest" and len(nodes) > 1:
        several = arguments(work, nodes, scope)
        return _side_by_side([Columns((), (), each) for each in several])
    shape = function_names(work, names, nodes)
    if shape is None:
        return Columns((), (), whole)
    named = shape or (alias or names[-1],)
    return Columns(named, (whole,) * len(named))


def _function_name(node: Json) -> str:
    return words(node["FuncCall"]["funcname"])[-1] if "FuncCall" in node else ""


# -- documents as tables ----------------------------------------------------------------------------------------------


def _xml_table(work: Work, body: Json, scope: Scope) -> list[Item]:
    whole = everything(work, {name: part for name, part in body.items() if name in _XML}, scope)
    columns = [each["RangeTableFuncCol"] for each in body["columns"]]
    whole = worked_out((whole, everything(work, [_plain(each) for each in columns], scope)))
    work.decide(whole)
    return [
        _item(body, Columns(tuple(each["colname"] for each in columns), (whole,) * len(columns)), "xmltable")
    ]


_XML: Final = frozenset(("docexpr", "rowexpr", "namespaces"))


def _plain(column: Json) -> Json:
    return {name: part for name, part in column.items() if name in ("colexpr", "coldefexpr")}


def _json_table(work: Work, body: Json, scope: Scope) -> list[Item]:
    parts = [body["context_item"], body.get("passing", []), body.get("on_error", {})]
    found = [everything(work, parts, scope)]
    names: list[str] = []
    _json_columns(work, body["columns"], scope, names, found)
    whole = worked_out(found)
    work.decide(whole)
    return [_item(body, Columns(tuple(names), (whole,) * len(names)), "json_table")]


def _json_columns(work: Work, nodes: Any, scope: Scope, names: list[str], found: list[Value]) -> None:  # noqa: ANN401
    for each in nodes:
        column: Json = each["JsonTableColumn"]
        if "columns" in column:
            _json_columns(work, column["columns"], scope, names, found)
        else:
            names.append(column["name"])
        found.append(everything(work, [column.get("on_empty", {}), column.get("on_error", {})], scope))


HANDLERS: Final[dict[str, Callable[[Work, Json, Scope], list[Item]]]] = {
    "JoinExpr": _join,
    "JsonTable": _json_table,
    "RangeFunction": _functions,
    "RangeSubselect": _subselect,
    "RangeTableFunc": _xml_table,
    "RangeTableSample": _sample,
    "RangeVar": _relation,
}
