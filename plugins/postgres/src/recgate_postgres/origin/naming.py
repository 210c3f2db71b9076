"""What a result's column is called that nobody has named (`FigureColname`), and what functions give in FROM.

A name of None may be any: names that are guessed wrong would be looked for further out.
"""

from __future__ import annotations

from typing import Any, Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin import special
from recgate_postgres.origin.calling import shape
from recgate_postgres.origin.work import Work, words

__all__ = ["column_name", "function_names"]

_UNNAMED: Final = "?column?"
_FIXED: Final = {
    "A_ArrayExpr": "array",
    "CoalesceExpr": "coalesce",
    "GroupingFunc": "grouping",
    "JsonArrayAgg": "json_arrayagg",
    "JsonArrayConstructor": "json_array",
    "JsonArrayQueryConstructor": "json_array",
    "JsonObjectAgg": "json_objectagg",
    "JsonObjectConstructor": "json_object",
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "MergeSupportFunc": "merge_action",
    "RowExpr": "row",
    "XmlSerialize": "xmlserialize",
}
_UNNAMED_KINDS: Final = frozenset(
    ("A_Const", "BoolExpr", "BooleanTest", "JsonIsPredicate", "NullTest", "ParamRef")
)


def column_name(node: Json) -> str | None:
    """Give the name that the server gives an expression, or None where that is not certain."""
    return _figured(node)[0]


def _figured(node: Json) -> tuple[str | None, int]:
    """Give a name and how strong it is: 0 for none, 1 for a type's or CASE, 2 for one that was written."""
    ((kind, body),) = node.items()
    if kind in _FIXED:
        return _FIXED[kind], 2
    if kind in _UNNAMED_KINDS:
        return _UNNAMED, 0
    if kind == "ColumnRef":
        last = body["fields"][-1]
        return (last["String"]["sval"], 2) if "String" in last else (_UNNAMED, 0)
    if kind == "FuncCall":
        return words(body["funcname"])[-1], 2
    if kind == "A_Indirection":
        fields = [each for each in body["indirection"] if "String" in each]
        return (fields[-1]["String"]["sval"], 2) if fields else _figured(body["arg"])
    if kind == "A_Expr":
        return ("nullif", 2) if body.get("kind") == "AEXPR_NULLIF" else (_UNNAMED, 0)
    return _weaker(kind, body)


def _weaker(kind: str, body: Any) -> tuple[str | None, int]:  # noqa: ANN401 - a tree of anything
    if kind == "TypeCast":
        name, strength = _figured(body["arg"])
        return (words(body["typeName"]["names"])[-1], 1) if strength <= 1 else (name, strength)
    if kind == "CollateClause":
        return _figured(body["arg"])
    if kind == "CaseExpr":
        name, strength = _figured(body["defresult"]) if "defresult" in body else (_UNNAMED, 0)
        return ("case", 1) if strength <= 1 else (name, strength)
    if kind == "MinMaxExpr":
        return body["op"].removeprefix("IS_").lower(), 2
    if kind == "SubLink":
        sort = body["subLinkType"]
        if sort in ("EXISTS_SUBLINK", "ARRAY_SUBLINK"):
            return sort.removesuffix("_SUBLINK").lower(), 2
        return (None, 2) if sort == "EXPR_SUBLINK" else (_UNNAMED, 0)
    return None, 1


def function_names(work: Work, names: list[str], arguments: list[Json]) -> tuple[str, ...] | None:
    """Give the columns that a function gives in FROM: none for a scalar, None where they are not known."""
    given = special.columns(work, names, arguments)
    if given is not None:
        return given
    known = work.function(names)
    return (
        shape(work.catalog, known.bodies[0])
        if len(known.bodies) == 1 and known.columns is None
        else known.columns
    )
