"""`GET /api/v1/connect/{target}`: a WebSocket whose bytes are the target's protocol, with the sign-in already done."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import trio

from recgate.carrying import AcceptedMessages, Parted, inward, outward
from recgate.errors import AccessDenied
from recgate.httpauth import Problem, Receive, Scope, Send, connection_of, signing_in, target_open_to
from recgate.model import ConnectionInfo, Voucher

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["Connect"]

PARTING: Final = 1.5  # seconds for last words when the gateway stops
LAST: Final = 30.0  # seconds for the client to take what the session said, once that has ended
UPGRADE: Final = 426

# Why a session ended, as close codes of RFC 6455 §7.4.1; every other reason is somebody's decision.
_CODES: Final = {
    "client-closed": 1000,
    "target-closed": 1000,
    "upstream-closed": 1000,
    "shutdown": 1001,
    "error": 1011,
}
REFUSED: Final = 1008


class Connect:
    """Knows who asks and whether they may before it upgrades; then it is one more way to the same door."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises `Problem` before anything is accepted."""
        principal = await signing_in(self._gateway, scope)
        connection = connection_of(scope)
        name = str(cast("dict[str, str]", scope["path_params"])["target"])
        target_open_to(self._gateway, connection, principal, name)
        if scope["type"] != "websocket":
            raise Problem(
                UPGRADE, "a tunnel is a WebSocket: `recgate connect`", headers={"upgrade": "websocket"}
            )
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "headers": []})
        messages, voucher = AcceptedMessages(receive, send), Voucher(principal, name)
        drop = cast("Callable[[], None]", cast("dict[str, object]", scope["state"])["drop"])
        tunnel = _Tunnel(self._gateway, connection, voucher, messages, drop)
        await tunnel.run()


class _Tunnel:
    """One tunnel. Cancelled, it has `PARTING` seconds to pass on what the session said last."""

    def __init__(
        self,
        gateway: Gateway,
        connection: ConnectionInfo,
        voucher: Voucher,
        messages: AcceptedMessages,
        drop: Callable[[], None],
    ) -> None:
        self._gateway = gateway
        self._connection = connection
        self._voucher = voucher
        self._messages = messages
        self._drop = drop
        self._over = trio.Event()
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._near))
        self._scope = trio.CancelScope(shield=True)
        self._reason = "error"

    async def run(self) -> None:
        """Carry until the session has ended or the client has gone, whichever comes first."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hurry_when_cancelled)
            nursery.start_soon(self._hurry_when_over)
            try:
                with self._scope:
                    await self._carry()
                    code = _CODES.get(self._reason.partition(":")[0], REFUSED)
                    await self._messages.close(code, self._reason)
            except Parted:
                pass  # there is nobody to tell
            finally:
                self._near.close()
                self._far.close()
            nursery.cancel_scope.cancel()

    async def _hurry_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._scope.deadline = trio.current_time() + PARTING

    async def _hurry_when_over(self) -> None:
        """A client that takes nothing holds up what is sent, which cannot be cancelled, but not for ever."""
        await self._over.wait()
        await trio.sleep(LAST)
        self._scope.cancel()
        self._drop()

    async def _carry(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take)
            async with trio.open_nursery() as both:
                both.start_soon(self._session)
                both.start_soon(self._give)
            nursery.cancel_scope.cancel()

    async def _session(self) -> None:
        try:
            self._reason = await self._gateway.carry(self._far, self._connection.peer, self._voucher)
        except AccessDenied as exc:  # the configuration changed since it was asked
            self._reason = str(exc)
        self._over.set()

    async def _give(self) -> None:
        try:
            await outward(self._stream, self._messages)
        except Parted:
            self._leave()

    async def _take(self) -> None:
        try:
            await inward(self._stream, self._messages)
            await self._messages.receive()
            raise Parted(1002, "bytes after the end")
        except Parted:
            self._leave()

    def _leave(self) -> None:
        """The client has gone: the session hears what it would hear of a connection that closed."""
        self._stream.socket.close()
