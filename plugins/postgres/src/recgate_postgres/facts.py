"""What a statement does, to what: verbs, kinds of objects, tables, columns. For search; never on the hot path.

The parser is the server's own (libpg_query). It recurses on deep trees and would take the process with it, so
what could nest too deep is not parsed; that, like what has a syntax error, is known by its first words only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from recgate_postgres.grammar import MAX_PARSED, messages
from recgate_postgres.objects import action, named_objects

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["Facts", "FactsCache", "facts_of", "pieces_of"]

MAX_NAMES: Final = 64  # of each sort, for a statement
MAX_NODES: Final = 200_000
MAX_CACHED: Final = 4_096
MAX_CACHED_TEXT: Final = 8_192

# Numbers do not change what a statement does, unless they stand in a quoted identifier.
_NUMBER: Final = re.compile(r"\b\d+")
# Possessive, so that what does not match costs one pass.
_WORD: Final = re.compile(r"(?:\s++|--[^\n]*+(?:\n|\Z)|/\*.*?\*/|;)*+([A-Za-z]+)", re.DOTALL)
_FIRST_TABLE: Final = re.compile(
    r"(?:insert\s+into|update(?:\s+only)?|delete\s+from(?:\s+only)?|copy|truncate(?:\s+table)?)\s+"
    r'((?:"(?:[^"]|"")+"|[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[\w$]+))?)',
    re.IGNORECASE,
)
_NESTED: Final = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))
_WRAPPERS: Final = frozenset(
    ("explain_stmt", "prepare_stmt", "declare_cursor_stmt", "copy_stmt", "create_table_as_stmt")
)
_TABLES: Final = frozenset(("table", "view", "matview", "foreign_table"))


@dataclass(frozen=True, slots=True)
class Facts:
    """Verbs in upper case, in their order; objects as `kind name`; tables with their schema if one was written."""

    verbs: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    parsed: bool = True
    search: tuple[tuple[str, str], ...] = ()

    def searchable(self) -> Facts:
        """Give the same facts with their search terms: in lower case, names also without their schema."""
        found: dict[tuple[str, str], None] = {}
        for verb in self.verbs:
            found["verb", verb.lower()] = None
        for thing in self.objects:
            kind, _, name = thing.lower().partition(" ")
            found["object", kind] = None
            for part in _parts(name):
                found["object", part] = None
        for table in self.tables:
            for part in _parts(table.lower()):
                found["table", part] = None
        for column in self.columns:
            found["column", column.lower()] = None
        return replace(self, search=tuple(found))


def pieces_of(text: str) -> list[str]:
    """Take the statements of a text apart; one that cannot be parsed is one piece."""
    if text.find(";", 0, len(text.rstrip(" \t\r\n;"))) < 0:
        return [text]
    found = messages(text)
    if found is None or len(found) < 2:
        return [text]
    encoded = text.encode()
    pieces: list[str] = []
    for raw in found:
        start, length = raw.stmt_location, raw.stmt_len
        pieces.append(encoded[start : start + length if length else None].decode("utf-8", "replace").strip())
    return pieces


def _parts(name: str) -> tuple[str, ...]:
    bare = name.rpartition(".")[2]
    return tuple(part for part in dict.fromkeys((name, bare)) if part)


def facts_of(text: str) -> Facts:
    """Work out a statement's facts. Never raises: what does not parse has what its first words say."""
    found = messages(text)
    return _first_words(text) if found is None else _collect(found)


def _first_words(text: str) -> Facts:
    word = _WORD.match(text[:MAX_PARSED])
    if word is None:
        return Facts(parsed=False)
    table = _FIRST_TABLE.match(text[word.start(1) : word.start(1) + 400])
    tables = (table[1].replace('"', "").replace(" ", ""),) if table else ()
    return Facts((word[1].upper(),), (), tables, (), parsed=False)


def _collect(statements: list[Any]) -> Facts:
    verbs: dict[str, None] = {}
    objects: dict[str, None] = {}
    tables: dict[str, None] = {}
    columns: dict[str, None] = {}
    local: set[str] = set()
    for raw in statements:
        node = raw.stmt
        field = node.WhichOneof("node")
        if field is None:
            continue
        statement = getattr(node, field)
        verbs.update(dict.fromkeys(action(field, statement)))
        for thing in named_objects(field, statement):
            objects[thing] = None
            kind, _, name = thing.partition(" ")
            if kind in _TABLES and name:
                tables[name] = None
        for message in _walk(statement):
            if message.DESCRIPTOR.name == "SelectStmt" and field in _WRAPPERS:
                verbs["SELECT"] = None
            _note(message, verbs, tables, columns, local)
    return Facts(
        tuple(verbs)[:MAX_NAMES],
        tuple(objects)[:MAX_NAMES],
        tuple(name for name in tables if name not in local)[:MAX_NAMES],
        tuple(columns)[:MAX_NAMES],
    )


def _note(
    message: Any,  # noqa: ANN401 - fields are generated, so no checker knows them
    verbs: dict[str, None],
    tables: dict[str, None],
    columns: dict[str, None],
    local: set[str],
) -> None:
    kind = message.DESCRIPTOR.name
    if kind == "RangeVar":
        schema, name = message.schemaname, message.relname
        tables[f"{schema}.{name}" if schema else name] = None
    elif kind == "ColumnRef":
        last = message.fields[-1] if message.fields else None
        if last is not None and last.WhichOneof("node") == "string":
            columns[last.string.sval] = None
    elif kind == "CommonTableExpr":
        local.add(message.ctename)
    elif kind in _NESTED:
        verbs[kind.removesuffix("Stmt").upper()] = None


def _walk(root: Message) -> Iterator[Message]:
    stack = [root]
    for _ in range(MAX_NODES):
        if not stack:
            return
        message = stack.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(reversed(value) if field.is_repeated else (value,))


class FactsCache:
    """Facts by text. A statement's numbers are left out of the key, so that an ad-hoc query is parsed once too."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Facts] = {}

    def get(self, text: str) -> Facts:
        """Give the facts of a statement; never raises."""
        if len(text) > MAX_CACHED_TEXT:
            return facts_of(text).searchable()
        key = text if '"' in text else _NUMBER.sub("0", text)
        found = self._known.get(key)
        if found is None:
            found = facts_of(text).searchable()
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            self._known[key] = found
        return found
