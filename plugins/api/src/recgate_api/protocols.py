"""HTTP/1.1, HTTP/2 and WebSocket by Hypercorn's protocol classes, without what these let a peer do.

A peer that keeps no rule must not hold a connection for ever: an upgrade that fails or is not waited for ends it, a
message that is too long ends it, a body that nobody reads is let go with its answer, and so is whoever takes no answer.
Nor may it crash one, or have more going on inside than streams that it may open (CVE-2023-44487).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import h2.events
import h2.exceptions
import h2.settings
import h11
import structlog
import trio
from h2.errors import ErrorCodes
from hypercorn.config import Config
from hypercorn.events import Closed, Event, Updated
from hypercorn.protocol import events as said
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.utils import filter_pseudo_headers

if TYPE_CHECKING:
    from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent
    from hypercorn.typing import Scope as HypercornScope

__all__ = ["MAX_STREAMS", "Http1", "Http2", "Tasks"]

MAX_STREAMS: Final = 64  # HTTP/2 requests at a time on one connection, those that were taken back included
TAKE: Final = 30.0  # seconds for an HTTP/2 peer to take a part of an answer
CALM: Final = 200  # frames of HTTP/2 that carry nothing, at once
CALM_RATE: Final = 20.0  # and as many a second in the long run
_COMPRESSION: Final = b"sec-websocket-extensions"
_NOTHING: Final = (
    h2.events.PingReceived,
    h2.events.PingAckReceived,
    h2.events.PriorityUpdated,
    h2.events.RemoteSettingsChanged,
    h2.events.SettingsAcknowledged,
    h2.events.StreamReset,
    h2.events.UnknownFrameReceived,
)

log = structlog.get_logger("recgate.https")


class Tasks(TaskGroup):
    """The applications of one connection. What is said to one that has ended is dropped, and not waited with."""

    running = 0

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: HypercornScope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start an application, and give what puts messages before it."""
        into, out = trio.open_memory_channel["ASGIReceiveEvent"](config.max_app_queue_size)
        farewell: list[ASGIReceiveEvent] = []

        async def put(message: ASGIReceiveEvent) -> None:
            if message["type"] in ("http.disconnect", "websocket.disconnect"):
                # Never waited with: it may be the application itself that ends its exchange.
                farewell.append(message)
                into.close()
                return
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await into.send(message)

        async def receive() -> ASGIReceiveEvent:
            try:
                return await out.receive()
            except trio.EndOfChannel:
                return farewell[0]

        async def run() -> None:
            self.running += 1
            try:
                with out:
                    await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
            except Exception as exc:  # a request's boundary: others on the connection go on
                log.error("application.crashed", exc_info=exc)
            finally:
                self.running -= 1
                await send(None)

        cast("trio.Nursery", self._nursery).start_soon(run)
        return put


class _WebSocket(WSStream):
    """A WebSocket that does not outlive what is wrong with it."""

    async def handle(self, event: said.Event) -> None:
        """Take what came."""
        early = isinstance(event, said.Body | said.Data) and not self.closed and not self.handshake.accepted
        if early:  # it has to wait for our answer (RFC 6455 §4.1), which is under way
            await self._spend()
            return
        await super().handle(event)
        if isinstance(event, said.Request) and self.closed:  # it was no upgrade, and that has been said
            await self._spend()

    async def _handle_events(self) -> None:
        await super()._handle_events()
        if self.buffer.length > self.buffer.max_length:
            self.buffer.clear()
            await self._spend()

    async def _spend(self) -> None:
        await self.send(said.StreamClosed(stream_id=self.stream_id))


