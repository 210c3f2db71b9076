"""A PostgreSQL client that keeps every byte it was sent, for comparing with what a recording says."""

from __future__ import annotations

import socket
import struct

__all__ = ["RawClient"]


class RawClient:
    """Log in with a password in the clear (loopback, `tls: allow`), then send statements and keep what comes."""

    def __init__(self, port: int, user: str, password: str, timeout: float = 30.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.received = bytearray()
        parameters = (
            b"".join(part.encode() + b"\0" for part in ("user", user, "client_encoding", "UTF8")) + b"\0"
        )
        self.socket.sendall(struct.pack(">II", len(parameters) + 8, 196608) + parameters)
        try:
            self._log_in(password)
        except BaseException:
            self.close()
            raise

    def _log_in(self, password: str) -> None:
        self._expect(b"R", struct.pack(">I", 3))
        secret = password.encode() + b"\0"
        self.socket.sendall(b"p" + struct.pack(">I", len(secret) + 4) + secret)
        self._expect(b"R", struct.pack(">I", 0))
        kind, body = self._message()
        while kind != b"Z":
            if kind == b"E":
                raise ConnectionError(body.decode())
            kind, body = self._message()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError(f"closed after {data!r}")
            data += more
        return data

    def _message(self) -> tuple[bytes, bytes]:
        kind = self._exactly(1)
        (length,) = struct.unpack(">I", self._exactly(4))
        return kind, self._exactly(length - 4)

    def _expect(self, kind: bytes, start: bytes) -> None:
        found = self._message()
        if found[0] != kind or not found[1].startswith(start):
            raise ConnectionError(f"expected {kind!r} {start!r}, got {found!r}")

    def query(self, text: str) -> None:
        """Send a simple query; nothing is read."""
        body = text.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack(">I", len(body) + 4) + body)

    def read(self, limit: int = 65536) -> bytes:
        """Read once and keep it; `b""` is the end, also where the connection broke."""
        try:
            data = self.socket.recv(limit)
        except ConnectionError:
            return b""
        self.received += data
        return data

    def read_rest(self) -> bytes:
        """Read and keep everything until the end."""
        while self.read():
            pass
        return bytes(self.received)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
