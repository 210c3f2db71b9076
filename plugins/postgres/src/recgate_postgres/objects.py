"""The server's statement types in words: which verb each is, and what it names. Driven by libpg_query's field names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["action", "named_objects"]

# Verbs that the first word of the field's name does not give.
_VERBS: Final = {
    "createdb_stmt": "CREATE",
    "dropdb_stmt": "DROP",
    "index_stmt": "CREATE",
    "view_stmt": "CREATE",
    "rule_stmt": "CREATE",
    "define_stmt": "CREATE",
    "composite_type_stmt": "CREATE",
    "rename_stmt": "ALTER",
    "replica_identity_stmt": "ALTER",
    "variable_show_stmt": "SHOW",
    "declare_cursor_stmt": "DECLARE",
    "close_portal_stmt": "CLOSE",
    "check_point_stmt": "CHECKPOINT",
    "constraints_set_stmt": "SET",
    "refresh_mat_view_stmt": "REFRESH",
    "sec_label_stmt": "SECURITY",
    "import_foreign_schema_stmt": "IMPORT",
}
# What CREATE, ALTER and the like are about, and the field that names it.
_KINDS: Final = {
    "createdb_stmt": ("database", "dbname"),
    "dropdb_stmt": ("database", "dbname"),
    "alter_database_stmt": ("database", "dbname"),
    "alter_database_set_stmt": ("database", "dbname"),
    "alter_database_refresh_coll_stmt": ("database", "dbname"),
    "create_role_stmt": ("role", "role"),
    "alter_role_stmt": ("role", "role"),
    "alter_role_set_stmt": ("role", "role"),
    "drop_role_stmt": ("role", "roles"),
    "grant_role_stmt": ("role", "granted_roles"),
    "drop_owned_stmt": ("role", "roles"),
    "reassign_owned_stmt": ("role", "roles"),
    "create_schema_stmt": ("schema", "schemaname"),
    "create_table_space_stmt": ("tablespace", "tablespacename"),
    "drop_table_space_stmt": ("tablespace", "tablespacename"),
    "create_extension_stmt": ("extension", "extname"),
    "alter_extension_stmt": ("extension", "extname"),
    "create_stmt": ("table", "relation"),
    "create_foreign_table_stmt": ("table", "base_stmt"),
    "create_table_as_stmt": ("table", "into"),
    "truncate_stmt": ("table", "relations"),
    "alter_seq_stmt": ("sequence", "sequence"),
    "create_seq_stmt": ("sequence", "sequence"),
    "view_stmt": ("view", "view"),
    "index_stmt": ("index", "idxname"),
    "refresh_mat_view_stmt": ("matview", "relation"),
    "create_function_stmt": ("function", "funcname"),
    "alter_function_stmt": ("function", "func"),
    "create_trig_stmt": ("trigger", "trigname"),
    "create_event_trig_stmt": ("trigger", "trigname"),
    "alter_event_trig_stmt": ("trigger", "trigname"),
    "create_policy_stmt": ("policy", "policy_name"),
    "alter_policy_stmt": ("policy", "policy_name"),
    "rule_stmt": ("rule", "rulename"),
    "composite_type_stmt": ("type", "typevar"),
    "create_enum_stmt": ("type", "type_name"),
    "create_range_stmt": ("type", "type_name"),
    "alter_enum_stmt": ("type", "type_name"),
    "alter_type_stmt": ("type", "type_name"),
    "create_domain_stmt": ("domain", "domainname"),
    "alter_domain_stmt": ("domain", "type_name"),
    "create_fdw_stmt": ("fdw", "fdwname"),
    "alter_fdw_stmt": ("fdw", "fdwname"),
    "create_foreign_server_stmt": ("server", "servername"),
    "alter_foreign_server_stmt": ("server", "servername"),
    "create_user_mapping_stmt": ("mapping", "servername"),
    "alter_user_mapping_stmt": ("mapping", "servername"),
    "drop_user_mapping_stmt": ("mapping", "servername"),
    "create_plang_stmt": ("language", "plname"),
    "create_publication_stmt": ("publication", "pubname"),
    "alter_publication_stmt": ("publication", "pubname"),
    "create_subscription_stmt": ("subscription", "subname"),
    "alter_subscription_stmt": ("subscription", "subname"),
    "drop_subscription_stmt": ("subscription", "subname"),
    "alter_system_stmt": ("system", ""),
}
# Statements whose kind of object is a field of its own, and the field that names it.
_TYPED: Final = {
    "drop_stmt": ("remove_type", "objects"),
    "alter_table_stmt": ("objtype", "relation"),
    "rename_stmt": ("rename_type", ""),
    "comment_stmt": ("objtype", "object"),
    "sec_label_stmt": ("objtype", "object"),
    "grant_stmt": ("objtype", "objects"),
    "define_stmt": ("kind", "defnames"),
    "alter_owner_stmt": ("object_type", "object"),
    "alter_object_schema_stmt": ("object_type", "object"),
}
_TRANSACTIONS: Final = {
    "BEGIN": "BEGIN",
    "START": "BEGIN",
    "COMMIT": "COMMIT",
    "ROLLBACK": "ROLLBACK",
    "SAVEPOINT": "SAVEPOINT",
    "RELEASE": "RELEASE",
    "ROLLBACK_TO": "ROLLBACK",
    "PREPARE": "PREPARE",
    "COMMIT_PREPARED": "COMMIT",
    "ROLLBACK_PREPARED": "ROLLBACK",
}


def action(field: str, statement: Message) -> Iterator[str]:
    """Give a statement's own verb, by the name of its field in `Node`. What it wraps is found by the walk."""
    if field == "transaction_stmt":
        yield _TRANSACTIONS.get(_enum(statement, "kind").removeprefix("TRANS_STMT_"), "TRANSACTION")
    elif field == "variable_set_stmt":
        yield "RESET" if "RESET" in _enum(statement, "kind") else "SET"
    elif field == "fetch_stmt":
        yield "MOVE" if _flag(statement, "ismove") else "FETCH"
    elif field in ("grant_stmt", "grant_role_stmt"):
        yield "GRANT" if _flag(statement, "is_grant") else "REVOKE"
    elif field == "vacuum_stmt":
        yield "VACUUM" if _flag(statement, "is_vacuumcmd") else "ANALYZE"
    else:
        yield _VERBS.get(field) or field.partition("_")[0].upper()


