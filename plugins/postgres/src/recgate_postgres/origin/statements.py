"""Statements of every kind: which have a result, which give values away, and which nobody can answer for.

Code that was there before and is called by no name (triggers, casts, checks, defaults, policies) is trusted to stay
within its table; code that a statement makes is read, or the statement is not followed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin.defining import DEFINING
from recgate_postgres.origin.expressions import everything, only
from recgate_postgres.origin.model import ANYTHING, Traced, Untraceable
from recgate_postgres.origin.scope import NOTHING, Columns, Scope, Value, joined
from recgate_postgres.origin.work import Work, words
from recgate_postgres.origin.writing import change, target

__all__ = ["DEFINING", "HANDLERS", "NAMELESS", "QUIET", "Result", "statement", "summed_up"]

# These mean the same whatever names mean.
NAMELESS: Final = frozenset(
    (
        "CheckPointStmt", "ClosePortalStmt", "DeallocateStmt", "DiscardStmt", "ListenStmt", "NotifyStmt",
        "TransactionStmt", "UnlistenStmt", "VariableSetStmt", "VariableShowStmt",
    )
)  # fmt: skip
# These give no value to anybody and no name a meaning.
QUIET: Final = NAMELESS | {
    "AlterDatabaseStmt", "AlterDatabaseRefreshCollStmt", "AlterDatabaseSetStmt", "AlterRoleSetStmt", "AlterRoleStmt",
    "AlterTableMoveAllStmt", "ClusterStmt", "CommentStmt", "ConstraintsSetStmt", "CreateRoleStmt", "CreatedbStmt",
    "CreateTableSpaceStmt", "AlterTableSpaceOptionsStmt", "DropTableSpaceStmt", "DropdbStmt", "LockStmt", "ReindexStmt",
    "SecLabelStmt", "TruncateStmt", "VacuumStmt",
}  # fmt: skip
# These check rows for what was put off or may be broken, and quote them where it is.
_CHECKING: Final = frozenset(("ClusterStmt", "ConstraintsSetStmt", "ReindexStmt", "VacuumStmt"))
_ENDING: Final = frozenset(("TRANS_STMT_COMMIT", "TRANS_STMT_PREPARE"))
_PATH: Final = frozenset(("search_path", "role", "session_authorization"))


@dataclass(slots=True)
class Result:
    """What a statement gives, besides what its `Work` has noted."""

    columns: Columns | None = None
    runs: list[tuple[str, str]] = field(default_factory=list)
    made: list[tuple[str, str, Traced]] = field(default_factory=list)


def statement(work: Work, node: Json) -> Result:
    """Trace one statement, as `{KIND: fields}`.

    Raises:
        Untraceable: it is of a kind that is not known here, or something in it cannot be followed.
    """
    kind, body = only(node)
    if kind == "SelectStmt":
        return Result(work.select(work, body, Scope()))
    handler = HANDLERS.get(kind)
    if handler is not None:
        return handler(work, body)
    if kind in DEFINING:
        work.changes = True
        DEFINING[kind](work, body)
    elif kind in QUIET:
        _unsettle(work, kind, body)
    else:
        name = kind.removesuffix("Stmt")
        raise Untraceable(f"{name} is a statement that can do what nobody here can read")
    return Result()


def _unsettle(work: Work, kind: str, body: Json) -> None:
    """Note what later statements of the same text would be read with, and whether rows are looked at once more."""
    if kind in _CHECKING or (kind == "TransactionStmt" and body["kind"] in _ENDING):
        work.note(Value(frozenset((ANYTHING,))))
    if kind == "VariableSetStmt":
        work.unsettled = work.unsettled or "name" not in body or body["name"].lower() in _PATH
    elif kind == "TransactionStmt":
        work.unsettled = work.unsettled or body["kind"] not in ("TRANS_STMT_BEGIN", "TRANS_STMT_START")
    elif kind in ("DiscardStmt", "AlterRoleStmt", "AlterRoleSetStmt"):
        work.unsettled = True


def summed_up(work: Work, result: Result) -> Traced:
    """Say what was found."""
    columns, plain, loose = None, (), False
    if result.columns is not None:
        found = result.columns
        if found.rest is not None:
            loose = True
            found = Columns(("",), (found.all(),))
        columns = tuple(each.origins for each in found.values)
        plain = tuple(each.plain for each in found.values)
    return Traced(
        columns,
        plain,
        loose,
        joined(work.read),
        tuple(work.escapes),
        joined(work.predicates),
        work.changes,
        tuple(result.runs),
        tuple(result.made),
    )


# -- what wraps another -----------------------------------------------------------------------------------------------


def _writes(kind: str) -> Callable[[Work, Json], Result]:
    def trace(work: Work, body: Json) -> Result:
        columns = change(work, kind, body, Scope())
        return Result(columns if "returningClause" in body else None)

    return trace


def _explain(work: Work, body: Json) -> Result:
    result = statement(work, body["query"])
    if result.runs:
        raise Untraceable("what EXPLAIN shows of a prepared statement cannot be followed: explain its text")
    shown = work.read | work.predicates
    if result.columns is not None:
        shown.add(result.columns.all().origins)
    return Result(Columns(("QUERY PLAN",), (Value(joined(shown)),)))


def _naming(sort: str, field_: str) -> Callable[[Work, Json], Result]:
    def trace(work: Work, body: Json) -> Result:
        inner = statement(work, body["query"])
        if inner.runs or inner.made:
            raise Untraceable("a name for what another name means")
        return Result(made=[(sort, body[field_], summed_up(work, inner))])

    return trace


def _execute(work: Work, body: Json) -> Result:
    if everything(work, body.get("params", []), Scope()).origins:
        raise Untraceable("EXECUTE is given values of columns")
    return Result(runs=[("statement", body["name"])])


def _fetch(work: Work, body: Json) -> Result:
    return Result(runs=[] if body.get("ismove") else [("cursor", body["portalname"])])


def _create_as(work: Work, body: Json) -> Result:
    result = statement(work, body["query"])
    if result.columns is None:
        raise Untraceable("CREATE TABLE AS of a prepared statement: write its query")
    work.changes = True
    materialised = body["objtype"] == "OBJECT_MATVIEW"
    way = "CREATE MATERIALIZED VIEW" if materialised else "CREATE TABLE AS"
    work.escape(result.columns.all().origins, way)
    return Result()


def _call(work: Work, body: Json) -> Result:
    whole = everything(work, [{"FuncCall": body["funccall"]}], Scope())
    return Result(Columns((), (), whole))


def _show(work: Work, body: Json) -> Result:
    width = 3 if body["name"] == "all" else 1
    return Result(Columns(("",) * width, (NOTHING,) * width))


def _refresh(work: Work, body: Json) -> Result:
    target(work, body["relation"])
    return Result()


# -- COPY -------------------------------------------------------------------------------------------------------------


def _copy(work: Work, body: Json) -> Result:
    if body.get("is_from"):
        if "filename" in body:
            raise Untraceable("what COPY reads from a file or program of the server cannot be followed")
        item, _ = target(work, body["relation"])
        if "whereClause" in body:
            scope = Scope(None, [item])
            work.decide(everything(work, body["whereClause"], scope))
        return Result()
    columns = _copied(work, body)
    if "filename" in body:
        way = "COPY TO PROGRAM" if body.get("is_program") else "COPY TO a file of the server"
        work.escape(columns.all().origins, way)
        return Result()
    return Result(columns)


def _copied(work: Work, body: Json) -> Columns:
    if "query" in body:
        result = statement(work, body["query"])
        if result.columns is None:
            raise Untraceable("COPY of a statement that gives nothing")
        return result.columns
    name: Json = body["relation"]
    relation = work.relation(name.get("schemaname", ""), name["relname"])
    seen: Json = {"SelectStmt": {"targetList": [{"ResTarget": {"val": {"ColumnRef": {"fields": [{"A_Star": {}}]}}}}],
                                 "fromClause": [{"RangeVar": {**name, "inh": True}}]}}  # fmt: skip
    columns = work.select(work, seen["SelectStmt"], Scope())
    generated = {column for column, _ in relation.generated}
    names = words(body["attlist"]) if "attlist" in body else [
        each for each in relation.columns if each not in generated
    ]  # fmt: skip
    if not set(names) <= set(columns.names):
        raise Untraceable(f"a column of {relation.schema}.{relation.name} is not known")
    values = tuple(columns.values[columns.names.index(each)] for each in names)
    return Columns(tuple(names), values)


HANDLERS: Final[dict[str, Callable[[Work, Json], Result]]] = {
    "CallStmt": _call,
    "CopyStmt": _copy,
    "CreateTableAsStmt": _create_as,
    "DeclareCursorStmt": _naming("cursor", "portalname"),
    "ExecuteStmt": _execute,
    "ExplainStmt": _explain,
    "FetchStmt": _fetch,
    "PrepareStmt": _naming("statement", "name"),
    "RefreshMatViewStmt": _refresh,
    "VariableShowStmt": _show,
    **{kind: _writes(kind) for kind in ("DeleteStmt", "InsertStmt", "MergeStmt", "UpdateStmt")},
}
