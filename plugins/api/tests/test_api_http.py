"""The connection itself, byte by byte: no compression, no upgrade in the clear, nobody who only holds a place."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from core.tests.test_gateway import House
from plugins.api.tests.test_api_listener import listening, trusting, url
from recgate_api import http

PATIENCE = 20
UPGRADE = (
    b"GET /api/v1/connect/prod HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice.secret\r\n"
    b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


async def secured(home: House) -> trio.SSLStream[trio.SocketStream]:
    transport = await trio.open_tcp_stream("127.0.0.1", int(url(home).rpartition(":")[2]))
    home.streams.append(transport)
    stream = trio.SSLStream(transport, trusting(home), server_hostname="127.0.0.1", https_compatible=True)
    await stream.do_handshake()
    return stream


async def until(stream: trio.SSLStream[trio.SocketStream], ending: bytes | None) -> bytes:
    said = b""
    with trio.fail_after(PATIENCE):
        while ending is None or ending not in said:
            try:
                more = await stream.receive_some()
            except trio.BrokenResourceError:
                break
            if not more:
                break
            said += bytes(more)
    return said


async def test_messages_are_never_compressed(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(UPGRADE)
        said = (await until(stream, b"\r\n\r\n")).lower()
        assert said.startswith(b"http/1.1 101 ")
        assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in said  # RFC 6455 §1.3
        assert b"extensions" not in said


async def test_http_2_is_not_begun_inside_http_1(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(
            b"GET /.well-known/recgate HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert (await until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ],
)
async def test_what_could_be_read_in_two_ways_is_not_read(tmp_path: Path, head: bytes) -> None:
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(head)
        said = await until(stream, b"\r\n\r\n")
        assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 421 "))


async def test_a_head_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "IDLE", 0.2)
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: local")
        assert await until(stream, None) == b""


async def test_a_silent_websocket_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SILENCE", 0.3)
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(UPGRADE)
        await until(stream, b"\r\n\r\n")
        await until(stream, None)
        await home.eventually(lambda: not home.gateway.live)


async def test_a_gateway_that_stops_waits_for_nobody(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with listening(tmp_path) as (home, _):
            stream = await secured(home)
            await stream.send_all(UPGRADE)
            await until(stream, b"\r\n\r\n")
            home.gateway.stop()
            await until(stream, None)
