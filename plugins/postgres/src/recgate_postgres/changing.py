"""INSERT, UPDATE, DELETE and MERGE: what they write, where they read it from, and what narrows them."""

from __future__ import annotations

from typing import Final

from recgate_postgres.grammar import Json
from recgate_postgres.narrowing import narrows
from recgate_postgres.parts import Part, Scope, label, quoted
from recgate_postgres.reading import Reader, only

__all__ = ["STATEMENTS"]

_MERGED: Final = {"CMD_INSERT": "INSERT", "CMD_UPDATE": "UPDATE", "CMD_DELETE": "DELETE"}


def _begin(reader: Reader, verb: str, body: Json, around: Scope) -> tuple[Part, Scope, str]:
    """Open the act of a statement that writes to its `relation`; gives it, its scope, and the relation's name."""
    part = reader.open(verb)
    scope = Scope(around, reader.with_clause(body, part, around))
    relation: Json = body["relation"]
    table = _target(part, relation)
    scope.add(relation.get("alias", {}).get("aliasname", relation["relname"]), table)
    return part, scope, table


def _target(part: Part, relation: Json) -> str:
    table = label(relation)
    part.objects[f"table {table}"] = part.tables[table] = None
    return table


def _assign(reader: Reader, targets: list[Json], table: str, scope: Scope, part: Part) -> None:
    for each in targets:
        target: Json = each["ResTarget"]
        if "name" in target:
            part.written[f"{table}.{quoted(target['name'])}"] = None
        reader.walk([target.get("val", {}), *target.get("indirection", ())], scope, part)


def _returning(reader: Reader, body: Json, table: str, scope: Scope, part: Part) -> None:
    clause: Json = body.get("returningClause", {})
    inner = Scope(scope.parent, scope.ctes)
    inner.items = dict(scope.items)
    for name in ("old", "new"):  # since PostgreSQL 18, unless a table has that name
        inner.items.setdefault(name, table)
    for each in clause.get("options", ()):
        inner.items[each["ReturningOption"]["value"]] = table
    reader.walk(clause.get("exprs", []), inner, part)


def _insert(reader: Reader, body: Json, around: Scope) -> Part:
    part, scope, table = _begin(reader, "INSERT", body, around)
    _written(body.get("cols", []), table, part)
    outside = Scope(around, scope.ctes)
    if "selectStmt" in body:
        source: Json = only(body["selectStmt"])[1]
        if "valuesLists" in source and "withClause" not in source:
            reader.walk(source["valuesLists"], outside, part)
        else:
            reader.subselect(source, outside, part)
    conflict: Json = body.get("onConflictClause", {})
    reader.walk(conflict.get("infer", {}), scope, part)
    if conflict.get("action") == "ONCONFLICT_UPDATE":
        update = reader.open("UPDATE")
        _target(update, body["relation"])
        scope.add("excluded", table)
        _assign(reader, conflict["targetList"], table, scope, update)
        reader.walk(conflict.get("whereClause", {}), scope, update)
        part.merge(update)
        del scope.items["excluded"]
    _returning(reader, body, table, scope, part)
    return part


def _written(columns: list[Json], table: str, part: Part) -> None:
    for each in columns:
        part.written[f"{table}.{quoted(each['ResTarget']['name'])}"] = None
    if not columns:
        part.written[f"{table}.*"] = None


def _update(reader: Reader, body: Json, around: Scope) -> Part:
    part, scope, table = _begin(reader, "UPDATE", body, around)
    for item in body.get("fromClause", ()):
        reader.source(item, scope, part)
    _assign(reader, body["targetList"], table, scope, part)
    part.where = narrows(body.get("whereClause"))
    reader.walk(body.get("whereClause", {}), scope, part)
    _returning(reader, body, table, scope, part)
    return part


def _delete(reader: Reader, body: Json, around: Scope) -> Part:
    part, scope, table = _begin(reader, "DELETE", body, around)
    for item in body.get("usingClause", ()):
        reader.source(item, scope, part)
    part.where = narrows(body.get("whereClause"))
    reader.walk(body.get("whereClause", {}), scope, part)
    _returning(reader, body, table, scope, part)
    return part


def _merge(reader: Reader, body: Json, around: Scope) -> Part:
    part, scope, table = _begin(reader, "MERGE", body, around)
    reader.source(body["sourceRelation"], scope, part)
    reader.walk(body["joinCondition"], scope, part)
    for each in body["mergeWhenClauses"]:
        clause: Json = each["MergeWhenClause"]
        reader.walk(clause.get("condition", {}), scope, part)
        verb = _MERGED.get(clause["commandType"])
        if verb is None:
            continue  # DO NOTHING
        done = reader.open(verb)
        _target(done, body["relation"])
        if verb == "INSERT":
            _written(clause.get("targetList", []), table, done)
            reader.walk(clause.get("values", []), scope, done)
        else:
            # What no row of the source matches may be every row, whatever they were joined on.
            matched = clause["matchKind"] == "MERGE_WHEN_MATCHED" and narrows(body["joinCondition"])
            done.where = matched or narrows(clause.get("condition"))
            _assign(reader, clause.get("targetList", []), table, scope, done)
        part.merge(done)
    _returning(reader, body, table, scope, part)
    return part


STATEMENTS: Final = {
    "InsertStmt": _insert,
    "UpdateStmt": _update,
    "DeleteStmt": _delete,
    "MergeStmt": _merge,
}
