"""Serve `/metrics` to a scraper: HTTP/1.1 by h11, one response a connection, nothing else on this port."""

from __future__ import annotations

import socket
from typing import Final

import h11
import trio

from recgate.metrics import exposition

__all__ = ["serve_metrics"]

TIMEOUT: Final = 10.0  # seconds for a scrape
MAX_HEAD: Final = 16 * 1024  # bytes of a request's head


async def serve_metrics(sock: socket.socket) -> None:
    """Answer one request and close. A client that is slow, wrong or gone costs nothing beyond `TIMEOUT`."""
    async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as stream:
        with trio.move_on_after(TIMEOUT):
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
            try:
                request = await _request(connection, stream)
                if request is not None:
                    await stream.send_all(_response(connection, request))
            except (h11.RemoteProtocolError, trio.BrokenResourceError):
                return


async def _request(connection: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await stream.receive_some(MAX_HEAD))


def _response(connection: h11.Connection, request: h11.Request) -> bytes:
    found = request.method == b"GET" and request.target.partition(b"?")[0] == b"/metrics"
    body = exposition() if found else b"GET /metrics is all there is here\n"
    kind = b"text/plain; version=0.0.4; charset=utf-8"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    head = connection.send(h11.Response(status_code=200 if found else 404, headers=headers))
    data = connection.send(h11.Data(data=body)) if request.method != b"HEAD" else b""
    return (head or b"") + (data or b"") + (connection.send(h11.EndOfMessage()) or b"")