class Http1(H11Protocol):
    """HTTP/1.1 without the upgrade to HTTP/2 in the clear, which has no place inside TLS, and without compression."""

    async def _check_protocol(self, event: h11.Request) -> None:
        pass

    async def _create_stream(self, request: h11.Request) -> None:
        names = [name for name, _ in request.headers]
        if b"content-length" in names and b"transfer-encoding" in names:
            # Whoever stands in front may have read the other one (RFC 9112 §6.1).
            await self._send_error_response(400)
            await self.send(Closed())
            return
        upgrade = _is_upgrade(request)
        if upgrade:
            self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        self.stream = _stream(self, STREAM_ID, websocket=upgrade)
        self.keep_alive_requests += 1
        await self.stream.handle(
            said.Request(
                stream_id=STREAM_ID,
                headers=[(name, value) for name, value in request.headers if name != _COMPRESSION],
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )


class Http2(H2Protocol):
    """HTTP/2 without WebSockets, and without priorities (RFC 9113 §5.3.2).

    A WebSocket may be read as slowly as its peer likes, and is cut by closing its connection: it has one of its own, by
    HTTP/1.1. So RFC 8441 is not offered; who asks for it anyway has broken HTTP/2 (§3 there).
    """

    _calm = float(CALM)
    _calmed = -math.inf

    async def initiate(
        self, headers: list[tuple[bytes, bytes]] | None = None, settings: bytes | None = None
    ) -> None:
        """Say what is offered."""
        del self.connection.local_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL]
        await super().initiate(headers, settings)

    async def handle(self, event: Event) -> None:
        """Take what came."""
        try:
            await super().handle(event)
        except h2.exceptions.ProtocolError:  # an answer to what the peer has closed in the meantime
            await self._flush()
            await self.send(Closed())

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        if not self._is_calm(events):
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
            await self.send(Closed())
            return
        for event in events:
            if isinstance(event, h2.events.PriorityUpdated):
                continue
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                # It was answered before it had said everything.
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                continue
            await super()._handle_events([event])
            if isinstance(event, h2.events.RequestReceived) and event.stream_id not in self.streams:
                await self.send(Updated(idle=self.idle))  # it was refused
        await self._flush()

    def _is_calm(self, events: Sequence[h2.events.Event]) -> bool:
        """Whether the frames that carry nothing stay within bounds: each costs us more than the peer."""
        now = trio.current_time()
        if self._calmed > -math.inf:
            self._calm = min(CALM, self._calm + CALM_RATE * (now - self._calmed))
        self._calmed = now
        self._calm -= sum(isinstance(each, _NOTHING) for each in events)
        return self._calm >= 0

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        headers = cast("list[tuple[bytes, bytes]]", request.headers)
        asked = dict(each for each in headers if each[0].startswith(b":"))
        method, path = asked.get(b":method", b""), asked.get(b":path", b"")
        if method == b"CONNECT" or not (method.isascii() and path.isascii() and path):
            return await self._reset(request.stream_id, ErrorCodes.PROTOCOL_ERROR)
        self.keep_alive_requests += 1
        if cast("Tasks", self.task_group).running >= MAX_STREAMS:
            return await self._reset(request.stream_id, ErrorCodes.REFUSED_STREAM)
        stream = self.streams[request.stream_id] = _stream(self, request.stream_id, websocket=False)
        self.stream_buffers[request.stream_id] = StreamBuffer(self.context.event_class)
        self.priority.insert_stream(request.stream_id)
        self.priority.block(request.stream_id)
        return await stream.handle(
            said.Request(
                stream_id=request.stream_id,
                headers=filter_pseudo_headers(headers),
                http_version="2",
                method=method.decode("ascii").upper(),
                raw_path=path,
                state=self.connection_state,
            )
        )

    async def stream_send(self, event: said.Event) -> None:
        """Do what a stream wants; a peer that takes nothing for `TAKE` seconds does not get the rest."""
        with trio.move_on_after(TAKE) as taking:
            await super().stream_send(event)
        if taking.cancelled_caught:
            await self._reset(event.stream_id, ErrorCodes.CANCEL)

    async def _reset(self, stream_id: int, why: ErrorCodes) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # it has been closed by the peer
            self.connection.reset_stream(stream_id, why)
        await self._close_stream(stream_id)
        await self._window_updated(stream_id)  # whoever still sends on it hears of it
        await self._flush()


def _is_upgrade(request: h11.Request) -> bool:
    """Whether it asks for a WebSocket. Whether it may have one is found out where it is answered."""
    tokens = [
        token.strip().lower()
        for name, value in request.headers
        if name == b"connection"
        for token in value.split(b",")
    ]
    kinds = [value.strip().lower() for name, value in request.headers if name == b"upgrade"]
    return b"upgrade" in tokens and kinds == [b"websocket"] and request.method == b"GET"


def _stream(protocol: H11Protocol | H2Protocol, stream_id: int, *, websocket: bool) -> HTTPStream | WSStream:
    return cast("Any", _WebSocket if websocket else HTTPStream)(
        protocol.app,
        protocol.config,
        protocol.context,
        protocol.task_group,
        protocol.ssl,
        protocol.client,
        protocol.server,
        protocol.stream_send,
        stream_id,
    )
