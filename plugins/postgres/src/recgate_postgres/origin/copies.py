"""Rows that COPY writes, as text, CSV or binary, with columns hidden.

Nobody says there of which type a column is. So digits stay digits, words become stars, and whatever looks like a value
of a type with a form of its own becomes NULL: it can be loaded again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recgate.mask.masking import MaskFailed
from recgate.mask.replacing import Becomes, Replacer
from recgate_postgres.binarycopy import rewritten
from recgate_postgres.encodings import ascii_safe
from recgate_postgres.grammar import Json

if TYPE_CHECKING:
    from recgate_postgres.maskfound import Found
    from recgate_postgres.origin.outcomes import Hidden, Outcome

__all__ = ["CopyFormat", "CopyMask", "copy_format"]

_DIGITS: Final = re.compile(rb"[0-9]+\Z")
_NUMBER: Final = re.compile(rb"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
# Forms of dates, times, addresses, uuids, booleans, arrays, records, ranges, documents and `bytea`.
_FORMED: Final = re.compile(
    rb"[{(\[\"\\].*|[tf]|true|false|[0-9]{4,}-[0-9]{2}-[0-9]{2}.*|[0-9]{2}:[0-9]{2}.*|[0-9]{2}[-/.][0-9]{2}[-/.][0-9]{4}.*"
    rb"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9.]{7,15}(/[0-9]+)?|[0-9a-fA-F:]*::?[0-9a-fA-F:]*"
    rb"|-?infinity|NaN|[$][0-9].*|[01]+|P[0-9].*|[0-9]+ (years?|mons?|days?).*",
    re.DOTALL | re.IGNORECASE,
)
_ESCAPES: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPED: Final = {value: b"\\" + letter for letter, value in _ESCAPES.items()}


@dataclass(frozen=True, slots=True)
class CopyFormat:
    """How COPY writes rows: the options of the statement."""

    kind: str = "text"
    delimiter: bytes = b"\t"
    null: bytes = b"\\N"
    quote: bytes = b'"'
    escape: bytes = b'"'
    header: bool = False


def copy_format(statement: Json) -> CopyFormat | None:
    """Read a CopyStmt's options; None where its rows could not be taken apart for certain."""
    options: dict[str, object] = {}
    for each in statement.get("options", ()):
        element = each["DefElem"]
        options[element["defname"]] = _value(element.get("arg"))
    kind = str(options.pop("format", "text"))
    encoding = options.pop("encoding", "UTF8")
    options.pop("force_quote", None)
    options.pop("freeze", None)
    csv = kind == "csv"
    given = {
        "delimiter": options.pop("delimiter", "," if csv else "\t"),
        "null": options.pop("null", "" if csv else "\\N"),
        "quote": (quote := options.pop("quote", '"')),
        "escape": options.pop("escape", quote),
    }
    header = options.pop("header", False) in (True, "true", "on", "1", 1, "yes", "t", "y")
    texts = {key: each for key, each in given.items() if isinstance(each, str) and each.isascii()}
    single = all(len(texts.get(key, "")) == 1 for key in ("delimiter", "quote", "escape"))
    safe = isinstance(encoding, str) and ascii_safe(encoding.encode("ascii", "replace"), utf8=False)
    if options or kind not in ("text", "csv", "binary") or len(texts) < len(given) or not single or not safe:
        return None
    made = {key: each.encode() for key, each in texts.items()}
    return CopyFormat(kind, made["delimiter"], made["null"], made["quote"], made["escape"], header)


def _value(argument: Json | None) -> object:
    if argument is None:
        return True
    if "String" in argument:
        return argument["String"].get("sval", "")
    if "Boolean" in argument:
        return bool(argument["Boolean"].get("boolval"))
    if "Integer" in argument:
        return argument["Integer"].get("ival", 0)
    return None


