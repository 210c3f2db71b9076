"""What a value is worked out of: every expression that the grammar has, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin import special
from recgate_postgres.origin.calling import called
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.scope import NOTHING, Columns, Item, Scope, Value, column_of, worked_out
from recgate_postgres.origin.work import Work, words

__all__ = [
    "CONSTANT",
    "HANDLERS",
    "WHOLE",
    "arguments",
    "everything",
    "item_of",
    "only",
    "ordered",
    "row_of",
    "value",
    "window",
]

# Nothing of any column. GROUPING says which columns a row is grouped by; the names are parts of others.
CONSTANT: Final = frozenset(
    (
        "A_Const", "BitString", "Boolean", "CurrentOfExpr", "Float", "GroupingFunc", "Integer", "MergeSupportFunc",
        "SQLValueFunction", "SetToDefault", "String", "TypeName",
    )
)  # fmt: skip
# Worked out of all that stands in them.
WHOLE: Final = frozenset(
    (
        "A_ArrayExpr", "A_Indices", "BoolExpr", "BooleanTest", "CaseWhen", "CoalesceExpr", "CollateClause",
        "JsonArgument", "JsonArrayAgg", "JsonArrayConstructor", "JsonBehavior", "JsonFuncExpr", "JsonIsPredicate",
        "JsonKeyValue", "JsonObjectAgg", "JsonObjectConstructor", "JsonParseExpr", "JsonScalarExpr",
        "JsonSerializeExpr", "JsonValueExpr", "List", "MinMaxExpr", "MultiAssignRef", "NamedArgExpr", "NullTest",
        "ResTarget", "RowExpr", "SortBy", "XmlExpr", "XmlSerialize",
    )
)  # fmt: skip
# BETWEEN has no operator's name, and uses these.
_BETWEEN: Final = ([{"String": {"sval": ">="}}], [{"String": {"sval": "<="}}])
EQUAL: Final = [{"String": {"sval": "="}}]


def only(node: Json) -> tuple[str, Any]:
    """Give a node's kind and its fields."""
    ((kind, body),) = node.items()
    return kind, body


def value(work: Work, node: Json, scope: Scope) -> Value:
    """Give what the value of an expression may come from.

    Raises:
        Untraceable: of a kind that is not known here, or something in it cannot be followed.
    """
    work.budget.spend()
    kind, body = only(node)
    if kind in CONSTANT:
        return NOTHING
    handler = HANDLERS.get(kind)
    if handler is not None:
        return handler(work, body, scope)
    if kind in WHOLE:
        return everything(work, body, scope)
    raise Untraceable(f"{kind} is not known here")


def everything(work: Work, tree: Any, scope: Scope) -> Value:  # noqa: ANN401 - a tree of anything
    """Give what is worked out of all expressions in a tree."""
    found: list[Value] = []
    _collect(work, tree, scope, found)
    return worked_out(found)


def _collect(work: Work, tree: Any, scope: Scope, found: list[Value]) -> None:  # noqa: ANN401 - a tree of anything
    if tree.__class__ is list:
        for each in tree:
            _collect(work, each, scope, found)
        return
    for name, child in tree.items():
        if child.__class__ is not dict and child.__class__ is not list:
            continue
        if name[0].isupper():
            found.append(value(work, {name: child}, scope))
        elif name not in ("typeName", "over"):
            _collect(work, child, scope, found)
        elif name == "typeName":
            _type(work, child)
        else:
            window(work, child, scope)


def arguments(work: Work, nodes: Iterable[Json], scope: Scope) -> list[Value]:
    """Give the values of several expressions."""
    return [value(work, each, scope) for each in nodes]


# -- columns ----------------------------------------------------------------------------------------------------------


