"""Functions that somebody has written in SQL: a call of one is what its body does with the arguments.

Only queries and changes of rows are followed, and only where it is certain what the names in the body mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from recgate_postgres.grammar import Json, syntax
from recgate_postgres.origin.model import Catalog, Function, Untraceable
from recgate_postgres.origin.scope import NOTHING, Columns, Item, Scope, Value, worked_out
from recgate_postgres.origin.work import Work, words

__all__ = ["MAX_CALLS", "called", "path_of", "shape"]

MAX_CALLS: Final = 16  # functions inside of functions
_OUT: Final = frozenset(("FUNC_PARAM_OUT", "FUNC_PARAM_INOUT", "FUNC_PARAM_TABLE"))
_SCALAR: Final = frozenset("berm")
_CHANGES: Final = frozenset(("DeleteStmt", "InsertStmt", "MergeStmt", "UpdateStmt"))


def called(work: Work, function: Function, given: Value) -> Value:
    """Give what a call's result may hold, where `given` is what all of the arguments together may.

    Raises:
        Untraceable: the body does more than can be followed, or what it means hangs on where it is called.
    """
    said = f"{function.schema}.{function.name}"
    # Numbers of functions and relations may be the same.
    if -function.oid in work.within or len(work.within) >= MAX_CALLS:
        raise Untraceable(f"the function {said} goes too deep")
    body = _defined(function)
    path, statements = _body(work, body, said)
    given = worked_out((given, *_defaults(work, body)))
    inner = Work(
        work.catalog,
        path,
        work.select,
        work.change,
        work.trusted,
        work.budget,
        {} if path != ("pg_catalog",) else work.seen,
        work.within | {-function.oid},
        given,
    )
    scope = _scope(body, function.name, given)
    found = NOTHING
    try:
        for kind, fields in statements:
            if kind == "SelectStmt":
                found = work.select(inner, fields, scope).all()
            elif kind in _CHANGES:
                found = work.change(inner, kind, fields, scope).all()
            else:
                raise Untraceable(f"{kind.removesuffix('Stmt')} cannot be followed")
    except Untraceable as exc:
        raise Untraceable(f"{exc} (in {said})") from None
    work.escapes.update(inner.escapes)
    work.predicates |= inner.predicates
    work.read |= inner.read
    work.unsettled = work.unsettled or inner.unsettled
    work.changes = work.changes or inner.changes
    return worked_out((found, *(Value(each) for each in inner.predicates)))


def shape(catalog: Catalog, function: Function) -> tuple[str, ...] | None:
    """Give the columns that a function gives in FROM: none for a scalar, None where they are not known."""
    body = _defined(function)
    parameters = [each["FunctionParameter"] for each in body.get("parameters", ())]
    given = [each.get("name") for each in parameters if each.get("mode") in _OUT]
    if given:
        return tuple(given) if all(given) else None
    names = words(body.get("returnType", {}).get("names", []))
    found = catalog.type_named(names[-2] if len(names) > 1 else "pg_catalog", names[-1]) if names else None
    if found is not None and found.kind in _SCALAR:
        return ()
    row = catalog.relation_of(found.relation) if found is not None and found.relation else None
    return row.columns if row is not None else None


def _defined(function: Function) -> Json:
    parsed = syntax(function.definition)
    if parsed is None or len(parsed) != 1:
        raise Untraceable(f"the definition of {function.schema}.{function.name} cannot be read")
    return parsed[0]["stmt"]["CreateFunctionStmt"]


def _body(work: Work, body: Json, said: str) -> tuple[tuple[str, ...], list[tuple[str, Json]]]:
    """Give a body's statements, by kind and fields, and the path that they are read with."""
    options = {each["DefElem"]["defname"]: each["DefElem"].get("arg", {}) for each in body.get("options", ())}
    if "sql_body" in body:
        return ("pg_catalog",), list(_atomic(body["sql_body"]))
    source: list[Json] = options.get("as", {}).get("List", {}).get("items", [])
    parsed = syntax(source[0]["String"]["sval"]) if len(source) == 1 else None
    if parsed is None:
        raise Untraceable(f"the body of {said} cannot be read")
    if work.within:
        # A view's names are all qualified, but those in here mean what the session's path says.
        raise Untraceable(
            f"what the names in {said} mean hangs on where it is called: write it with BEGIN ATOMIC"
        )
    return path_of(work.path, body), [next(iter(each["stmt"].items())) for each in parsed if each.get("stmt")]


def path_of(path: tuple[str, ...], body: Json) -> tuple[str, ...]:
    """Give the path that a function sets for itself, or else the session's.

    Raises:
        Untraceable: it is not the same for everybody.
    """
    for each in body.get("options", ()):
        setting: Json = each["DefElem"].get("arg", {}).get("VariableSetStmt", {})
        if each["DefElem"]["defname"] == "set" and setting.get("name") == "search_path":
            names = [value["A_Const"]["sval"].get("sval", "") for value in setting.get("args", ())]
            if any(name.startswith("$") for name in names):
                raise Untraceable("the search_path that a function sets hangs on who calls it")
            temporary = [each for each in path if each.startswith("pg_temp")]
            own = [name for name in names if name and not name.startswith("pg_temp")]
            # Temporary tables go first unless they are said to go elsewhere.
            last = names[-1:] == ["pg_temp"]
            return (*own, *temporary) if last else (*temporary, *own)
    return path


def _atomic(node: Any) -> Iterator[tuple[str, Json]]:  # noqa: ANN401 - a tree of anything
    """Give the statements of BEGIN ATOMIC … END, and RETURN with an expression as a query."""
    if node.__class__ is list:
        for each in node:
            yield from _atomic(each)
    elif "List" in node:
        yield from _atomic(node["List"].get("items", []))
    elif "ReturnStmt" in node:
        target: Json = {"ResTarget": {"val": node["ReturnStmt"]["returnval"]}}
        yield "SelectStmt", {"targetList": [target]}
    elif node:
        yield next(iter(node.items()))


def _defaults(work: Work, body: Json) -> Iterator[Value]:
    """Give what the defaults of a function's parameters may hold. Their names are all qualified."""
    for each in body.get("parameters", ()):
        default: Json | None = each["FunctionParameter"].get("defexpr")
        if default is not None:
            inner = Work(
                work.catalog, ("pg_catalog",), work.select, work.change, work.trusted, work.budget, work.seen
            )
            inner.within = work.within | {0}
            query: Json = {"targetList": [{"ResTarget": {"val": default}}]}
            seen = inner.apart(lambda query=query, inner=inner: work.select(inner, query, Scope()))
            yield work.use(seen).all()


def _scope(body: Json, name: str, given: Value) -> Scope:
    """Give the level of a function's parameters: a column goes before one of its name."""
    names = [each["FunctionParameter"].get("name") for each in body.get("parameters", ())]
    named = tuple(each for each in names if each)
    values = Columns(named, (given,) * len(named))
    rows = [Item(each, Columns((), (), given), bare=False) for each in named]
    return Scope(None, [Item(name, values), *rows])
