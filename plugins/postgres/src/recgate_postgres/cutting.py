"""Cut recorded frames back into messages: frames end where reads did, also inside a message."""

from __future__ import annotations

from typing import Final

from recgate_postgres.messages import HEADER

__all__ = ["Cutter"]

MAX_SAVED: Final = 8 * 1024  # bytes of an unfinished message that a saved state keeps
ROWS: Final = (0x44, 0x64)  # DataRow and CopyData: a result has a million of one of them, in a row
Cut = tuple[int, int, bytes, int]


class Cutter:
    """One direction. `wanted` are the types whose bodies matter, of which at most `limit` bytes are kept.

    Other bodies are skipped without being held. A recording holds only what passed a relay, so lengths are sound; if
    not (a damaged recording), the rest of the direction is given up as one message that never ends.
    """

    __slots__ = ("_full", "_got", "_head", "_kind", "_left", "_length", "_limit", "_wanted")

    def __init__(self, wanted: bytes, limit: int) -> None:
        self._wanted = bytes(kind in wanted for kind in range(256))
        self._limit = limit
        self._head: bytes = b""  # an unfinished header
        self._kind = 0  # of the unfinished message, and how much of its body is to come
        self._length = 0
        self._left = 0
        self._got = bytearray()
        self._full = False  # part of it was left out of a saved state: nothing may be put behind the gap

    def cut(self, data: bytes) -> list[Cut]:
        """Give (type, length, body, count) of each message: at its header, with an empty body, unless it is wanted.

        Wanted ones come when they are complete; a body shorter than `length - 4` was cut at the limit. Rows that are
        not wanted and follow each other come as one, with their `count` and the sum of their lengths.
        """
        found: list[Cut] = []
        position, end = 0, len(data)
        if self._left:
            position = min(self._left, end)
            finished = self._more(data[:position])
            if finished is not None:
                found.append(finished)
        if self._head:
            data = self._head + data[position:]
            position, end, self._head = 0, len(data), b""
        wanted, header, limit, last = self._wanted, HEADER, self._limit, end - 5
        while position <= last:
            kind, length = header(data, position)
            start = position + 5
            position += 1 + length if length > 4 else 5
            if wanted[kind]:
                if position <= end and length <= limit:
                    found.append((kind, length, data[start:position], 1))
                    continue
                self._begin(kind, length, data[start : min(start + limit, end)], position - end)
                if position <= end:
                    self._left = 0
                    found.append((kind, length, bytes(self._got), 1))
                    continue
                return found
            count = 1
            if kind in ROWS:
                total = length
                while position <= last:
                    following, length = header(data, position)
                    if following != kind:
                        break
                    position += 1 + length if length > 4 else 5
                    total += length
                    count += 1
                length = total
            found.append((kind, length, b"", count))
            if position > end:
                self._kind, self._left = 0, position - end
                return found
        self._head = data[position:]
        return found

    def _begin(self, kind: int, length: int, got: bytes, left: int) -> None:
        self._kind, self._length, self._left = kind, length, left
        self._got = bytearray(got)

    def _more(self, data: bytes) -> Cut | None:
        self._left -= len(data)
        if not self._kind:
            return None
        room = self._limit - len(self._got)
        if room > 0 and not self._full:
            self._got += data[:room]
        if self._left:
            return None
        body, self._got, self._full = bytes(self._got), bytearray(), False
        return self._kind, self._length, body, 1

    def save(self) -> tuple[bytes, int, int, int, bytes, bool]:
        """Give the state; what is held of a long message is cut."""
        full = self._full or len(self._got) > MAX_SAVED
        return self._head, self._kind, self._length, self._left, bytes(self._got[:MAX_SAVED]), full

    def restore(self, state: tuple[bytes, int, int, int, bytes, bool]) -> None:
        """Take up a saved state."""
        self._head, self._kind, self._length, self._left, got, self._full = state
        self._got = bytearray(got)
