"""The dialling end against a gateway that misbehaves; plugins/api shows it against the real one."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from recgate.carrying import Parted
from recgate.keys import GatewayKeys
from recgate.websocketclient import gateway_context, open_messages

Stream = trio.SSLStream[trio.SocketStream]
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


@asynccontextmanager
async def gateway(
    tmp_path: Path, behave: Callable[[Stream], Awaitable[None]]
) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """A server that upgrades whoever comes, and then does as a test says."""
    keys = GatewayKeys(tmp_path / "data")
    keys.prepare()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(keys.certificate_file, keys.certificate_key_file)

    async def serve(transport: trio.SocketStream) -> None:
        stream = trio.SSLStream(transport, context, server_side=True, https_compatible=True)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        (key,) = (
            line.split()[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()  # noqa: S324 - RFC 6455 wants it
        await stream.send_all(
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        await behave(stream)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}/x"
        yield url, gateway_context(keys.ca_file.read_text())
        nursery.cancel_scope.cancel()


async def silent(stream: Stream) -> None:
    await trio.sleep_forever()


async def ended(url: str, context: ssl.SSLContext, *ends: Exception) -> None:
    async with open_messages(url, context), trio.open_nursery() as nursery:

        async def end(exc: Exception) -> None:
            raise exc

        for each in ends:
            nursery.start_soon(end, each)


async def test_an_end_that_several_tasks_hear_of_is_one(tmp_path: Path) -> None:
    """Else it passes whoever expects it, and ends every other tunnel of the process."""
    async with gateway(tmp_path, silent) as (url, context):
        with pytest.raises(Parted, match="over"):
            await ended(url, context, Parted(1006, "over"), Parted(1006, "over"))


async def test_what_is_no_end_of_the_tunnel_is_not_hidden_by_one(tmp_path: Path) -> None:
    async with gateway(tmp_path, silent) as (url, context):
        with pytest.raises(ExceptionGroup) as seen:
            await ended(url, context, Parted(1006, "over"), ZeroDivisionError())
        assert seen.group_contains(ZeroDivisionError)
