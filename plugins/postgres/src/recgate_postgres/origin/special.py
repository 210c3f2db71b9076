"""Functions of the server whose arguments are texts that they run, or names of what they read."""

from __future__ import annotations

from typing import Final

from recgate_postgres.builtin import functions
from recgate_postgres.grammar import Json, syntax
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.relations import columns_of
from recgate_postgres.origin.safe import safe
from recgate_postgres.origin.scope import Scope, Value, worked_out
from recgate_postgres.origin.work import Work

__all__ = ["call", "columns", "known"]

# Which argument is a query that is run.
_QUERIES: Final = {
    "query_to_xml": 0,
    "query_to_xml_and_xmlschema": 0,
    "query_to_xmlschema": 0,
    "ts_rewrite": 1,
    "ts_stat": 0,
}
_TABLES: Final = frozenset(("table_to_xml", "table_to_xml_and_xmlschema", "table_to_xmlschema"))
_OUT: Final = {"ts_stat": ("word", "ndoc", "nentry")}
_AS_WRITTEN: Final = (["text"], ["pg_catalog", "text"], ["regclass"], ["pg_catalog", "regclass"])


def known(name: str) -> bool:
    """Whether a name is that of a function which does more than compute."""
    found = safe(name)
    return (found.effect if found is not None else name in functions()) or name in _TABLES


def columns(work: Work, names: list[str], arguments: list[Json]) -> tuple[str, ...] | None:
    """Give the columns that such a function gives in FROM, none for a scalar; None for a usual function."""
    if not _runs(work, names, arguments):
        return None
    return _OUT.get(names[-1], ())


def call(work: Work, names: list[str], arguments: list[Json]) -> Value | None:
    """Give what a call reads besides its arguments; None for a usual function.

    Raises:
        Untraceable: the text that it runs is not written there.
    """
    if not _runs(work, names, arguments):
        return None
    name = names[-1]
    if name in _QUERIES:
        return _query(work, name, arguments)
    text = _constant(arguments, 0)
    parts = [] if text is None else text.split(".")
    if not 1 <= len(parts) <= 2 or not all(each.isidentifier() and each == each.lower() for each in parts):
        raise Untraceable(f"the table that {name} reads is not written as a plain name")
    relation = work.relation(parts[0] if len(parts) == 2 else "", parts[-1])
    found = columns_of(work, relation, alone=False).all()
    work.note(found)
    return found


def _runs(work: Work, names: list[str], arguments: list[Json]) -> bool:
    name = names[-1]
    if names[:-1] not in ([], ["pg_catalog"]) or (name not in _QUERIES and name not in _TABLES):
        return False
    return (name != "ts_rewrite" or len(arguments) == 2) and not work.own(names)


def _query(work: Work, name: str, arguments: list[Json]) -> Value:
    text = _constant(arguments, _QUERIES[name])
    parsed = None if text is None else syntax(text)
    if parsed is None or len(parsed) != 1 or "SelectStmt" not in parsed[0]["stmt"]:
        raise Untraceable(f"the query that {name} runs is not written out")
    body: Json = parsed[0]["stmt"]["SelectStmt"]
    seen = work.apart(lambda: work.select(work, body, Scope()))
    return worked_out((work.use(seen).all(), Value(seen.predicates)))


def _constant(arguments: list[Json], position: int) -> str | None:
    """Give an argument that is written out, with or without a cast; None where any is named, in whatever order."""
    if position >= len(arguments) or any("NamedArgExpr" in each for each in arguments):
        return None
    node = arguments[position]
    while "TypeCast" in node:
        type_name: Json = node["TypeCast"]["typeName"]
        names = [each.get("String", {}).get("sval") for each in type_name["names"]]
        if names not in _AS_WRITTEN or type_name.keys() & {"typmods", "arrayBounds"}:
            return None
        node = node["TypeCast"]["arg"]
    found = node.get("A_Const", {}).get("sval")
    return str(found.get("sval", "")) if found is not None else None
