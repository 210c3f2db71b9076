"""Refuse a message by sending one that always fails, and put our words into the error that comes back.

So the target itself keeps the order of answers, skips to the next Sync, rolls back what came before in the
same series, and knows the transaction's status. The stand-in names a marker that nobody else knows, and the
target's error quotes it: whichever error carries a marker is the one to rewrite.
"""

from __future__ import annotations

import re
from typing import Final

from recgate_postgres.messages import execute, fields_of, query

__all__ = ["ATTEMPT", "Refusals", "error_text"]

ATTEMPT: Final = "refused"  # the kind of a frame that holds a refused Bind, which goes nowhere

MAX_WAITING: Final = (
    10_000  # refusals that the target has not answered; the oldest then keep the target's words
)
MAX_ERROR: Final = 1024 * 1024  # bytes of an error that is held to be looked at

_EXECUTE: Final = 0x45


def error_text(reason: str, rule: str, session_id: str) -> str:
    """Word a refusal as the client reads it."""
    said = f"{rule}: {reason}" if rule else reason
    return f"{said} (recgate session {session_id})"


class Refusals:
    """The refusals of one connection that the target has yet to answer."""

    __slots__ = ("_count", "_pattern", "_prefix", "replication", "waiting")

    def __init__(self, random: bytes) -> None:
        """`random` makes the markers unguessable: at least eight fresh random bytes."""
        self._prefix = b"recgate_refused_" + random.hex().encode() + b"_"
        self._pattern = re.compile(re.escape(self._prefix) + rb"[0-9]+_")
        self._count = 0
        self.replication = False
        self.waiting: dict[bytes, bytes] = {}

    def stand_in(self, kind: int, error: bytes) -> bytes:
        """Give the message that fails in place of one of this kind, and keep the error that answers it.

        A Query and a FunctionCall are answered alike (an error, then ReadyForQuery), so a Query stands in for
        both: it fails in the parser, also in a failed transaction. Everything else stands in a series, where
        an Execute of a portal that does not exist fails at once.
        """
        self._count += 1
        marker = b"%b%d_" % (self._prefix, self._count)
        if len(self.waiting) >= MAX_WAITING:
            del self.waiting[next(iter(self.waiting))]
        self.waiting[marker] = error
        return query(marker) if kind in (0x51, 0x46) else execute(marker)

    def rewrite(self, body: bytes) -> bytes | None:
        """Give the error that the client sees in place of this ErrorResponse, or None if it is not ours."""
        found = self._pattern.search(body)
        if found is not None:
            return self.waiting.pop(found[0], None)
        if (
            self.replication
            and len(self.waiting) == 1
            and fields_of(body).get("C", b"")[:2] in (b"42", b"0A")
        ):
            # A walsender does not quote what it could not parse; it takes one command at a time, so this is it.
            return self.waiting.popitem()[1]
        return None
