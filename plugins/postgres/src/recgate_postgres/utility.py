"""Statements that are neither queries nor changes of rows. What they wrap, and what they will run later, is read too.

What a statement is about comes from `objects`, which search uses as well; statements of which more is known than
kinds and names have a reader of their own here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from recgate_postgres.bodies import define_function
from recgate_postgres.grammar import Json
from recgate_postgres.making import made
from recgate_postgres.objects import action, named_objects
from recgate_postgres.parts import Part, Scope, label, quoted
from recgate_postgres.reading import Handler, Reader, only

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["STATEMENTS", "plain"]

_RELATIONS: Final = frozenset(("table", "view", "matview", "foreign_table"))
# What runs code that the text does not show, at once or later.
_OPAQUE: Final = frozenset(("LoadStmt",))
# Fields of a relation by the grammar, and of no table.
_NO_TABLES: Final = ("sequence", "typevar")
_FALSE: Final = frozenset(("false", "off"))


def plain(reader: Reader, kind: str, body: Json, message: Message) -> Part:
    """Read a statement by its kind, from its tree and from its protobuf message, which names its objects."""
    field = message.WhichOneof("node") or ""
    statement: Message = getattr(message, field)
    part = reader.open(" ".join(action(field, statement)), opaque=kind in _OPAQUE)
    for thing in named_objects(field, statement):
        sort, _, name = thing.partition(" ")
        if body.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
            sort = "schema"
        elif not name and "relname" in body.get("relation", {}):
            name = label(body["relation"])
        part.objects[f"{sort} {name}".rstrip()] = None
        if sort in _RELATIONS and name:
            part.tables[name] = None
    scope = Scope()
    if "relation" in body and "relname" in body["relation"]:
        scope.add(body["relation"]["relname"], label(body["relation"]))
        for alias in ("new", "old"):  # of rules
            scope.items.setdefault(alias, label(body["relation"]))
    _extra(reader, kind, body, part)
    made(reader, kind, body, part)
    if kind == "CreateFunctionStmt":
        define_function(reader, body, part)
    elif kind == "CreateSchemaStmt":
        elements: list[Message] = list(statement.schema_elts)  # type: ignore[attr-defined] - generated
        for each, inner in zip(body.get("schemaElts", ()), elements, strict=True):
            inner_kind, inner_body = only(each)
            if inner_kind in STATEMENTS:
                reader.statement(each)
            else:
                reader.plain(inner_kind, inner_body, inner)
    else:
        for name in _NO_TABLES:
            body.pop(name, None)
        reader.walk(body, scope, part)
    return part


def _extra(reader: Reader, kind: str, body: Json, part: Part) -> None:
    """Note what `objects` does not say."""
    if kind in ("CreateTrigStmt", "CreateEventTrigStmt"):
        reader.function_name([each["String"]["sval"] for each in body["funcname"]], part)
    elif kind == "AlterTableStmt":
        table = label(body["relation"])
        for each in body["cmds"]:
            name = each["AlterTableCmd"].get("name")
            if name and "Column" in each["AlterTableCmd"]["subtype"]:
                part.written[f"{table}.{quoted(name)}"] = None
    elif kind == "RenameStmt" and body.get("subname") and "relation" in body:
        table = label(body["relation"])
        part.objects = {
            f"table {table}": None,
            f"{' '.join(part.objects).partition(' ')[0]} {table}.{body['subname']}": None,
        }
    elif kind == "TransactionStmt":
        if body.get("gid"):
            part.objects[f"transaction {quoted(body['gid'])}"] = None
        _writable(body.get("options", ()), part)
    elif kind == "LoadStmt":
        part.objects[f"library {body.get('filename', '')}"] = None
    granting: Json = body.get("action", body) if kind == "AlterDefaultPrivilegesStmt" else body
    for each in granting.get("grantees", granting.get("grantee_roles", ())):
        role = (
            each["RoleSpec"].get("rolename") or each["RoleSpec"]["roletype"].removeprefix("ROLESPEC_").lower()
        )
        part.objects[f"role {role}"] = None


# -- what wraps another statement ---------------------------------------------------------------------------------


def _explain(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("EXPLAIN")
    if _runs(body.get("options", [])):
        part.merge(reader.statement(body["query"]))
        return part
    # Only planned: no act of its own, but what the plan speaks of is named.
    acts, runs, reader.parts, reader.runs = reader.parts, reader.runs, [], []
    reader.statement(body["query"])
    for each in reader.parts:
        part.merge(each)
    part.opaque = part.opaque or bool(reader.runs)
    reader.parts, reader.runs = acts, runs
    return part


def _runs(options: list[Json]) -> bool:
    """Whether an EXPLAIN runs what it explains: unless every `analyze` is off by a word, as people write it."""
    return any(
        each["DefElem"].get("arg", {}).get("String", {}).get("sval", "on").lower() not in _FALSE
        for each in options
        if each["DefElem"]["defname"] == "analyze"
    )


def _prepare(reader: Reader, body: Json, scope: Scope) -> Part:
    return _naming(reader, "PREPARE", "statement", body["name"], body["query"])


def _declare(reader: Reader, body: Json, scope: Scope) -> Part:
    return _naming(reader, "DECLARE", "cursor", body["portalname"], body["query"])


def _naming(reader: Reader, verb: str, sort: str, name: str, query: Json) -> Part:
    part = reader.open(verb)
    part.objects[f"{sort} {quoted(name)}"] = None
    first = len(reader.parts)
    part.merge(reader.statement(query))
    reader.made.append((sort, name, reader.parts[first:]))
    return part


def _execute(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("EXECUTE")
    part.objects[f"statement {quoted(body['name'])}"] = None
    reader.runs.append(("statement", body["name"]))
    reader.walk(body.get("params", []), Scope(), part)
    return part


def _fetch(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("MOVE" if body.get("ismove") else "FETCH")
    part.objects[f"cursor {quoted(body['portalname'])}"] = None
    reader.runs.append(("cursor", body["portalname"]))
    return part


def _create_as(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("CREATE")
    name = label(body["into"]["rel"])
    part.objects[f"{body['objtype'].removeprefix('OBJECT_').lower()} {name}"] = part.tables[name] = None
    part.merge(reader.statement(body["query"]))
    return part


def _view(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("CREATE")
    name = label(body["view"])
    part.objects[f"view {name}"] = part.tables[name] = None
    part.merge(reader.statement(body["query"]))
    return part


def _copy(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("COPY")
    writes = "is_from" in body
    if "relation" in body:
        table = label(body["relation"])
        part.objects[f"table {table}"] = part.tables[table] = None
        columns = [each["String"]["sval"] for each in body.get("attlist", ())]
        names = [f"{table}.{quoted(each)}" for each in columns] or [f"{table}.*"]
        (part.written if writes else part.read).update(dict.fromkeys(names))
        scope = Scope()
        scope.add(body["relation"]["relname"], table)
        reader.walk(body.get("whereClause", {}), scope, part)
    else:
        part.merge(reader.statement(body["query"]))
    if "filename" in body:
        place = f"{'program' if body.get('is_program') else 'file'} {body['filename']}"
        part.objects[place] = None
        file = reader.open("READ" if writes else "WRITE", kind="file")
        file.objects[place] = None
        file.tables.update(part.tables)
    return part


# -- the rest -----------------------------------------------------------------------------------------------------


def _call(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("CALL")
    reader.call(body["funccall"], Scope(), part)
    return part


def _do(reader: Reader, body: Json, scope: Scope) -> Part:
    return reader.open("DO", opaque=True)


def _writable(options: Iterable[Json], part: Part) -> None:
    """Note a READ WRITE: it undoes what makes a transaction safe, whichever statement says it."""
    for each in options:
        option: Json = each.get("DefElem", {})
        if option.get("defname") == "transaction_read_only":
            said: Json = option.get("arg", {}).get("A_Const", {})
            if said.get("ival", {}).get("ival", 0) != 1:
                part.objects["setting transaction_read_only"] = None


def _set(reader: Reader, body: Json, scope: Scope) -> Part:
    kind: str = body["kind"]
    part = reader.open("RESET" if "RESET" in kind else "SET")
    name: str = body.get("name", "all").lower()
    part.objects[f"setting {quoted(name)}"] = None
    if kind == "VAR_SET_MULTI":
        _writable(body.get("args", ()), part)
    if name in ("role", "session_authorization"):
        for each in body.get("args", ()):
            part.objects[f"role {each.get('A_Const', {}).get('sval', {}).get('sval', '')}"] = None
    return part


def _show(reader: Reader, body: Json, scope: Scope) -> Part:
    part = reader.open("SHOW")
    part.objects[f"setting {quoted(body['name'].lower())}"] = None
    return part


def _relations(verb: str, sort: str = "table") -> Handler:
    def read(reader: Reader, body: Json, scope: Scope) -> Part:
        part = reader.open(verb)
        for each in body.get("relations", ()):
            name = label(each["RangeVar"])
            part.objects[f"{sort} {name}"] = part.tables[name] = None
        return part

    return read


def _named(verb: str, sort: str, field: str) -> Handler:
    def read(reader: Reader, body: Json, scope: Scope) -> Part:
        part = reader.open(verb)
        part.objects[f"{sort} {quoted(body[field])}" if body.get(field) else sort] = None
        return part

    return read


STATEMENTS: Final[dict[str, Callable[[Reader, Json, Scope], Part]]] = {
    "CallStmt": _call,
    "ClosePortalStmt": _named("CLOSE", "cursor", "portalname"),
    "CopyStmt": _copy,
    "CreateTableAsStmt": _create_as,
    "DeallocateStmt": _named("DEALLOCATE", "statement", "name"),
    "DeclareCursorStmt": _declare,
    "DoStmt": _do,
    "ExecuteStmt": _execute,
    "ExplainStmt": _explain,
    "FetchStmt": _fetch,
    "ListenStmt": _named("LISTEN", "channel", "conditionname"),
    "LockStmt": _relations("LOCK"),
    "NotifyStmt": _named("NOTIFY", "channel", "conditionname"),
    "PrepareStmt": _prepare,
    "TruncateStmt": _relations("TRUNCATE"),
    "UnlistenStmt": _named("UNLISTEN", "channel", "conditionname"),
    "VariableSetStmt": _set,
    "VariableShowStmt": _show,
    "ViewStmt": _view,
}
