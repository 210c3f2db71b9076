"""The language of `recgate search`: words, "phrases", fields, /patterns/ and times, all of which must hold."""

from __future__ import annotations

import difflib
import re
from typing import Final

from recgate.errors import RecgateError
from recgate.providers import SearchQuery
from recgate.transcript.moments import parse_moment

__all__ = ["FIELDS", "QueryError", "parse_query"]

MAX_QUERY: Final = 10_000  # characters
MAX_PARTS: Final = 64

# What may stand before a colon, and the name that it is indexed under.
FIELDS: Final = {
    "session": "session",
    "user": "user",
    "group": "group",
    "target": "target",
    "protocol": "protocol",
    "source": "source",
    "kind": "kind",
    "verb": "verb",
    "object": "object",
    "table": "table",
    "column": "column",
    "schema": "schema",
    "database": "database",
    "function": "function",
    "role": "role",
    "file": "file",
    "path": "file",
    "command": "command",
    "host": "host",
    "secret": "secret",
    "rule": "rule",
    "decision": "decision",
    "error": "error",
}

_FIELD: Final = re.compile(r"([A-Za-z][A-Za-z_]*):")
_PATTERN: Final = re.compile(r"/((?:[^/\\]|\\.)+)/(i?)(?=\s|\Z)", re.DOTALL)
_WORD: Final = re.compile(r"\S+")


class QueryError(RecgateError):
    """A query that cannot be understood; the message says how to write it."""


def parse_query(text: str, now: float, limit: int = 100) -> SearchQuery:
    """Take a query apart.

    `DROP DATABASE` finds entries with both words, `"drop database"` those with the phrase, `drop*` any word that
    begins so, `verb:drop object:database user:alice table:customers secret:*` what is known of an entry and its
    session, `/drop\\s+table/i` a pattern (a slash in it is written `\\/`), `since:30d until:2026-11-24` when.
    Words are looked for without regard to case. `now` is wall-clock seconds.

    Raises:
        QueryError: a quote that is left open, an unknown field, a field without value, a time that is none.
    """
    if len(text) > MAX_QUERY:
        raise QueryError(f"the query is longer than {MAX_QUERY} characters; search for a part of it")
    parser = _Parser(text, now)
    parser.parse()
    return SearchQuery(
        terms=tuple(parser.terms),
        phrases=tuple(parser.phrases),
        fields=tuple(parser.fields),
        regex=parser.regex,
        since=parser.times.get("since"),
        until=parser.times.get("until"),
        limit=limit,
    )


class _Parser:
    def __init__(self, text: str, now: float) -> None:
        self.terms: list[str] = []
        self.phrases: list[str] = []
        self.fields: list[tuple[str, str]] = []
        self.regex = ""
        self.times: dict[str, float] = {}
        self._text = text
        self._now = now
        self._at = 0

    def parse(self) -> None:
        text = self._text
        parts = 0
        while self._at < len(text):
            if text[self._at].isspace():
                self._at += 1
                continue
            parts += 1
            if parts > MAX_PARTS:
                raise QueryError(f"the query has more than {MAX_PARTS} parts; search for fewer of them")
            self._part(text[self._at])
        if not parts:
            raise QueryError("the query is empty; write what to look for, such as: DROP DATABASE user:alice")

    def _part(self, first: str) -> None:
        if first == '"':
            if phrase := self._quoted():
                self.phrases.append(phrase)
        elif first == "/" and (pattern := _PATTERN.match(self._text, self._at)):
            self._take_pattern(pattern)
        elif (field := _FIELD.match(self._text, self._at)) and not self._is_address(field):
            self._at = field.end()
            self._take_field(field[1].lower())
        else:
            self.terms.append(self._word())

    def _is_address(self, field: re.Match[str]) -> bool:
        # https://… is text; in a field's value two slashes would be a pattern's, which no field takes.
        return field[1].lower() not in FIELDS and self._text.startswith("//", field.end())

    def _word(self) -> str:
        match = _WORD.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _quoted(self) -> str:
        end = self._text.find('"', self._at + 1)
        if end < 0:
            raise QueryError(
                f"a quote is left open at {self._text[self._at : self._at + 20]!r}: add the closing one"
            )
        inside = self._text[self._at + 1 : end]
        self._at = end + 1
        return inside.strip()

    def _take_pattern(self, pattern: re.Match[str]) -> None:
        if self.regex:
            raise QueryError("a query takes one /pattern/; join them with | or search twice")
        self._at = pattern.end()
        self.regex = ("(?i)" if pattern[2] else "") + pattern[1].replace("\\/", "/")

    def _take_field(self, name: str) -> None:
        quoted = self._text.startswith('"', self._at)
        value = self._quoted() if quoted else self._word()
        if name not in FIELDS and name not in ("since", "until"):
            near = difflib.get_close_matches(name, [*FIELDS, "since", "until"], n=1)
            meant = f"did you mean {near[0]}:? " if near else ""
            raise QueryError(
                f"there is no field {name}:; {meant}Fields are {', '.join(FIELDS)}, since, until. "
                f'To look for the text itself, quote it: "{name}:{value}"'
            )
        if not value:
            raise QueryError(f"{name}: needs a value right behind the colon, such as {name}:* for any")
        if name in FIELDS:
            self.fields.append((FIELDS[name], value))
            return
        try:
            self.times[name] = parse_moment(value, self._now, end=name == "until")
        except ValueError as exc:
            raise QueryError(f"{name}: {exc}") from None