class CopyMask:
    """Hides columns of one COPY. `masked` takes each CopyData, which the server ends where a row ends."""

    __slots__ = ("_first", "_format", "_outcome")

    def __init__(self, outcome: Outcome, binary: bool) -> None:
        """Raise `MaskFailed` where nobody knows how the rows are written."""
        if outcome.copy is None or (outcome.copy.kind == "binary") is not binary:
            raise MaskFailed("COPY data that was not foreseen")
        self._outcome = outcome
        self._format = outcome.copy
        self._first = outcome.copy.header and not binary

    def masked(self, data: bytes, found: Found) -> bytes:
        """Give what goes on. Raises `MaskFailed` for what is not whole rows of as many columns as were traced."""
        if self._first:
            self._first = False
            return data  # the names of the columns
        if self._format.kind == "binary":
            return self._binary(data, found)
        fields = (_csv if self._format.kind == "csv" else _plain)(data, self._format)
        hidden = self._outcome.of(len(fields))
        row = [
            field if each is None else self._field(each, field, found)
            for each, field in zip(hidden, fields, strict=True)
        ]
        end = data[len(data.rstrip(b"\r\n")) :] if self._format.kind == "csv" else b"\n"
        return self._format.delimiter.join(row) + end

    def _field(self, hidden: Hidden, field: bytes, found: Found) -> bytes:
        form = self._format
        if field == form.null:
            return field
        csv = form.kind == "csv"
        value = _unquoted(field, form) if csv else _unescaped(field)
        found.note(hidden.rule, "copy", value)
        new = None if hidden.derived else _instead(hidden.replacer, value)
        if new is None:
            return form.null
        return _quoted(new, form) if csv else _escaped(new, form.delimiter)

    def _binary(self, data: bytes, found: Found) -> bytes:
        def instead(hidden: Hidden | None, value: bytes) -> bytes | None:
            if hidden is None:
                return value
            # Of which type it is nobody says, and any bytes but NULL may be wrong for it.
            found.note(hidden.rule, "copy", value)
            return None

        return rewritten(data, self._outcome.of, instead)


def _instead(replacer: Replacer, value: bytes) -> bytes | None:
    if replacer.becomes is Becomes.NULL:
        return None
    if _DIGITS.match(value):
        return replacer.number(value, len(value)).rjust(len(value), b"0")
    if _NUMBER.match(value):
        return replacer.number(value, len(value))
    return None if _FORMED.fullmatch(value) else replacer.text(value)


# -- text ------------------------------------------------------------------------------------------------------------


def _plain(data: bytes, form: CopyFormat) -> list[bytes]:
    """Give the fields of a row, escaped as they are. A delimiter inside of one has a backslash before it."""
    row = data[:-1] if data.endswith(b"\n") else data
    mark = form.delimiter
    # Nearly every row: going through it byte by byte would cost ten times what all else does.
    if b"\n" not in row and b"\\" + mark not in row and mark != b"\\":
        return row.split(mark)
    return list(_plain_escaped(row, form))


def _plain_escaped(row: bytes, form: CopyFormat) -> Iterator[bytes]:
    delimiter = form.delimiter[0]
    start = position = 0
    while position < len(row):
        byte = row[position]
        if byte == 0x5C:
            position += 2
        elif byte == delimiter:
            yield row[start:position]
            start = position = position + 1
        elif byte == 0x0A:
            raise MaskFailed("COPY data that is not whole rows cannot be masked")
        else:
            position += 1
    yield row[start:]


def _unescaped(field: bytes) -> bytes:
    if b"\\" not in field:
        return field
    return re.sub(rb"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), field, flags=re.DOTALL)


def _escaped(value: bytes, delimiter: bytes) -> bytes:
    value = value.replace(b"\\", b"\\\\")
    for plain, written in _ESCAPED.items():
        value = value.replace(plain, written)
    return value if delimiter in _ESCAPED else value.replace(delimiter, b"\\" + delimiter)


# -- CSV -------------------------------------------------------------------------------------------------------------


def _csv(data: bytes, form: CopyFormat) -> list[bytes]:
    """Give the fields of a row, quoted as they are."""
    row = data.rstrip(b"\r\n")
    return list(_csv_quoted(row, form)) if form.quote in row else row.split(form.delimiter)


def _csv_quoted(row: bytes, form: CopyFormat) -> Iterator[bytes]:
    delimiter, quote, escape = form.delimiter[0], form.quote[0], form.escape[0]
    start = position = 0
    inside = False
    while position < len(row):
        byte = row[position]
        if inside and byte == escape and position + 1 < len(row) and row[position + 1] in (quote, escape):
            position += 2
            continue
        if byte == quote:
            inside = not inside
        elif byte == delimiter and not inside:
            yield row[start:position]
            start = position + 1
        position += 1
    if inside:
        raise MaskFailed("COPY data that is not whole rows cannot be masked")
    yield row[start:]


def _unquoted(field: bytes, form: CopyFormat) -> bytes:
    if len(field) < 2 or field[:1] != form.quote or field[-1:] != form.quote:
        return field
    inner = re.escape(form.escape)
    pattern = inner + b"([" + re.escape(form.quote) + inner + b"])"
    return re.sub(pattern, rb"\1", field[1:-1])


def _quoted(value: bytes, form: CopyFormat) -> bytes:
    quote, escape = form.quote, form.escape
    if escape != quote:
        value = value.replace(escape, escape * 2)
    return quote + value.replace(quote, escape + quote) + quote
