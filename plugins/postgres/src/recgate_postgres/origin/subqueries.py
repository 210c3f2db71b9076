"""WITH: queries that have a name. Each is traced once, when it is first asked for or when nobody has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.scope import Columns, Scope, combined
from recgate_postgres.origin.work import Seen, Work, words

__all__ = ["named_columns", "with_clause"]

_ROUNDS: Final = (
    4  # of a recursive query, until what its columns hold has settled; then all of them hold it all
)


@dataclass(slots=True)
class _Named:
    """A query of WITH. `around` is where its names are looked up; `columns` is what is known of it meanwhile."""

    body: Json
    around: Scope
    recursive: bool
    seen: Seen | None = None
    busy: bool = False
    columns: Columns | None = None


def with_clause(work: Work, body: Json, scope: Scope) -> None:
    """Put the queries of a statement's WITH into `scope`, and trace all of them."""
    clause: Json | None = body.get("withClause")
    if clause is None:
        return
    recursive = bool(clause.get("recursive"))
    around = scope
    entries: list[_Named] = []
    for each in clause["ctes"]:
        work.budget.spend()
        entry: Json = each["CommonTableExpr"]
        if not recursive:
            # Sees those before it, and not itself.
            before, around = around, Scope(scope.parent)
            around.named = {**before.named} if before is not scope else {}
        named = _Named(entry, around, recursive)
        entries.append(named)
        if not recursive:
            work.budget.spend(len(around.named))
            around = _with(around, entry["ctename"], named)
        scope.named[entry["ctename"]] = named
    for named in entries:
        named_columns(work, named)


def _with(around: Scope, name: str, named: _Named) -> Scope:
    found = Scope(around.parent)
    found.named = {**around.named, name: named}
    return found


def named_columns(work: Work, named: object) -> Columns:
    """Give the columns of a query of WITH, and note what reading it does.

    Raises:
        Untraceable: it cannot be followed, or reads itself where the server would not let it.
    """
    assert isinstance(named, _Named)
    if named.seen is not None:
        work.budget.spend(len(named.seen.columns.names))
        return work.use(named.seen)
    if named.busy:
        if named.columns is None:
            raise Untraceable(f"{named.body['ctename']} reads itself")
        return named.columns
    named.busy = True
    named.seen = work.apart(lambda: _traced(work, named))
    return work.use(named.seen)


def _traced(work: Work, named: _Named) -> Columns:
    ((kind, query),) = named.body["ctequery"].items()
    if kind != "SelectStmt":
        return _called(work.change(work, kind, query, named.around), named)
    if named.recursive and query.get("op") == "SETOP_UNION":
        return _recursive(work, named, query)
    return _called(work.select(work, query, named.around), named)


def _called(columns: Columns, named: _Named) -> Columns:
    """Give columns the names that WITH gives them, and those that SEARCH and CYCLE add."""
    if "aliascolnames" in named.body:
        columns = columns.renamed(words(named.body["aliascolnames"]))
    search: Json = named.body.get("search_clause", {})
    cycle: Json = named.body.get("cycle_clause", {})
    added = [
        search.get("search_seq_column"),
        cycle.get("cycle_mark_column"),
        cycle.get("cycle_path_column"),
    ]
    names = tuple(each for each in added if each)
    if not names:
        return columns
    return Columns((*columns.names, *names), (*columns.values, *(columns.all(),) * len(names)), columns.rest)


def _mixed(columns: Columns) -> Columns:
    """Give columns each of which may hold what any does."""
    return Columns(columns.names, (columns.all(),) * len(columns.names), columns.rest)


def _recursive(work: Work, named: _Named, query: Json) -> Columns:
    """Trace a query that may read itself, until nothing new comes into its columns."""
    scope = Scope(named.around)
    with_clause(work, query, scope)
    found = work.select(work, query["larg"], scope)
    for _ in range(_ROUNDS):
        named.columns = _called(found, named)
        before, found = found, combined(found, work.select(work, query["rarg"], scope))
        if found.same(before):
            break
    else:
        named.columns = _called(_mixed(found), named)
        found = _mixed(combined(found, work.select(work, query["rarg"], scope)))
    if not query.get("all"):
        work.decide(found.all())
    return _called(found, named)
