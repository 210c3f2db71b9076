"""The server's own grammar (libpg_query), as trees of plain dicts, for whoever must be quick and sure.

The JSON that the library writes is read in a third of the time that its protobuf messages take to walk, and holds
trees ten times as deep. Both sides recurse, so what could nest too deep is not parsed at all: 100,000 nested operators
take the process with them. So do some bodies of PL/pgSQL, in the library's parser for that: it is never called.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeAlias

__all__ = ["MAX_OPERATORS", "MAX_PARSED", "Json", "may_parse", "messages", "syntax"]

Json: TypeAlias = dict[str, Any]

MAX_PARSED: Final = 64 * 1024  # characters; the worst that may be parsed takes 0.2 s
MAX_OPERATORS: Final = 4_000  # 10,000 nested ones take 0.3 s

_OPERATORS: Final = re.compile(r"[-+*/<>=|&^%~!@#:?`]")


def may_parse(text: str) -> bool:
    """Whether a text is short and flat enough. NUL would end it for the library, and not for us."""
    return len(text) <= MAX_PARSED and "\0" not in text and len(_OPERATORS.findall(text)) <= MAX_OPERATORS


def syntax(text: str) -> list[Json] | None:
    """Give a text's statements, each as `{"stmt": {KIND: fields}, "stmt_location", "stmt_len"}` (in bytes of UTF-8).

    None for what does not parse, and for what nests deeper than can be read. Names of kinds begin with a capital, those
    of fields do not; a field whose type says its kind has no kind around it.
    """
    if not may_parse(text):
        return None
    # Imported with the first statement: the process that carries bytes without a policy never needs it.
    from postgast.native import lib

    try:
        result = lib.pg_query_parse(text.encode())
    except UnicodeEncodeError:
        return None  # a lone surrogate
    try:
        return None if result.error else json.loads(result.parse_tree).get("stmts", [])
    except (ValueError, RecursionError):
        return None
    finally:
        lib.pg_query_free_parse_result(result)


def messages(text: str) -> list[Any] | None:
    """Give the same statements as protobuf messages; they know the names of objects better, and nest less deep."""
    if not may_parse(text):
        return None
    from google.protobuf.message import DecodeError
    from postgast import PgQueryError, parse

    try:
        return list(parse(text).stmts)
    except (PgQueryError, DecodeError, UnicodeEncodeError):
        return None
