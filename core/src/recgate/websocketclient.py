"""The dialling end of a WebSocket to a gateway: `recgate connect` and agents come by it.

trio-websocket speaks the protocol; TLS is ours, so that a connection that was refused is closed too.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final, cast
from urllib.parse import urlsplit

import trio
import trio_websocket

from recgate.carrying import Parted
from recgate.errors import RecgateError

__all__ = ["ClientMessages", "UpgradeRefused", "gateway_context", "open_messages"]

DIAL: Final = 15.0  # seconds for TCP, TLS and the upgrade together
MAX_MESSAGE: Final = 256 << 10  # bytes of one message
PING: Final = 20.0  # seconds between pings
SILENCE: Final = 60.0  # seconds for the answer to a ping, unless it is we who keep the connection waiting
CLOSING: Final = 5.0  # seconds for the gateway to answer a close
MAX_DETAIL: Final = 500  # characters of a refusal that are shown
_EXPECTED: Final = (
    RecgateError,
    trio.TooSlowError,
    trio_websocket.ConnectionRejected,
    trio_websocket.HandshakeError,
)


class UpgradeRefused(RecgateError):
    """The gateway answered an upgrade by an HTTP refusal. `status` is 401, 403, 429 …; the words are its own."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def gateway_context(ca: str) -> ssl.SSLContext:
    """Give the TLS context that believes a gateway by `ca` (PEM), or by the system's authorities if it is empty.

    Raises:
        RecgateError: `ca` holds no certificate.
    """
    try:
        context = ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError) as exc:
        raise RecgateError(f"the gateway's CA is no certificate: {exc}. Sign in with --ca again.") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class ClientMessages:
    """An open WebSocket of ours, kept alive by pings."""

    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self._connection = connection
        self._listening = False  # waiting for the gateway, and not for whoever takes what it said
        self._sending = False

    async def receive(self) -> bytes:
        """Give the next binary message. Raises `Parted`."""
        self._listening = True
        try:
            message = await self._connection.get_message()
        except trio_websocket.ConnectionClosed as exc:
            raise _parted(exc) from None
        finally:
            self._listening = False
        if isinstance(message, str):
            raise Parted(1003, "the gateway sent text where bytes are expected")
        return message

    async def send(self, data: bytes) -> None:
        """Send a binary message. Raises `Parted`."""
        self._sending = True
        try:
            await self._connection.send_message(data)
        except trio_websocket.ConnectionClosed as exc:
            raise _parted(exc) from None
        finally:
            self._sending = False

    async def keep_alive(self) -> None:
        """Ping until cancelled. Raises `Parted` once the gateway has been silent for `SILENCE` while we listened."""
        while True:
            await trio.sleep(PING)
            with trio.move_on_after(SILENCE) as waiting:
                try:
                    await self._connection.ping()
                except trio_websocket.ConnectionClosed as exc:
                    raise _parted(exc) from None
            if waiting.cancelled_caught and self._listening and not self._sending:
                raise Parted(1006, "the gateway does not answer any more")


@asynccontextmanager
async def open_messages(
    url: str, context: ssl.SSLContext, *, headers: Iterable[tuple[bytes, bytes]] = ()
) -> AsyncGenerator[ClientMessages, None]:
    """Open a WebSocket at `https://host:port/path`; it is closed at the end, whatever happened in between.

    Raises:
        UpgradeRefused: the gateway said no.
        RecgateError: it is not there, or did not prove who it is.
    """
    parts = urlsplit(url)
    stream = await _dial(parts.hostname or "", parts.port or 443, context)
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(DIAL):
                connection = await trio_websocket.wrap_client_stream(
                    nursery,
                    stream,
                    parts.netloc,
                    parts.path,
                    extra_headers=list(headers),
                    max_message_size=MAX_MESSAGE,
                )
            yield ClientMessages(connection)
            with trio.move_on_after(CLOSING):
                await connection.aclose()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # A refusal comes from the task that reads. Of several tasks that hear of one end at once, each says the same.
        leaves = _leaves(group)
        if not all(isinstance(each, _EXPECTED) for each in leaves):
            raise
        only = leaves[0]
        if isinstance(only, trio_websocket.ConnectionRejected):
            raise UpgradeRefused(only.status_code, _detail(only)) from None
        if isinstance(only, (trio_websocket.HandshakeError, trio.TooSlowError)):
            raise RecgateError(f"{parts.netloc}: did not become a WebSocket") from None
        raise only from None
    finally:
        await trio.aclose_forcefully(stream)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Give the exceptions in it, without the groups that nurseries wrap them in."""
    found: list[BaseException] = []
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            found += _leaves(cast("BaseExceptionGroup[BaseException]", each))
        else:
            found.append(each)
    return found


async def _dial(host: str, port: int, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    try:
        with trio.fail_after(DIAL):
            transport = await trio.open_tcp_stream(host, port)
            stream = trio.SSLStream(transport, context, server_hostname=host, https_compatible=True)
            try:
                await stream.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(transport)
                raise
            return stream
    except trio.BrokenResourceError as exc:
        raise RecgateError(f"{host}:{port}: no TLS: {exc.__cause__ or 'it closed the connection'}") from None
    except trio.TooSlowError:
        raise RecgateError(f"{host}:{port}: no answer within {DIAL:.0f} s") from None
    except OSError as exc:
        raise RecgateError(f"{host}:{port}: cannot connect: {exc.strerror or exc}") from None


def _parted(exc: trio_websocket.ConnectionClosed) -> Parted:
    if exc.reason is None:
        return Parted(1006, "the connection to the gateway broke")
    return Parted(exc.reason.code, exc.reason.reason or "")


def _detail(exc: trio_websocket.ConnectionRejected) -> str:
    """The `detail` of a problem document (RFC 9457), or the status alone."""
    try:
        body: object = json.loads(exc.body or b"")
    except ValueError:
        body = None
    detail = cast("dict[str, object]", body).get("detail") if isinstance(body, dict) else None
    return str(detail)[:MAX_DETAIL] if detail else f"the gateway answered with status {exc.status_code}"
