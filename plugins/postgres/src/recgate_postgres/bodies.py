"""CREATE FUNCTION: what its body will do is an act now, since nobody can read it off the call.

SQL bodies are read. PL/pgSQL is not: libpg_query's parser for it ends the process on some texts (an assertion in
`compile_create_function_stmt_via_callback`), which would be one session's way to end all others.
"""

from __future__ import annotations

from typing import Any

from recgate_postgres.grammar import Json
from recgate_postgres.parts import Part, Scope
from recgate_postgres.reading import Reader

__all__ = ["define_function"]


def define_function(reader: Reader, body: Json, part: Part) -> None:
    """Read the body of a function or procedure; one in a language that cannot be read makes `part` opaque."""
    for each in body.get("parameters", ()):
        reader.walk(each["FunctionParameter"].get("defexpr", {}), Scope(), part)
    if "sql_body" in body:
        _atomic(reader, body["sql_body"])
        return
    options = {each["DefElem"]["defname"]: each["DefElem"].get("arg", {}) for each in body.get("options", ())}
    language = options.get("language", {}).get("String", {}).get("sval", "sql")
    source = [
        each.get("String", {}).get("sval", "")
        for each in options.get("as", {}).get("List", {}).get("items", ())
    ]
    if len(source) == 1 and language.lower() == "sql":
        reader.text(source[0], part)
    else:
        part.opaque = True


def _atomic(reader: Reader, node: Any) -> None:  # noqa: ANN401 - a tree of anything
    """Read BEGIN ATOMIC … END, and RETURN with an expression."""
    if node.__class__ is list:
        for each in node:
            _atomic(reader, each)
    elif "List" in node:
        _atomic(reader, node["List"].get("items", []))
    elif "ReturnStmt" in node:
        part = reader.open("SELECT")
        reader.walk(node["ReturnStmt"].get("returnval", {}), Scope(), part)
    elif node:
        reader.statement(node)
