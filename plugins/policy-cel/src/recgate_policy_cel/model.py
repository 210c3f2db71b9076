"""What conditions may speak of: every field with its type and meaning, decided once, and checked by name.

Fields are `static` where a session does not change them (then rules that cannot match drop out when it opens),
`fact` where they are read out of what a request does (opaque requests do not tell), or `counter` where they move
while the session goes on (and may only be compared with numbers, which makes a threshold of the comparison).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "BOOL",
    "FIELDS",
    "INT",
    "KINDS",
    "LABELS",
    "ROOTS",
    "STRING",
    "STRINGS",
    "ZERO",
    "Field",
    "Nature",
]

BOOL, INT, STRING, STRINGS, INTS = "bool", "int", "string", "list(string)", "list(int)"
LABELS: Final = "map(string, string)"

ZERO: Final[Mapping[str, object]] = {BOOL: False, INT: 0, STRING: "", STRINGS: (), LABELS: {}}

# The kinds of requests that there are. A condition that compares `request.kind` with another word never matches.
KINDS: Final = ("session", "sql", "shell", "file", "forward", "agent", "x11", "replication")


class Nature(StrEnum):
    """When a field's value is known."""

    STATIC = "static"
    KIND = "kind"
    PLAIN = "plain"
    FACT = "fact"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `root.name`, a type of CEL, and what it means."""

    root: str
    name: str
    type: str
    nature: Nature
    meaning: str

    @property
    def path(self) -> str:
        """As a condition writes it."""
        return f"{self.root}.{self.name}"


def _static(root: str, name: str, type: str, meaning: str) -> Field:  # noqa: A002 - the word for it
    return Field(root, name, type, Nature.STATIC, meaning)


def _request(name: str, type: str, nature: Nature, meaning: str) -> Field:  # noqa: A002 - the word for it
    return Field("request", name, type, nature, meaning)


def _counter(name: str, meaning: str, root: str = "session") -> Field:
    return Field(root, name, INT, Nature.COUNTER, meaning)


_ALL: Final = (
    _static("principal", "name", STRING, "the name that rules and `allow:` lists speak of, with its source's prefix"),
    _static("principal", "groups", STRINGS, "groups, with their source's prefix"),
    _static("principal", "issuer", STRING, "who vouches for the principal"),
    _static("principal", "subject", STRING, "what the issuer calls the principal"),
    _static("principal", "method", STRING, "how the credential was presented: `token`, `publickey`, …"),
    _static("principal", "source", STRING, "the identity source that proved it"),
    _static("principal", "acr", STRING, "the authentication context (OpenID Connect Core §2), or empty"),
    _static("principal", "amr", STRINGS, "the authentication methods (RFC 8176), or none"),
    _counter("rows_today", "rows of all counted sessions of the principal today", "principal"),
    _counter("bytes_today", "likewise bytes", "principal"),
    _counter("statements_today", "likewise different statements", "principal"),
    _counter("files_today", "likewise files", "principal"),
    _static("target", "name", STRING, "the target's name"),
    _static("target", "protocol", STRING, "`postgres`, `ssh`, …"),
    _static("target", "host", STRING, "the host in `address:`"),
    _static("target", "port", INT, "the port in `address:`"),
    _static("target", "via", STRING, "the way there, `agent`, or empty"),
    _static("target", "labels", LABELS, '`target.labels.env` or `target.labels["data-class"]`; missing is `""`'),
    _static("session", "source", STRING, "the client's address, without its port"),
    _static("session", "reason", STRING, "the reason that the client gave when it connected, or empty"),
    _counter("requests", "requests of this session, this one included, the one at the door too"),
    _counter("denied", "requests of this session that were denied so far"),
    _counter("files", "requests of kind `file` of this session, this one included"),
    _counter("statements", "different statements and commands of this session, this one included"),
    _counter("rows", "rows that the target gave to the client: checked as they flow"),
    _counter("bytes", "bytes that the target gave to the client: checked as they flow"),
    _counter("bytes_in", "bytes that the client's frames brought to the target so far"),
    _counter("bytes_out", "the same as `session.bytes`"),
    _counter("seconds", "whole seconds since the session opened"),
    _counter("hour", "hour of the day, 0 to 23, in the gateway's time zone"),
    _counter("weekday", "day of the week, 1 (Monday) to 7 (Sunday), in the gateway's time zone"),
    _request("kind", STRING, Nature.KIND, "`session` (opening it), `sql`, `shell`, `file`, `forward`, …"),
    _request("text", STRING, Nature.PLAIN, "statement, command or path as it was written; of `forward` `host:port`"),
    _request("verb", STRING, Nature.FACT, "of `sql` upper-case, `DROP`; of files `READ`, `WRITE`; else a program"),
    _request("objects", STRINGS, Nature.FACT, "`kind name` with schema: `table public.customers`"),
    _request("tables", STRINGS, Nature.FACT, "relations read or written, with schema: `public.customers`"),
    _request("columns_read", STRINGS, Nature.FACT, "`public.customers.email`; `*.email` of an unknown relation"),
    _request("columns_written", STRINGS, Nature.FACT, "likewise"),
    _request("functions", STRINGS, Nature.FACT, "functions called: `pg_sleep`, `app.refund`"),
    _request("has_where", BOOL, Nature.FACT, "of SELECT, UPDATE, DELETE: whether a condition narrows it; else true"),
    _request("has_limit", BOOL, Nature.FACT, "whether LIMIT or FETCH FIRST bounds the rows; true where there are none"),
    _request("opaque", BOOL, Nature.PLAIN, "whether what it does cannot be read from its text"),
    _request("path", STRING, Nature.FACT, "of `file`: the path, absolute and without `..`"),
    _request("direction", STRING, Nature.FACT, "of `file` `upload`, `download`, `remove`, …; of `forward` `local`, …"),
    _request("host", STRING, Nature.PLAIN, "of `forward`: where to"),
    _request("port", INT, Nature.PLAIN, "of `forward`: where to"),
    _request("subsystem", STRING, Nature.PLAIN, "of an SSH subsystem: its name, such as `sftp`"),
    _request("database", STRING, Nature.PLAIN, "of `session` at a database: which one is opened"),
    _request("pty", BOOL, Nature.PLAIN, "of `shell`: whether a terminal was asked for"),
)  # fmt: skip

ROOTS: Final = ("principal", "target", "session", "request")
FIELDS: Final[Mapping[tuple[str, str], Field]] = {(field.root, field.name): field for field in _ALL}
