"""Built-in functions that do more than compute: they run texts, touch files, change settings, walk over tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recgate_postgres.grammar import Json

if TYPE_CHECKING:
    from recgate_postgres.parts import Part
    from recgate_postgres.reading import Reader

__all__ = ["FILES", "read"]

# Which argument is a statement that is run.
_TEXTS: Final = {
    "query_to_xml": 0,
    "query_to_xml_and_xmlschema": 0,
    "query_to_xmlschema": 0,
    "ts_rewrite": 1,
    "ts_stat": 0,
}
_TABLES: Final = frozenset(("table_to_xml", "table_to_xml_and_xmlschema", "table_to_xmlschema"))
# These read what no text names: a whole schema, a whole database, whatever a cursor gives.
_ANYTHING: Final = frozenset(
    f"{what}_to_xml{how}"
    for what in ("schema", "database", "cursor")
    for how in ("", "schema", "_and_xmlschema")
)
# Functions that read and write files of the server, and the argument that names them.
FILES: Final = {
    "lo_export": ("WRITE", 1),
    "lo_import": ("READ", 0),
    "pg_ls_dir": ("READ", 0),
    "pg_read_binary_file": ("READ", 0),
    "pg_read_file": ("READ", 0),
    "pg_read_file_old": ("READ", 0),
    "pg_stat_file": ("READ", 0),
}


def read(reader: Reader, name: str, arguments: list[Json], part: Part) -> None:
    """Note what a call of a built-in function does besides."""
    if name in FILES:
        verb, position = FILES[name]
        file = reader.open(verb, kind="file")
        path = _constant(arguments, position)
        file.objects["file" if path is None else f"file {path}"] = None
        file.functions[name] = None
        file.opaque = path is None
    elif name in _TEXTS:
        if name != "ts_rewrite" or len(arguments) == 2:
            text = _constant(arguments, _TEXTS[name])
            if text is None:
                part.opaque = True
            else:
                reader.text(text, part)
    elif name in _TABLES:
        _table(_constant(arguments, 0), part)
    elif name in _ANYTHING:
        part.opaque = True
    elif name == "set_config":
        setting = _constant(arguments, 0)
        done = reader.open("SET", opaque=setting is None)
        done.objects["setting" if setting is None else f"setting {setting.lower()}"] = None
        if setting is not None and setting.lower() in ("role", "session_authorization"):
            value = _constant(arguments, 1)
            done.opaque = value is None
            done.objects["role" if value is None else f"role {value}"] = None


def _table(name: str | None, part: Part) -> None:
    if name is None or not name.replace(".", "").replace("_", "").isalnum() or name != name.lower():
        part.opaque = True
    else:
        part.tables[name] = part.read[f"{name}.*"] = None


def _constant(arguments: list[Json], position: int) -> str | None:
    """Give an argument that is written out, with or without a cast."""
    if position >= len(arguments):
        return None
    node = arguments[position]
    while "TypeCast" in node and _as_written(node["TypeCast"]["typeName"]):
        node = node["TypeCast"]["arg"]
    # Of arguments that are named, in any order, what stands here is another's: there is no constant then.
    found = node.get("A_Const", {}).get("sval")
    return str(found.get("sval", "")) if found is not None else None


def _as_written(type_name: Json) -> bool:
    """Whether a cast leaves a text as it is: one to `varchar(8)` cuts it."""
    names = [each.get("String", {}).get("sval") for each in type_name["names"]]
    return names in (["text"], ["pg_catalog", "text"]) and not type_name.keys() & {"typmods", "arrayBounds"}
