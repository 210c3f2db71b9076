"""A question of the gateway's own on a session's connection: sent between two of the client's, its answer cut out.

It is asked only when everything before it has been answered, so what comes next is the answer, up to its ReadyForQuery,
and among it what the target says at any time (55.2.7): that goes to the client as always.
"""

from __future__ import annotations

from typing import Final

from recgate.errors import RemoteProtocolError
from recgate.sansio.reader import BoundedReader
from recgate_postgres.origin.surveyor import row_of

__all__ = ["ANSWER", "QUESTION", "Answer"]

# The kinds of the frames that hold them. Both are of the gateway's side, and the client sees neither.
QUESTION: Final = "question"
ANSWER: Final = "answer"

MAX_ANSWER: Final = 4 << 20  # bytes of all its messages
_OURS: Final = frozenset(b"TDCEZ")
_ANYBODYS: Final = frozenset(b"NAS")
_ROW, _ERROR, _READY = b"DEZ"


class Answer:
    """What comes from the target from the question on."""

    __slots__ = ("_kept", "_owed", "_row", "_rows", "_size", "failed", "reader", "status")

    def __init__(self, owed: int, begun: bytes) -> None:
        """`owed` bytes are still to come of a message that is not ours; or of one `begun` is here."""
        self.reader = BoundedReader()
        if begun:
            self.reader.feed(begun)
        self.failed = False
        self.status = 0  # of the ReadyForQuery, once that is here: then the rest of `reader` is not ours
        self._owed = owed
        self._kept: list[bytes] = []
        self._size = 0
        self._row: bytes | None = None
        self._rows = 0

    @property
    def recorded(self) -> bytes:
        """The answer, as the target said it."""
        return b"".join(self._kept)

    @property
    def row(self) -> bytes | None:
        """The one value of its one row; None where there was another number of either, or an error."""
        return self._row if self._rows == 1 and not self.failed else None

    def passed(self) -> bytes:
        """Take what is not ours of what has come. Raises `RemoteProtocolError`."""
        found: list[bytes] = []
        reader = self.reader
        if self._owed:
            gone = reader.take(min(self._owed, len(reader))) or b""
            self._owed -= len(gone)
            found.append(gone)
        while not self._owed and not self.status and (head := reader.peek(5)) is not None:
            length = int.from_bytes(head[1:])
            if not 4 <= length <= MAX_ANSWER or head[0] not in _OURS | _ANYBODYS:
                raise RemoteProtocolError("the target answers what was not asked", hint="08P01")
            message = reader.take(1 + length)
            if message is None:
                break
            if head[0] in _OURS:
                self._take(head[0], message)
            else:
                found.append(message)
        return b"".join(found)

    def _take(self, kind: int, message: bytes) -> None:
        self._kept.append(message)
        self._size += len(message)
        if self._size > MAX_ANSWER:
            raise RemoteProtocolError("the target answers without an end", hint="08P01")
        if kind == _ROW:
            self._rows += 1
            self._row = row_of(message[5:])
        elif kind == _ERROR:
            self.failed = True
        elif kind == _READY:
            if len(message) != 6:
                raise RemoteProtocolError("invalid ReadyForQuery from the target", hint="08P01")
            self.status = message[5]
