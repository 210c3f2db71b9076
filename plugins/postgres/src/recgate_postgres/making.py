"""Statements after which the server calls functions, runs programs or lends rights that no later text shows.

A cast between types that are built in, or an operator of a built-in name, would call them; what cannot be seen when it
is used must be seen when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from recgate_postgres.builtin import functions, types, volatile
from recgate_postgres.grammar import Json
from recgate_postgres.parts import Part, label
from recgate_postgres.reading import Reader

__all__ = ["made"]

# Words of a definition that name a function, of aggregates, operators, types and parsers alike.
_CALLS: Final = frozenset(
    (
        "analyze", "canonical", "combinefunc", "deserialfunc", "end", "finalfunc", "function", "gettoken", "headline",
        "init", "input", "join", "lexize", "lextypes", "mfinalfunc", "minvfunc", "msfunc", "output", "procedure",
        "receive", "restrict", "send", "serialfunc", "sfunc", "sfunc1", "start", "subscript", "subtype_diff",
        "typmod_in", "typmod_out",
    )
)  # fmt: skip
# Settings by which the server itself runs programs or loads code.
_RUN: Final = frozenset(
    (
        "archive_cleanup_command", "archive_command", "archive_library", "dynamic_library_path", "jit_provider",
        "local_preload_libraries", "oauth_validator_libraries", "recovery_end_command", "restore_command",
        "session_preload_libraries", "shared_preload_libraries", "ssl_passphrase_command",
    )
)  # fmt: skip
_PLACES: Final = ("filename", "program")  # of a foreign table of `file_fdw`
_WITH_ARGUMENTS: Final = frozenset(("fromsql", "func", "tosql"))
_MEMBERS: Final = ("addroleto", "adminmembers", "rolemembers")
_CALLED: Final = frozenset(("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"))
_TYPES: Final = frozenset(("OBJECT_TYPE", "OBJECT_DOMAIN"))


def made(reader: Reader, kind: str, body: Json, part: Part) -> None:
    """Note what a statement makes the server do later."""
    note = _NOTED.get(kind)
    if note is not None:
        note(reader, body, part)


def _words(names: Iterable[Json]) -> list[str]:
    return [each["String"]["sval"] for each in names]


def _call(reader: Reader, names: list[str], part: Part) -> None:
    # Some that are built in run a text that they are given: `ts_rewrite` behind an operator.
    if names and reader.function_name(names, part) and names[-1] in volatile():
        part.opaque = True


def _options(options: Iterable[Json]) -> Iterator[tuple[str, Json]]:
    for each in options:
        yield each["DefElem"]["defname"], each["DefElem"].get("arg", {})


def _definition(field: str) -> Callable[[Reader, Json, Part], None]:
    def note(reader: Reader, body: Json, part: Part) -> None:
        for name, value in _options(body.get(field, ())):
            if name in _CALLS and "TypeName" in value:
                _call(reader, _words(value["TypeName"]["names"]), part)

    return note


def _named(*fields: str) -> Callable[[Reader, Json, Part], None]:
    def note(reader: Reader, body: Json, part: Part) -> None:
        for field in fields:
            value: Any = body.get(field)
            if not value:
                continue  # a cast may do without
            names: list[Json] = value["objname"] if field in _WITH_ARGUMENTS else value
            _call(reader, _words(names), part)

    return note


def _wrapper(reader: Reader, body: Json, part: Part) -> None:
    for _, value in _options(body.get("func_options", ())):
        _call(reader, _words(value.get("List", {}).get("items", ())), part)


def _operators(reader: Reader, body: Json, part: Part) -> None:
    for each in body.get("items", ()):
        item: Json = each["CreateOpClassItem"]
        if item.get("itemtype") == 2:  # OPCLASS_ITEM_FUNCTION
            _call(reader, _words(item["name"]["objname"]), part)


def _renamed(reader: Reader, body: Json, part: Part) -> None:
    """What is called like something built in is taken for that from now on."""
    sort = body.get("renameType")
    if (sort in _CALLED and body["newname"] in functions()) or (
        sort in _TYPES and body["newname"] in types()
    ):
        part.opaque = True


def _setting(reader: Reader, body: Json, part: Part) -> None:
    part.opaque = part.opaque or body["setstmt"].get("name", "").lower() in _RUN


def _foreign(reader: Reader, body: Json, part: Part) -> None:
    relation: Json = body.get("base", body).get("relation", {})
    said = [*body.get("options", ())]
    for each in body.get("cmds", ()):
        said += each["AlterTableCmd"].get("def", {}).get("List", {}).get("items", ())
    for name, value in _options(each for each in said if "DefElem" in each):
        if name in _PLACES:
            file = reader.open("READ", kind="file")
            place = "file" if name == "filename" else "program"
            file.objects[f"{place} {value.get('String', {}).get('sval', '')}"] = None
            if relation:
                file.tables[label(relation)] = None


def _grant(reader: Reader, verb: str, roles: Iterable[Json]) -> None:
    part = reader.open(verb)
    for each in roles:
        role: Json = each.get("RoleSpec", {})
        name = role.get("rolename") or role.get("roletype", "").removeprefix("ROLESPEC_").lower()
        part.objects[f"role {name}"] = None


def _defaults(reader: Reader, body: Json, part: Part) -> None:
    action: Json = body["action"]
    _grant(reader, "GRANT" if action.get("is_grant") else "REVOKE", action.get("grantees", ()))


def _members(reader: Reader, body: Json, part: Part) -> None:
    for name, value in _options(body.get("options", ())):
        if name in _MEMBERS:
            verb = "REVOKE" if body.get("action") == -1 else "GRANT"
            _grant(reader, verb, value.get("List", {}).get("items", ()))


_NOTED: Final[dict[str, Callable[[Reader, Json, Part], None]]] = {
    "AlterDatabaseSetStmt": _setting,
    "AlterDefaultPrivilegesStmt": _defaults,
    "AlterFdwStmt": _wrapper,
    "AlterOpFamilyStmt": _operators,
    "AlterOperatorStmt": _definition("options"),
    "AlterRoleSetStmt": _setting,
    "AlterRoleStmt": _members,
    "AlterSystemStmt": _setting,
    "AlterTableStmt": _foreign,
    "AlterTypeStmt": _definition("options"),
    "CreateAmStmt": _named("handler_name"),
    "CreateCastStmt": _named("func"),
    "CreateConversionStmt": _named("func_name"),
    "CreateFdwStmt": _wrapper,
    "CreateForeignTableStmt": _foreign,
    "CreateOpClassStmt": _operators,
    "CreatePLangStmt": _named("plhandler", "plinline", "plvalidator"),
    "CreateRangeStmt": _definition("params"),
    "CreateRoleStmt": _members,
    "CreateTransformStmt": _named("fromsql", "tosql"),
    "DefineStmt": _definition("definition"),
    "RenameStmt": _renamed,
}
