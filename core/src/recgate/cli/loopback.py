"""The near end of a sign-in in a browser: one address on 127.0.0.1 that takes one answer (RFC 8252 §7.3).

Any page in that browser, and any program on this machine, can send requests here. So what does not carry the state of
this sign-in, or calls this address by another name (DNS rebinding), is turned away and changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import h11
import trio

__all__ = ["Loopback", "listening"]

PATH: Final = "/callback"
MAX_HEAD: Final = 32 << 10  # bytes of a request's head; a code may be a whole JWT
MAX_FIELDS: Final = 32  # of a query
MAX_CONNECTIONS: Final = 16  # at a time; browsers open some that they never use
PATIENCE: Final = 10.0  # seconds for a request to come, and to be answered
BACKLOG: Final = 16

_HEADERS: Final = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),  # the address has the code in it
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("connection", "close"),
]
_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>recgate</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 32rem; padding: 0 1rem }}</style>
<h1>{title}</h1>
<p>{words}</p>
</html>
"""
DONE: Final = ("Back to the terminal", "It says whether you are signed in. This page can be closed.")
REFUSED: Final = ("Nothing came of it", "The terminal says why. This page can be closed.")
STRANGER: Final = (
    "This is not for you",
    "Here <code>recgate login</code> waits for the answer to a sign-in of its own. Follow the address in the terminal.",
)


class Loopback:
    """Waits for one answer. `redirect_uri` is where the browser is to be sent."""

    def __init__(self, port: int, state: str) -> None:
        self.redirect_uri = f"http://127.0.0.1:{port}{PATH}"
        self._host = f"127.0.0.1:{port}"
        self._state = state
        self._answer: dict[str, str] | None = None
        self._come = trio.Event()
        self.room = trio.CapacityLimiter(MAX_CONNECTIONS)

    async def answer(self) -> Mapping[str, str]:
        """Wait for the answer with this sign-in's state, and give its fields."""
        await self._come.wait()
        assert self._answer is not None
        return self._answer

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one request of one connection; whatever is wrong with it ends that connection alone."""
        async with stream, self.room:
            with trio.move_on_after(PATIENCE):
                try:
                    await self._exchange(stream)
                except (h11.ProtocolError, OSError, trio.BrokenResourceError):
                    return

    async def _exchange(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(MAX_HEAD))
        if not isinstance(event, h11.Request):
            return
        fields = self._fields(event)
        status, page = (400, STRANGER) if fields is None else (200, REFUSED if "error" in fields else DONE)
        body = _PAGE.format(title=page[0], words=page[1]).encode()
        headers = [*_HEADERS, ("content-length", str(len(body)))]
        parts = (
            connection.send(h11.Response(status_code=status, headers=headers)),
            connection.send(h11.Data(data=body if event.method == b"GET" else b"")),
        )
        try:
            await stream.send_all(b"".join(part or b"" for part in parts))
        finally:
            if fields is not None and self._answer is None:
                self._answer = fields
                self._come.set()

    def _fields(self, request: h11.Request) -> dict[str, str] | None:
        """Give the answer in a request, or None if it is not this sign-in's."""
        hosts = [value for name, value in request.headers if name == b"host"]
        target = urlsplit(request.target.decode("latin-1"))
        if request.method != b"GET" or hosts != [self._host.encode()] or target.path != PATH:
            return None
        try:
            pairs = parse_qsl(
                target.query, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
            )
        except ValueError:
            return None
        fields = dict(pairs)
        if len(fields) != len(pairs):
            return None  # RFC 6749 §3.1: no parameter stands twice
        given = fields.get("state", "").encode("utf-8", "replace")
        if self._answer is not None or not secrets.compare_digest(given, self._state.encode()):
            return None
        return fields


@asynccontextmanager
async def listening(state: str) -> AsyncGenerator[Loopback, None]:
    """Listen on a free port of 127.0.0.1 until the block ends. Raises `OSError`."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=BACKLOG)
    async with listener, trio.open_nursery() as nursery:
        here = Loopback(int(listener.socket.getsockname()[1]), state)

        async def accept() -> None:
            while True:
                async with here.room:  # the next waits in the backlog until there is room
                    pass
                stream = await listener.accept()
                nursery.start_soon(here.serve, stream)

        nursery.start_soon(accept)
        yield here
        nursery.cancel_scope.cancel()
