"""A PostgreSQL client that says exactly the bytes it is told to, all at once, and keeps every byte that it hears.

Scripts are made of the messages of the frontend (PostgreSQL protocol 55.7), so that a test reads as what an attacker
sends.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = [
    "Client", "Heard", "bind", "call", "close", "copy_data", "copy_done", "describe", "execute", "extended",
    "flush", "messages", "parse", "query", "sync",
]  # fmt: skip

PATIENCE = 30.0  # seconds for an answer on a busy machine
Text = str | bytes


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


def _text(text: Text) -> bytes:
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def query(text: Text) -> bytes:
    """Say a simple query."""
    return _message(b"Q", _text(text))


def parse(text: Text, name: str = "", oids: Sequence[int] = ()) -> bytes:
    """Prepare a statement."""
    return _message(b"P", _text(name) + _text(text) + struct.pack(f">H{len(oids)}I", len(oids), *oids))


def bind(*values: bytes | None, name: str = "", portal: str = "", results: int = 0) -> bytes:
    """Make a portal of text parameters; `results` is the format of all columns, 0 text and 1 binary."""
    body = _text(portal) + _text(name) + struct.pack(">HH", 0, len(values))
    for value in values:
        body += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return _message(b"B", body + struct.pack(">HH", 1, results))


def describe(kind: bytes = b"P", name: str = "") -> bytes:
    """Ask what a statement (S) or portal (P) gives."""
    return _message(b"D", kind + _text(name))


def execute(portal: str = "", rows: int = 0) -> bytes:
    """Run a portal."""
    return _message(b"E", _text(portal) + struct.pack(">I", rows))


def close(kind: bytes, name: str) -> bytes:
    """Forget a statement or portal."""
    return _message(b"C", kind + _text(name))


def call(oid: int, *values: bytes) -> bytes:
    """Call a function by the fast path."""
    body = struct.pack(">IHH", oid, 0, len(values))
    for value in values:
        body += struct.pack(">i", len(value)) + value
    return _message(b"F", body + struct.pack(">H", 0))


def copy_data(data: bytes) -> bytes:
    """Send rows of a COPY FROM STDIN."""
    return _message(b"d", data)


def copy_done() -> bytes:
    """End a COPY FROM STDIN."""
    return _message(b"c", b"")


def sync() -> bytes:
    """End a pipeline."""
    return _message(b"S", b"")


def flush() -> bytes:
    """Ask for what is there."""
    return _message(b"H", b"")


def extended(text: Text, *values: bytes | None, results: int = 0) -> bytes:
    """Say a whole unnamed statement, as drivers do."""
    return parse(text) + bind(*values, results=results) + describe() + execute() + sync()


def messages(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Take what was heard apart; what is cut off at the end is left out."""
    at = 0
    while at + 5 <= len(data):
        (length,) = struct.unpack_from(">I", data, at + 1)
        if at + 1 + length > len(data):
            return
        yield data[at : at + 1], data[at + 5 : at + 1 + length]
        at += 1 + length


@dataclass(frozen=True)
class Heard:
    """What came back: every byte, and whether the connection was closed."""

    data: bytes
    closed: bool

    @property
    def errors(self) -> list[str]:
        """`SQLSTATE message` of each error."""
        found: list[str] = []
        for kind, body in messages(self.data):
            if kind == b"E":
                fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
                found.append(f"{fields.get(b'C', '')} {fields.get(b'M', '')}")
        return found

    @property
    def rows(self) -> list[list[bytes | None]]:
        """The values of each row."""
        return [_values(body) for kind, body in messages(self.data) if kind == b"D"]


def _values(body: bytes) -> list[bytes | None]:
    (count,) = struct.unpack_from(">H", body)
    at, found = 2, list[bytes | None]()
    for _ in range(count):
        (length,) = struct.unpack_from(">i", body, at)
        at += 4
        found.append(None if length < 0 else body[at : at + length])
        at += max(0, length)
    return found


class Client:
    """A connection that is logged in. What is heard before the first ReadyForQuery is not kept."""

    def __init__(
        self, port: int, user: str, database: str, password: str = "", encoding: str = "UTF8"
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._data = bytearray()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = ("user", user, "database", database, "client_encoding", encoding)
        body = struct.pack(">I", 196608) + b"".join(_text(word) for word in words) + b"\0"
        self._socket.sendall(struct.pack(">I", len(body) + 4) + body)
        try:
            self._log_in(password)
        except BaseException:
            self._socket.close()
            raise

    def _log_in(self, password: str) -> None:
        asked = False
        while True:
            heard = self._until(1, "no answer to the log-in", any_message=not asked)
            if heard.errors or heard.closed:
                raise ConnectionError(f"not logged in: {heard.errors}")
            kinds = list(messages(heard.data))
            if kinds[-1][0] == b"Z":
                return
            if kinds[0] == (b"R", struct.pack(">I", 3)) and not asked:
                asked = True
                self._socket.sendall(_message(b"p", _text(password)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def say(self, *script: bytes) -> Heard:
        """Say all of it at once, and hear everything up to the last ReadyForQuery that it asks for, or the end."""
        said = b"".join(script)
        expected = sum(kind in (b"Q", b"S", b"F") for kind, _ in messages(said))
        try:
            self._socket.sendall(said)
        except ConnectionError:
            return Heard(b"", closed=True)
        return self._until(expected, f"no end of the answer to {said!r}")

    def _until(self, expected: int, what: str, *, any_message: bool = False) -> Heard:
        data = bytearray()
        while True:
            kinds = [kind for kind, _ in messages(bytes(data))]
            if kinds.count(b"Z") >= expected or (any_message and kinds):
                return Heard(bytes(data), closed=False)
            try:
                more = self._socket.recv(1 << 16)
            except TimeoutError:
                raise AssertionError(f"{what}; heard {bytes(data)!r}") from None
            except ConnectionError:
                more = b""
            if not more:
                return Heard(bytes(data), closed=True)
            data += more
