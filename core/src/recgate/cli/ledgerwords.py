"""An entry of the ledger in words, and with the words that the audit trail has of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from recgate.errors import RecgateError
from recgate.ids import session_text
from recgate.ledger.acts import Words
from recgate.ledger.entries import NOBODY, Entry

__all__ = ["bound_words", "entry_fields", "entry_words", "read_words"]

MAX_LINE: Final = 1 << 20  # bytes of a line of the audit trail
SHOWN: Final = 8  # bytes of a digest on a line for people; --json has all
_DIGESTS: Final = ("details", "why")  # fields that stand for words


def entry_words(entry: Entry) -> str:
    """Say what an entry says, on one line. People are hashes."""
    says = dict(entry_fields(entry))
    about, who = says.get("session", ""), _who(entry)
    match entry.kind:
        case "node":
            return f"the ledger of {says['gateway']}"
        case "open":
            return f"{about} opened by {who}"
        case "seal":
            first = entry.number("first")
            last = first + entry.number("count") - 1
            return (
                f"{about} segment {says['segment']}, frames {first} to {last}, seal {_short(entry, 'seal')}"
            )
        case "close":
            return f"{about} ended with {says['segments']} segments, {says['frames']} frames"
        case "abort":
            return f"{about} given up: {says['reason']}"
        case "redact":
            old, new = _short(entry, "old"), _short(entry, "new")
            return f"{about} segment {says['segment']} redacted by {who}: {old} is now {new}"
        case "hold":
            return f"{about} {'put on legal hold' if says['on'] else 'not on hold any more'} by {who}"
        case "decide":
            done = "approved" if says["approved"] else "denied"
            return f"{about} request {says['request']} {done} by {who}"
        case "erase" | "retention":
            return f"{about} removed {'for good' if entry.kind == 'erase' else 'by rule'} by {who}"
        case "view" | "export" | "unseal":
            return f"{about} {says['what']} by {who}"
        case "policy":
            return f"configuration {_short(entry, 'configuration')} in force, by {who}"
        case "key":
            return f"{says['what']}: {_short(entry, 'new')} in the place of {_short(entry, 'old')}"
        case _:
            return f"{says.get('act', '')} by {who}"


def entry_fields(entry: Entry) -> Iterator[tuple[str, object]]:
    """Give the fields of an entry as JSON has them: ids as they are written elsewhere, digests in hex."""
    for name, value in entry.fields.items():
        if name in ("session", "request"):
            yield name, session_text(cast("bytes", value))
        else:
            yield name, value.hex() if isinstance(value, bytes) else value


def read_words(paths: Iterable[Path]) -> dict[bytes, Words]:
    """Read the lines of audit trails that acts have, by the digest that the ledger has of them.

    Raises:
        RecgateError: a file cannot be read.
    """
    found: dict[bytes, Words] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                while line := file.readline(MAX_LINE):
                    words = _line(line)
                    if words is not None:
                        found[words.digest] = words
        except OSError as exc:
            raise RecgateError(f"{path} cannot be read: {exc.strerror}") from exc
    return found


def bound_words(entry: Entry, known: Mapping[bytes, Words]) -> Words | None:
    """Give the words that an entry has the digest of, or None where nobody has them."""
    digest = next((entry.bytes(name) for name in _DIGESTS if name in entry.fields), None)
    return known.get(digest) if digest is not None else None


def _line(line: bytes) -> Words | None:
    try:
        parsed: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    fields = cast("dict[str, object]", parsed)
    event = fields.get("event")
    if not isinstance(event, str) or "salt" not in fields:
        return None
    return Words(
        event, {name: value for name, value in fields.items() if name not in ("time", "event", "entry")}
    )


def _who(entry: Entry) -> str:
    who = entry.fields.get("who", NOBODY)
    return "the gateway" if who == NOBODY else f"who:{cast('bytes', who).hex()[:16]}"


def _short(entry: Entry, name: str) -> str:
    return entry.bytes(name)[:SHOWN].hex() + "…"
