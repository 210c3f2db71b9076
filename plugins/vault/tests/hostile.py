"""A server that misbehaves, where no real one can be made to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

PATIENCE = 20.0  # seconds

__all__ = ["Misbehaving", "answering"]


class Misbehaving:
    """Accepts on a free port and does `behave(connection)` with each connection, in a thread of its own.

    Without `behave` it accepts and never answers. `connections` counts them.
    """

    def __init__(self, behave: Callable[[socket.socket], None] | None = None) -> None:
        self._behave = behave
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._open)

    def __enter__(self) -> Misbehaving:
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            self._open.append(connection)
            if self._behave is not None:
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        assert self._behave is not None
        try:
            self._behave(connection)
        except OSError:
            return  # the client has gone

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Give these bytes to each request, whatever it is."""

    def behave(connection: socket.socket) -> None:
        while True:
            request = b""
            while b"\r\n\r\n" not in request:
                got = connection.recv(65_536)
                if not got:
                    return
                request += got
            for answer in answers:
                connection.sendall(answer)

    return behave