def named_objects(field: str, statement: Message) -> Iterator[str]:
    """Give what the statement is about, each as `kind name`, or as the kind alone."""
    if field in _TYPED:
        kind_field, name_field = _TYPED[field]
        kind = _enum(statement, kind_field).removeprefix("OBJECT_").lower()
    elif field in _KINDS:
        kind, name_field = _KINDS[field]
    else:
        return
    if field == "rename_stmt":
        name_field = (
            "relation"
            if _has(statement, "relation")
            else "object"
            if _has(statement, "object")
            else "subname"
        )
    names = list(_names(getattr(statement, name_field))) if name_field else []
    for name in names or [""]:
        yield f"{kind} {name}".rstrip()


def _enum(message: Message, field: str) -> str:
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    assert enum is not None
    found = enum.values_by_number.get(getattr(message, field))
    return found.name if found is not None else ""


def _flag(message: Message, field: str) -> bool:
    return bool(getattr(message, field))


def _has(message: Message, field: str) -> bool:
    return any(descriptor.name == field for descriptor, _ in message.ListFields())


def _names(value: object) -> Iterator[str]:
    """Give the names in a field: a string, a node that names something, or several of them."""
    if isinstance(value, str):
        if value:
            yield value
        return
    kind = getattr(getattr(value, "DESCRIPTOR", None), "name", "")
    if kind == "":
        parts = [name for each in _each(value) for name in _names(each)]
        # A qualified name is a list of strings; a list of objects is not.
        yield from [".".join(parts)] if parts and _strings(value) else parts
        return
    yield from _named(kind, value)


def _named(kind: str, value: object) -> Iterator[str]:

    def get(name: str) -> Any:  # noqa: ANN401 - fields are generated, so no checker knows them
        return getattr(value, name)

    if kind == "Node":
        field = get("WhichOneof")("node")
        if field is not None:
            yield from _names(get(field))
    elif kind == "RangeVar":
        yield f"{get('schemaname')}.{get('relname')}" if get("schemaname") else get("relname")
    elif kind == "RoleSpec":
        yield get("rolename") or "current_user"
    elif kind == "String":
        yield get("sval")
    elif kind == "AccessPriv":
        yield get("priv_name")
    else:
        inner = {
            "List": "items",
            "TypeName": "names",
            "ObjectWithArgs": "objname",
            "IntoClause": "rel",
            "CreateStmt": "relation",
        }.get(kind)
        if inner is not None:
            yield from _names(get(inner))


def _each(value: object) -> list[object]:
    return list(value)  # type: ignore[call-overload] - a repeated field


def _strings(value: object) -> bool:
    return all(each.WhichOneof("node") == "string" for each in _each(value))  # type: ignore[attr-defined]