def _column(work: Work, body: Json, scope: Scope) -> Value:
    work.budget.spend(len(scope.items) // 16)
    found = _found(work, body["fields"], scope)
    work.note(found)
    return found


def _found(work: Work, fields: list[Json], scope: Scope) -> Value:
    if "A_Star" in fields[-1]:
        names = words(fields[:-1])
        return item_of(names, scope).columns.all() if names else _row(scope)
    names = words(fields)
    if len(names) == 1:
        value = scope.bare(names[0])
        if value is not None:
            return value
        item = scope.item(names[0])
        if item is None:
            raise Untraceable(f"the column {names[0]} is not known")
        return item.columns.all()
    item = item_of(names[:-1], scope)
    found = column_of(item, names[-1])
    if found is not None:
        return found
    return _field(work, names[-1], item.columns.all())


def _row(scope: Scope) -> Value:
    return worked_out(item.columns.all() for item in scope.items)


def item_of(names: list[str], scope: Scope) -> Item:
    """Give the item of FROM that a name means, written with or without its schema.

    Raises:
        Untraceable: there is none.
    """
    item = scope.item(names[-1], names[-2] if len(names) > 1 else "")
    if item is None:
        raise Untraceable(f"{'.'.join(names)} is not in FROM")
    return item


def _field(work: Work, name: str, whole: Value) -> Value:
    """Give what a name behind a row may be: one of its columns, or the call of a function that has it as argument."""
    if work.own([name]) or special.known(name):
        return _applied(work, [name], whole)
    return whole


def _indirection(work: Work, body: Json, scope: Scope) -> Value:
    steps: list[Json] = body["indirection"]
    columns = row_of(work, body["arg"], scope)
    if columns is not None and "String" in steps[0]:
        names = steps[0]["String"]["sval"]
        if names in columns.names:
            found = columns.values[columns.names.index(names)]
            work.note(found)
            rest = everything(work, steps[1:], scope)
            return found if len(steps) == 1 else worked_out((found, rest))
    found = value(work, body["arg"], scope)
    for each in steps:
        if "String" in each:
            found = worked_out((found, _field(work, each["String"]["sval"], found)))
        elif "A_Indices" in each:
            found = worked_out((found, value(work, each, scope)))
    return found


def row_of(work: Work, node: Json, scope: Scope) -> Columns | None:
    """Give the columns of a row that is written as the name of an item of FROM; None for anything else."""
    fields: list[Json] = node.get("ColumnRef", {}).get("fields", ())
    if len(fields) != 1 or "String" not in fields[0]:
        return None
    name = fields[0]["String"]["sval"]
    item = scope.item(name)
    return (
        item.columns if item is not None and scope.bare(name) is None and item.columns.rest is None else None
    )


# -- operators and types ----------------------------------------------------------------------------------------------


def _operation(work: Work, body: Json, scope: Scope) -> Value:
    """Read operators from right to left, without going deeper for each: a chain of `||` may be long."""
    found: list[Value] = []
    node = body
    while True:
        work.budget.spend()
        names = _BETWEEN if "BETWEEN" in node["kind"] else (node["name"],)
        for name in names:
            work.operator(name)
        if "rexpr" in node:
            found.append(value(work, node["rexpr"], scope))
        left = node.get("lexpr")
        if left is None:
            break
        if "A_Expr" not in left:
            found.append(value(work, left, scope))
            break
        node = left["A_Expr"]
    return worked_out(found)


def _case(work: Work, body: Json, scope: Scope) -> Value:
    if "arg" in body:
        work.operator(EQUAL)
    return everything(work, body, scope)


def _cast(work: Work, body: Json, scope: Scope) -> Value:
    _type(work, body["typeName"])
    return worked_out((value(work, body["arg"], scope),))


def _type(work: Work, body: Json) -> None:
    names = words(body.get("names", []))
    schemas = names[:-1] or work.schemas()
    for schema in schemas:
        found = work.catalog.type_named(schema, names[-1]) if names else None
        if found is not None:
            if found.active:
                raise Untraceable(
                    f"making a value of {'.'.join(names)} runs functions that are not the server's own"
                )
            return


# -- queries inside ---------------------------------------------------------------------------------------------------


def _inside(work: Work, query: Json, scope: Scope) -> tuple[Columns, Value]:
    """Trace a query inside of an expression; gives its columns, and what decides which rows it has."""
    seen = work.apart(lambda: work.select(work, only(query)[1], scope))
    return work.use(seen), Value(seen.predicates)


def _sublink(work: Work, body: Json, scope: Scope) -> Value:
    columns, decides = _inside(work, body["subselect"], scope)
    found = [columns.all(), decides]
    if body["subLinkType"] == "EXPR_SUBLINK" and len(columns.values) == 1 and not decides.origins:
        return columns.values[0]
    if "testexpr" in body:
        work.operator(body.get("operName") or EQUAL)
        found.append(value(work, body["testexpr"], scope))
    return worked_out(found)


def _json_query(work: Work, body: Json, scope: Scope) -> Value:
    columns, decides = _inside(work, body["query"], scope)
    return worked_out((columns.all(), decides))


# -- calls ------------------------------------------------------------------------------------------------------------


def _call(work: Work, body: Json, scope: Scope) -> Value:
    names = words(body["funcname"])
    nodes: list[Json] = body.get("args", [])
    if len(nodes) == 1 and len(names) == 1 and not work.own(names) and not special.known(names[0]):
        columns = row_of(work, nodes[0], scope)
        if columns is not None and names[0] in columns.names:  # `email(customers)`
            found = columns.values[columns.names.index(names[0])]
            work.note(found)
            return found
    given = special.call(work, names, nodes)
    found = arguments(work, nodes, scope)
    if body.get("agg_within_group"):
        found.append(everything(work, body.get("agg_order", []), scope))
    elif "agg_order" in body:
        ordered(work, body["agg_order"], scope)
    if "agg_filter" in body:
        found.append(value(work, body["agg_filter"], scope))
    if "over" in body:
        window(work, body["over"], scope)
    result = worked_out(found)
    if given is not None:
        return worked_out((result, given))
    return _applied(work, names, result)


def _applied(work: Work, names: list[str], given: Value) -> Value:
    """Give what a function makes of its arguments, and note what it does with them besides."""
    if work.several(names):
        work.decide(given)  # how many rows there are
    known = work.function(names)
    result = given
    if known.bodies:
        result = worked_out((given, *(called(work, each, given) for each in known.bodies)))
    if known.effect:
        work.escape(given.origins, f"function {names[-1]}")
        work.unsettled = work.unsettled or names[-1] == "set_config"
    return result


def ordered(work: Work, nodes: list[Json], scope: Scope) -> None:
    """Note what decides an order."""
    for each in nodes:
        if each.get("SortBy", {}).get("useOp"):
            work.operator(each["SortBy"]["useOp"])
        work.decide(everything(work, each, scope))


def window(work: Work, body: Json, scope: Scope) -> None:
    """Note what decides the order and extent of a window."""
    ordered(work, [*body.get("partitionClause", []), *body.get("orderClause", [])], scope)
    bounds = [body[each] for each in ("startOffset", "endOffset") if each in body]
    work.decide(everything(work, bounds, scope))


HANDLERS: Final[dict[str, Callable[[Work, Json, Scope], Value]]] = {
    "A_Expr": _operation,
    "A_Indirection": _indirection,
    "CaseExpr": _case,
    "ColumnRef": _column,
    "FuncCall": _call,
    "JsonArrayQueryConstructor": _json_query,
    "ParamRef": lambda work, body, scope: work.given,
    "SubLink": _sublink,
    "TypeCast": _cast,
}
