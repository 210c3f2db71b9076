"""An SSH client that misbehaves on demand: asyncssh's, with its messages in the test's hands."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncssh
import trio
import trio_asyncio
from asyncssh.connection import SSHClientConnection

__all__ = ["MisbehavingClient", "raw_client"]


class MisbehavingClient(SSHClientConnection):
    """A client without strict key exchange if told so; `last` is the exception that its connection ended with."""

    strict = True
    manual = False  # do not log in: the test does
    ended: Exception | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settled = trio.Event()  # keys are exchanged, and it is time to log in

    def try_next_auth(self, *, next_method: bool = False) -> None:
        self.settled.set()
        if not self.manual:
            super().try_next_auth(next_method=next_method)

    def _get_extra_kex_algs(self) -> list[bytes]:
        return super()._get_extra_kex_algs() if self.strict else [b"ext-info-c"]

    def _cleanup(self, exc: Exception | None) -> None:
        self.ended = exc or self.ended
        super()._cleanup(exc)


@contextlib.asynccontextmanager
async def raw_client(
    port: int, *, strict: bool = True, manual: bool = False, **options: Any
) -> AsyncIterator[Any]:
    """Connect and give the connection when it is logged in; with `manual`, when it is time to log in."""
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(lambda loop, context: None)
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        given = {
            "host": "127.0.0.1",
            "port": port,
            "config": None,
            "username": "prod-web",
            "known_hosts": None,
            "agent_path": None,
            "client_keys": None,
            "gss_host": None,
            **options,
        }
        settings = asyncssh.SSHClientConnectionOptions(**given)
        settings.waiter = loop.create_future()

        def make() -> MisbehavingClient:
            connection = MisbehavingClient(loop, settings, wait="auth")
            connection.strict, connection.manual = strict, manual
            return connection

        _, connection = await trio_asyncio.aio_as_trio(loop.create_connection)(make, sock=sock)
        try:
            with trio.fail_after(30):
                if manual:
                    await connection.settled.wait()
                else:
                    await trio_asyncio.run_aio_future(settings.waiter)
            yield connection
        finally:
            with trio.CancelScope(shield=True):
                if settings.waiter.done() and not settings.waiter.cancelled():
                    settings.waiter.exception()  # looked at, so that asyncio does not complain
                else:
                    settings.waiter.cancel()
                connection.abort()
                await trio_asyncio.aio_as_trio(connection.wait_closed)()
