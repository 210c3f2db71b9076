"""A buffer in which every read has a limit, so that no peer can make a relay remember without bound."""

from __future__ import annotations

from recgate.errors import RemoteProtocolError

__all__ = ["BoundedReader"]


class BoundedReader:
    """Collect reads and hand out exact parts. Consumed bytes are dropped lazily, so taking is linear."""

    __slots__ = ("_buffer", "_offset", "eof")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self.eof = False

    def __len__(self) -> int:
        return len(self._buffer) - self._offset

    def feed(self, data: bytes) -> None:
        """Add a read; `b""` marks the end."""
        if not data:
            self.eof = True
            return
        if self._offset:
            del self._buffer[: self._offset]
            self._offset = 0
        self._buffer += data

    def peek(self, count: int) -> bytes | None:
        """Look at the next `count` bytes, or give None while fewer are there."""
        end = self._offset + count
        return bytes(self._buffer[self._offset : end]) if len(self._buffer) >= end else None

    def take(self, count: int) -> bytes | None:
        """Remove and give the next `count` bytes, or None while fewer are there."""
        data = self.peek(count)
        if data is not None:
            self._offset += count
        return data

    def take_all(self) -> bytes:
        """Remove and give everything."""
        data = bytes(self._buffer[self._offset :]) if self._offset else bytes(self._buffer)
        self._buffer.clear()
        self._offset = 0
        return data

    def take_line(self, limit: int, ending: bytes = b"\n") -> bytes | None:
        """Remove and give a line with its ending, or None while it is incomplete.

        Raises:
            RemoteProtocolError: no ending within `limit` bytes.
        """
        found = self._buffer.find(ending, self._offset, self._offset + limit)
        if found < 0:
            if len(self) >= limit:
                raise RemoteProtocolError(f"a line is longer than {limit} bytes")
            return None
        return self.take(found + len(ending) - self._offset)
