"""Statements that make, alter or drop something: what they let loose, by a new name or by code that runs later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from recgate_postgres.grammar import Json
from recgate_postgres.origin.expressions import CONSTANT, HANDLERS, WHOLE, only, value
from recgate_postgres.origin.model import ANYTHING, Relation, Untraceable
from recgate_postgres.origin.relations import columns_of
from recgate_postgres.origin.scope import Columns, Item, Scope, Value
from recgate_postgres.origin.work import Work

__all__ = ["DEFINING"]

# What can be done to a table without a value of it coming under another name.
_KEEPING: Final = frozenset(
    (
        "AT_AddConstraint", "AT_AlterConstraint", "AT_ChangeOwner", "AT_ClusterOn", "AT_ColumnDefault",
        "AT_CookedColumnDefault",
        "AT_DisableRowSecurity", "AT_DisableRule", "AT_DisableTrig", "AT_DisableTrigAll",
        "AT_DisableTrigUser", "AT_DropCluster", "AT_DropColumn", "AT_DropConstraint", "AT_DropIdentity",
        "AT_DropNotNull",
        "AT_EnableAlwaysRule", "AT_EnableAlwaysTrig", "AT_EnableReplicaRule", "AT_EnableReplicaTrig",
        "AT_EnableRowSecurity", "AT_EnableRule", "AT_EnableTrig", "AT_EnableTrigAll", "AT_EnableTrigUser",
        "AT_ForceRowSecurity", "AT_NoForceRowSecurity", "AT_AddIdentity", "AT_SetIdentity", "AT_ReplicaIdentity",
        "AT_ResetOptions", "AT_ResetRelOptions", "AT_SetAccessMethod", "AT_SetCompression", "AT_SetLogged",
        "AT_SetNotNull", "AT_SetOptions", "AT_SetRelOptions", "AT_SetStatistics", "AT_SetStorage", "AT_SetTableSpace",
        "AT_SetUnLogged", "AT_ValidateConstraint",
    )
)  # fmt: skip
_TABLES: Final = frozenset(("OBJECT_FOREIGN_TABLE", "OBJECT_MATVIEW", "OBJECT_TABLE"))
# Of these nothing can be read, and their names say nothing about values.
_HARMLESS: Final = frozenset(
    (
        "OBJECT_ATTRIBUTE", "OBJECT_COLLATION", "OBJECT_DATABASE", "OBJECT_DOMAIN", "OBJECT_DOMCONSTRAINT",
        "OBJECT_INDEX", "OBJECT_POLICY", "OBJECT_PUBLICATION", "OBJECT_ROLE", "OBJECT_SEQUENCE",
        "OBJECT_STATISTIC_EXT", "OBJECT_TABCONSTRAINT", "OBJECT_TABLESPACE", "OBJECT_TRIGGER", "OBJECT_TSCONFIGURATION",
        "OBJECT_TSDICTIONARY", "OBJECT_TYPE", "OBJECT_VIEW",
    )
)  # fmt: skip
# Whatever an expression of a new table names is its own column, which may hold anything later.
_OWN: Final = Item("", Columns((), (), Value(frozenset((ANYTHING,)))))
_EXPRESSIONS: Final = frozenset((*CONSTANT, *WHOLE, *HANDLERS))


def _quiet(work: Work, body: Json) -> None:
    """Nothing is let loose."""


def _named(work: Work, body: Json) -> Relation:
    return work.relation(body.get("schemaname", ""), body["relname"])


def _row(work: Work, relation: Relation) -> Item:
    columns = columns_of(work, relation, alone=False)
    return Item(relation.name, columns, relation.schema, table=True)


def _expressions(work: Work, tree: Any, item: Item, *, decides: bool = False) -> None:  # noqa: ANN401
    """See that every expression in a definition can be followed: it is kept, and worked out again later.

    What it takes from elsewhere than the table itself leaves there. `decides` says that it chooses rows.
    """
    if tree.__class__ is list:
        for each in tree:
            _expressions(work, each, item, decides=decides)
        return
    for name, child in tree.items():
        if name in _EXPRESSIONS:
            found = value(work, {name: child}, Scope(None, [item]))
            if decides:
                work.decide(found)
            else:
                work.escape(found.origins - item.columns.all().origins, "what a definition keeps")
        elif child.__class__ is dict or child.__class__ is list:
            _expressions(work, child, item, decides=decides)


def _table(work: Work, body: Json) -> None:
    parts = [body.get(each, {}) for each in ("tableElts", "partspec", "partbound")]
    _expressions(work, parts, _OWN)


def _index(work: Work, body: Json) -> None:
    relation: Json = body.get("relation") or only(body["relations"][0])[1]
    item = _row(work, _named(work, relation))
    work.note(item.columns.all())
    _expressions(work, body, item)


def _policy(work: Work, body: Json) -> None:
    _expressions(work, body, _row(work, _named(work, body["table"])), decides=True)


def _domain(work: Work, body: Json) -> None:
    _expressions(work, body, _OWN)


def _alter_table(work: Work, body: Json) -> None:
    if body.get("objtype") in ("OBJECT_INDEX", "OBJECT_SEQUENCE", "OBJECT_TYPE"):
        return
    relation = _named(work, body["relation"])
    item = _row(work, relation)
    work.note(item.columns.all())
    for each in body["cmds"]:
        command: Json = each["AlterTableCmd"]
        _expressions(work, command.get("def", {}), item)
        added = command["subtype"] == "AT_AddColumn" and not _generated(command)
        if relation.kind != "v" and command["subtype"] not in _KEEPING and not added:
            work.escape(item.columns.all().origins, f"ALTER TABLE {relation.schema}.{relation.name}")


def _generated(command: Json) -> bool:
    constraints = command["def"]["ColumnDef"].get("constraints", ())
    return any(each["Constraint"]["contype"] == "CONSTR_GENERATED" for each in constraints)


def _rename(work: Work, body: Json) -> None:
    sort: str = body["renameType"]
    if sort == "OBJECT_INDEX" and "relation" in body:  # ALTER INDEX renames tables as well
        name: Json = body["relation"]
        schemas = (name["schemaname"],) if "schemaname" in name else work.schemas()
        if any(work.catalog.relation(schema, name["relname"]) is not None for schema in schemas):
            sort = "OBJECT_TABLE"
    if sort in _TABLES or (sort == "OBJECT_COLUMN" and body["relationType"] in _TABLES):
        relation = _named(work, body["relation"])
        if relation.kind == "v":
            return
        columns = _row(work, relation).columns
        origins = columns.all().origins
        if sort == "OBJECT_COLUMN" and body["subname"] in columns.names:
            origins = columns.values[columns.names.index(body["subname"])].origins
        work.escape(origins, f"ALTER TABLE {relation.schema}.{relation.name} RENAME")
    elif sort == "OBJECT_SCHEMA":
        work.escape(frozenset((ANYTHING,)), "ALTER SCHEMA RENAME")
    elif sort not in _HARMLESS and not (sort == "OBJECT_COLUMN" and body["relationType"] == "OBJECT_VIEW"):
        raise Untraceable(f"what a {_words(sort)} of another name is used for is not known")


def _move(work: Work, body: Json) -> None:
    sort: str = body["objectType"]
    if sort in _TABLES:
        relation = _named(work, body["relation"])
        if relation.kind != "v":
            origins = _row(work, relation).columns.all().origins
            work.escape(origins, f"ALTER TABLE {relation.schema}.{relation.name} SET SCHEMA")
    elif sort not in _HARMLESS:
        raise Untraceable(f"what a {_words(sort)} of another schema is used for is not known")


def _words(sort: str) -> str:
    return sort.removeprefix("OBJECT_").lower()


def _schema(work: Work, body: Json) -> None:
    for each in body.get("schemaElts", ()):
        kind, inner = only(each)
        handler = DEFINING.get(kind)
        if handler is None:
            raise Untraceable(f"{kind.removesuffix('Stmt')} inside of CREATE SCHEMA: send it for itself")
        if kind != "ViewStmt" and kind not in ("CreateStmt", "GrantStmt", "CreateSeqStmt"):
            raise Untraceable(f"{kind.removesuffix('Stmt')} inside of CREATE SCHEMA: send it for itself")
        handler(work, inner)


def _publication(work: Work, body: Json) -> None:
    if body.get("for_all_tables"):
        work.escape(frozenset((ANYTHING,)), "PUBLICATION")
    for each in body.get("pubobjects", ()):
        published: Json = each["PublicationObjSpec"]
        if "pubtable" not in published:
            work.escape(frozenset((ANYTHING,)), "PUBLICATION")
            continue
        named: Json = published["pubtable"]
        item = _row(work, _named(work, named["relation"]))
        work.escape(item.columns.all().origins, "PUBLICATION")
        _expressions(work, named.get("whereClause", {}), item, decides=True)


def _define(work: Work, body: Json) -> None:
    if body["kind"] in ("OBJECT_AGGREGATE", "OBJECT_OPERATOR", "OBJECT_TYPE"):
        raise Untraceable(f"what a new {_words(body['kind'])} does cannot be read")


DEFINING: Final[dict[str, Callable[[Work, Json], None]]] = {
    **dict.fromkeys(
        (
            "AlterCollationStmt", "AlterDefaultPrivilegesStmt", "AlterEnumStmt", "AlterObjectDependsStmt",
            "AlterOwnerStmt", "AlterSeqStmt", "AlterStatsStmt", "AlterTSConfigurationStmt", "AlterTSDictionaryStmt",
            "CompositeTypeStmt", "CreateEnumStmt", "CreateRangeStmt", "CreateSeqStmt", "DropOwnedStmt", "DropRoleStmt",
            "DropStmt", "DropSubscriptionStmt", "GrantRoleStmt", "GrantStmt", "ReassignOwnedStmt", "ViewStmt",
        ),
        _quiet,
    ),
    "AlterDomainStmt": _domain,
    "AlterObjectSchemaStmt": _move,
    "AlterPolicyStmt": _policy,
    "AlterPublicationStmt": _publication,
    "AlterTableStmt": _alter_table,
    "CreateDomainStmt": _domain,
    "CreatePolicyStmt": _policy,
    "CreatePublicationStmt": _publication,
    "CreateSchemaStmt": _schema,
    "CreateStatsStmt": _index,
    "CreateStmt": _table,
    "DefineStmt": _define,
    "IndexStmt": _index,
    "RenameStmt": _rename,
}  # fmt: skip
