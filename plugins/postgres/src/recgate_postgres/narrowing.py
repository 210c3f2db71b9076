"""Whether WHERE and LIMIT leave anything out: what is plainly true for every row does not count as a condition.

This sees through `WHERE true`, `1 = 1`, `id = id` and `… OR true`; it knows nothing of data, so `id > 0` narrows.
"""

from __future__ import annotations

from typing import Any, Final

from recgate_postgres.grammar import Json

__all__ = ["bounds", "narrows"]

# What can differ from row to row, or stands for a row.
_VARIES: Final = frozenset(("ColumnRef", "CurrentOfExpr", "fromClause"))
_COMPARES: Final = frozenset(("=", "<>", "!=", "<", ">", "<=", ">="))
_LISTED: Final = frozenset(("AEXPR_IN", "AEXPR_OP_ANY"))
_BETWEEN: Final = frozenset(("AEXPR_BETWEEN", "AEXPR_BETWEEN_SYM"))


def narrows(condition: Json | None) -> bool:
    """Whether a condition can be false for some row and true for another, as far as its form shows."""
    if not condition:
        return False
    ((kind, node),) = condition.items()
    if kind == "BoolExpr":
        found = [narrows(each) for each in node["args"]]
        if node["boolop"] != "OR_EXPR":
            return any(found)
        return all(found) and not _opposed(node["args"])
    if kind == "A_Expr" and _compares_itself(node):
        return False
    if kind == "NullTest" and node.get("nulltesttype") == "IS_NOT_NULL" and _is_comparison(node["arg"]):
        return False  # whatever it is compared with
    if kind == "CoalesceExpr" and not _varies(node["args"][0]):
        return False
    if kind == "CaseExpr" and "arg" not in node:
        whens = [each["CaseWhen"] for each in node["args"]]
        if not all(_varies(each["expr"]) for each in whens):
            return all(narrows(each) for each in (*(when["result"] for when in whens), node.get("defresult")))
    return _varies(condition)


def _compares_itself(node: Json) -> bool:
    """`id = id`, `id IN (1, id)`, `id BETWEEN id AND id`."""
    left, kind = node.get("lexpr"), node.get("kind")
    right: Any = node.get("rexpr")
    if _same(left, right):
        return True
    if right.__class__ is not dict or not (kind in _LISTED or kind in _BETWEEN):
        return False
    several: Json = right.get("List") or right.get("A_ArrayExpr") or {}
    found = [_same(left, each) for each in several.get("items", several.get("elements", ()))]
    plain = [each["String"]["sval"] for each in node["name"]] in (["="], ["BETWEEN"], ["BETWEEN SYMMETRIC"])
    return plain and bool(found) and (any(found) if kind in _LISTED else all(found))


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - trees of anything
    """Whether two expressions are one: also a column with its table's name, and without."""
    names = [_column(one), _column(other)]
    if all(names):
        short, long = sorted(names, key=len)
        return long[-len(short) :] == short
    return _written(one) == _written(other)


def _column(node: Any) -> list[str]:  # noqa: ANN401 - a tree of anything
    """Give the words of a column's name; nothing for what is none."""
    fields: list[Json] = node["ColumnRef"]["fields"] if node.__class__ is dict and "ColumnRef" in node else []
    return [each["String"]["sval"] for each in fields] if all("String" in each for each in fields) else []


def _opposed(args: list[Json]) -> bool:
    """Whether of several conditions one is true wherever another is not: `a IS NULL OR a IS NOT NULL`."""
    tests = [each["NullTest"] for each in args if "NullTest" in each]
    nots = [
        each["BoolExpr"]["args"][0] for each in args if each.get("BoolExpr", {}).get("boolop") == "NOT_EXPR"
    ]
    return any(
        one.get("nulltesttype") != other.get("nulltesttype") and _same(one["arg"], other["arg"])
        for one in tests
        for other in tests
    ) or any(_written(one) == _written(other) for one in nots for other in args)


def _is_comparison(node: Json) -> bool:
    expression: Json = node.get("A_Expr", {})
    return "BoolExpr" in node or any(
        each.get("String", {}).get("sval") in _COMPARES for each in expression.get("name", ())
    )


def bounds(count: Json | None) -> bool:
    """Whether a LIMIT is one: NULL and ALL are none."""
    while count and "TypeCast" in count:
        count = count["TypeCast"]["arg"]
    return bool(count) and not (count or {}).get("A_Const", {}).get("isnull")


def _written(value: Any) -> object:  # noqa: ANN401 - a tree of anything
    """Give a tree without the places it stands at."""
    if value.__class__ is dict:
        return {name: _written(each) for name, each in value.items() if name != "location"}
    return [_written(each) for each in value] if value.__class__ is list else value


def _varies(value: Any) -> bool:  # noqa: ANN401 - a tree of anything
    if value.__class__ is dict:
        return any(name in _VARIES or _varies(each) for name, each in value.items())
    return value.__class__ is list and any(map(_varies, value))
