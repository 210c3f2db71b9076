"""What errors and notices may still say where values must not be seen: they quote what they complain about.

Which words of the server quote values, and which do not, is nowhere promised. So of a statement that touches a masked
column only those errors keep their words that the server finds while it reads the statement, before there are values.
"""

from __future__ import annotations

from typing import Final

from recgate_postgres.messages import fields_of

__all__ = ["withheld"]

# Fields that may quote a value: message, detail, hint, context, internal query (55.8); and names, which a
# function's own code can make of anything.
_SPEAKING: Final = "MDHWq"
_NAMES: Final = "stcdn"
# About the connection, transactions, locks and cancelling: built-in words without a value in them.
_CALM: Final = ("08", "25", "40", "53", "55", "57")
# Classes whose detail names objects or quotes the statement.
_NAMING: Final = ("00", "01", "42", "2B")
_SYNTAX: Final = "42"


def withheld(body: bytes, guarded: bool) -> bytes:
    """Give the body of an ErrorResponse or NoticeResponse as it may be seen.

    `guarded` says that it is about a statement that touches masked columns. Of any other, what a constraint quotes of a
    row is left out, and all that a function's or trigger's own code has said.
    """
    fields = fields_of(body)
    code = fields.get("C", b"").decode("ascii", "replace")
    sort = code[:2]
    coded = "W" in fields or "q" in fields  # it comes out of some function's code
    if not coded and sort == _SYNTAX and "P" in fields:
        return body  # found while the statement was read
    if (guarded or coded) and (coded or sort not in _CALM):
        text = f"withheld, since it may quote masked values (SQLSTATE {code})"
        return _without(body, _SPEAKING + _NAMES if coded else _SPEAKING, text.encode())
    return body if not guarded and sort in _NAMING else _without(body, "DHWq", None)


def _without(body: bytes, fields: str, text: bytes | None) -> bytes:
    parts: list[bytes] = []
    for part in body.split(b"\0"):
        kind = part[:1].decode("latin-1")
        if kind == "M" and text is not None:
            parts.append(b"M" + text)
        elif not kind or kind not in fields:
            parts.append(part)
    return b"\0".join(parts)
