"""Whether WHERE and LIMIT leave anything out: what is plainly true for every row does not count as a condition.

This sees through `WHERE true`, `1 = 1`, `id = id` and `… OR true`; it knows nothing of data, so `id > 0` narrows.
"""

from __future__ import annotations

from typing import Any, Final

from recgate_postgres.grammar import Json

__all__ = ["bounds", "narrows"]

# What can differ from row to row, or stands for a row.
_VARIES: Final = frozenset(("ColumnRef", "CurrentOfExpr", "SubLink"))


def narrows(condition: Json | None) -> bool:
    """Whether a condition can be false for some row and true for another, as far as its form shows."""
    if not condition:
        return False
    if "BoolExpr" in condition:
        node: Json = condition["BoolExpr"]
        found = [narrows(each) for each in node["args"]]
        return all(found) if node["boolop"] == "OR_EXPR" else any(found)
    compared: Json = condition.get("A_Expr", {})
    if compared and _written(compared.get("lexpr")) == _written(compared.get("rexpr")):
        return False
    return _varies(condition)


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
