"""One accepted connection as HTTP/1.1, HTTP/2 and WebSocket: Hypercorn's protocol classes on a socket of the core's.

This module and `protocols` are the ones that know Hypercorn, whose classes are not promised to stand: it is pinned to a
minor version. Its own connection loop is not used, because its sends can neither be timed out nor cancelled, it
negotiates h2c inside TLS, and it accepts compressed WebSocket messages, which grow a thousandfold before their size can
be looked at.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext
from hypercorn.typing import ConnectionState

from recgate.httpauth import App
from recgate.model import ConnectionInfo
from recgate_api.protocols import MAX_STREAMS, Http1, Http2, Tasks

__all__ = ["ALPN", "MAX_MESSAGE", "HttpServer"]

ALPN: Final = ("h2", "http/1.1")
MAX_READ: Final = 64 << 10  # bytes of one read
MAX_HEADERS: Final = 32 << 10  # bytes of a request's head: room for an access token of some size
MAX_MESSAGE: Final = 256 << 10  # bytes of one WebSocket message
MAX_QUEUE: Final = 4  # messages or body parts read ahead of the application
MAX_REQUESTS: Final = 1_000  # requests on one connection
IDLE: Final = 30.0  # seconds for a request's head to come, first or next
PING: Final = 20.0  # seconds between pings on a WebSocket
SILENCE: Final = (
    75.0  # seconds without a byte after which a WebSocket's peer is gone: three pings went unanswered
)
SEND: Final = 30.0  # seconds for the peer to take what is sent; a tunnel's may read as slowly as it likes
PARTING: Final = 2.0  # seconds for last words when the listener is cancelled
LEAVING: Final = 10.0  # seconds for applications to end once their peer has gone

log = structlog.get_logger("recgate.https")


class _Quiet:
    """Hypercorn's log: what an application raised has been logged before it comes here, and access is audited."""

    def __init__(self, config: Config) -> None:
        pass

    async def access(self, *_: object) -> None:
        pass

    async def exception(self, message: str, *args: object, **more: object) -> None:
        log.error("application.crashed", reason=message)

    async def log(self, *_: object, **more: object) -> None:
        pass

    critical = error = warning = info = debug = log


def _settings() -> Config:
    config = Config()
    config.logger_class = cast("Any", _Quiet)
    config.h11_max_incomplete_size = MAX_HEADERS
    config.h2_max_header_list_size = MAX_HEADERS
    config.h2_max_concurrent_streams = MAX_STREAMS
    config.keep_alive_max_requests = MAX_REQUESTS
    config.max_app_queue_size = MAX_QUEUE
    config.websocket_max_message_size = MAX_MESSAGE
    config.websocket_ping_interval = PING
    config.include_server_header = False
    return config


class HttpServer:
    """What the connections of one listener share. `application` is asked with `state["connection"]` set."""

    def __init__(self, application: App) -> None:
        self.application = ASGIWrapper(cast("Any", application))
        self.config = _settings()
        self.context = WorkerContext(None)

    async def close(self) -> None:
        """Take no further requests: keep-alive connections end with the request they are in."""
        await self.context.terminated.set()

    async def serve(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        connection: ConnectionInfo,
        admitted: Callable[[], None],
        handshake_timeout: float,
    ) -> None:
        """Serve one connection to its end, and close it.

        Cancelled, it lets applications and what is being sent finish for `PARTING` seconds at most.

        Raises:
            TooSlowError: no TLS within the time.
            OSError: no TLS at all.
        """
        transport = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        stream = trio.SSLStream(transport, context, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(handshake_timeout):
                await stream.do_handshake()
            await _Connection(self, stream, replace(connection, tls=True), admitted).run()
        except trio.BrokenResourceError as exc:
            raise ConnectionResetError(str(exc.__cause__ or "the client left")) from exc
        finally:
            await trio.aclose_forcefully(stream)


class _Connection:
    def __init__(
        self,
        server: HttpServer,
        stream: trio.SSLStream[trio.SocketStream],
        connection: ConnectionInfo,
        admitted: Callable[[], None],
    ) -> None:
        self._server = server
        self._stream = stream
        self._lock = trio.Lock()
        self._sending: trio.CancelScope | None = None
        self._idle = TrioSingleTask()
        self._tasks = Tasks()
        self._upgraded = False
        self._reading = trio.CancelScope()
        self._cancelled = False
        state = ConnectionState(
            {
                "connection": connection,
                "admitted": admitted,
                "upgraded": self._upgrade,
                "drop": self._drop,  # for applications whose peer takes nothing any more
            }
        )
        host, _, port = connection.peer.rpartition(":")
        protocol = Http2 if stream.selected_alpn_protocol() == "h2" else Http1
        self._protocol = cast("Any", protocol)(
            server.application,
            server.config,
            server.context,
            self._tasks,
            state,
            True,
            (host, int(port) if port.isdigit() else 0),
            None,
            self._send,
        )

    def _upgrade(self) -> None:
        """A WebSocket is open: it is pinged, so that silence means that nobody is there."""
        self._upgraded = True
        self._reading.deadline = trio.current_time() + SILENCE

    async def run(self) -> None:
        """Speak HTTP until the peer leaves, is silent for too long, or this is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hurry_when_cancelled)
            try:
                async with self._tasks:
                    await self._protocol.initiate()
                    await cast("Any", self._idle).restart(self._tasks, self._end_idle)
                    await self._read()
                    self._drop()
                    nursery.cancel_scope.deadline = trio.current_time() + LEAVING
            except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the peer left while something was being said
            nursery.cancel_scope.cancel()

    def _drop(self) -> None:
        """Nothing can come or go any more: whoever still sends, hears of it."""
        sock = self._stream.transport_stream.socket
        with contextlib.suppress(OSError):  # it has gone by itself
            sock.shutdown(
                socket.SHUT_WR
            )  # closing alone would reset, and take back an answer that was just sent
        sock.close()

    async def _read(self) -> None:
        while True:
            try:
                data = b""
                deadline = trio.current_time() + (SILENCE if self._upgraded else math.inf)
                with trio.CancelScope(deadline=deadline) as self._reading:
                    data = await self._stream.receive_some(MAX_READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                break
            if not data:  # the end, or silence
                break
            await self._protocol.handle(RawData(bytes(data)))
        await self._protocol.handle(Closed())

    async def _send(self, event: Event) -> None:
        """What the protocol wants done. Not cancelled halfway through a TLS record: timed out instead."""
        if isinstance(event, RawData):
            async with self._lock:
                patience = math.inf if self._upgraded else SEND
                deadline = trio.current_time() + (PARTING if self._cancelled else patience)
                with trio.CancelScope(shield=True, deadline=deadline) as self._sending:
                    try:
                        await self._stream.send_all(event.data)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        self._drop()
                if self._sending.cancelled_caught:
                    self._drop()
                self._sending = None
        elif isinstance(event, Closed):
            self._drop()
        elif isinstance(event, Updated):
            if event.idle:
                await cast("Any", self._idle).restart(self._tasks, self._end_idle)
            else:
                await self._idle.stop()

    async def _end_idle(self) -> None:
        with trio.move_on_after(IDLE):
            await self._server.context.terminated.wait()
        self._drop()

    async def _hurry_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._cancelled = True
            if self._sending is not None:
                self._sending.deadline = min(self._sending.deadline, trio.current_time() + PARTING)
