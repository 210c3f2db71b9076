"""Peers that keep no rule: whoever they are, what they hold is given back soon, and nobody else notices."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
import trio
from structlog.testing import capture_logs

from core.tests.test_gateway import House
from plugins.api.tests.test_api_http import PATIENCE, UPGRADE, secured, until
from plugins.api.tests.test_api_listener import listening, trusting, url
from recgate_api import http, protocols

WHOAMI = [
    (":method", "GET"),
    (":path", "/api/v1/whoami"),
    (":scheme", "https"),
    (":authority", "localhost"),
]
BEARER = ("authorization", "Bearer alice.secret")


class Http2:
    """A client that does as it is told, rules or not."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], window: int) -> None:
        self.stream = stream
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.h2.initiate_connection()
        self.seen: list[h2.events.Event] = []

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def until(self, kind: type[h2.events.Event]) -> h2.events.Event:
        with trio.fail_after(PATIENCE):
            while not any(isinstance(each, kind) for each in self.seen):
                data = await self.stream.receive_some()
                assert data, f"the connection ended after {self.seen}"
                self.seen += self.h2.receive_data(bytes(data))
                await self.flush()
        return next(each for each in self.seen if isinstance(each, kind))


@asynccontextmanager
async def http2(home: House, window: int = 65535) -> AsyncIterator[Http2]:
    context = trusting(home)
    context.set_alpn_protocols(["h2"])
    transport = await trio.open_tcp_stream("127.0.0.1", int(url(home).rpartition(":")[2]))
    home.streams.append(transport)
    stream = trio.SSLStream(transport, context, server_hostname="127.0.0.1", https_compatible=True)
    await stream.do_handshake()
    client = Http2(stream, window)
    await client.flush()
    yield client


async def gone(stream: trio.SSLStream[trio.SocketStream]) -> None:
    await until(stream, None)


def crashes(logs: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [each for each in logs if each["log_level"] == "error"]


# -- an upgrade that fails -----------------------------------------------------------------------------------


async def test_an_upgrade_that_is_none_ends_the_connection(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        said = await until(stream, None)
        assert said.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("token", [b"alice.secret", b"nobody.secret"])
async def test_bytes_that_come_before_the_upgrade_end_the_connection(tmp_path: Path, token: bytes) -> None:
    """And are never read as a request of their own."""
    with capture_logs() as logs:
        async with listening(tmp_path) as (home, _):
            stream = await secured(home)
            second = b"GET /.well-known/recgate HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await stream.send_all(UPGRADE.replace(b"alice.secret", token) + second)
            assert b"200 OK" not in await until(stream, None)
            assert not home.gateway.live
    assert not crashes(logs)


# -- bodies that nobody asked for ----------------------------------------------------------------------------


async def test_a_body_that_nobody_reads_holds_no_connection(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        head = b"POST /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        await stream.send_all(head + b"1\r\nx\r\n" * 1000)
        await gone(stream)


async def test_a_body_that_nobody_reads_holds_no_http_2_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "IDLE", 0.5)
    async with listening(tmp_path) as (home, _), http2(home) as client:
        client.h2.send_headers(1, WHOAMI)
        for _ in range(100):
            client.h2.send_data(1, b"x")
        await client.flush()
        await gone(client.stream)


async def test_two_lengths_are_refused(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /.well-known/recgate HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        said = await until(stream, None)
        assert said.startswith(b"HTTP/1.1 400 ")
        assert said.count(b"HTTP/1.1") == 1


# -- HTTP/2 --------------------------------------------------------------------------------------------------


async def test_an_http_2_peer_that_takes_nothing_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "TAKE", 0.5)
    monkeypatch.setattr(http, "IDLE", 0.5)
    async with listening(tmp_path) as (home, _), http2(home, window=0) as client:
        client.h2.send_headers(1, WHOAMI, end_stream=True)
        await client.flush()
        await gone(client.stream)


async def test_a_refusal_arrives_by_http_2_too(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _), http2(home) as client:
        path = [(name, "/api/v1/connect/prod" if name == ":path" else value) for name, value in WHOAMI]
        client.h2.send_headers(1, [*path, BEARER], end_stream=True)
        await client.flush()
        answer = await client.until(h2.events.ResponseReceived)
        assert dict(answer.headers)[b":status"] == b"426"  # type: ignore[attr-defined]


async def test_websockets_are_not_offered_by_http_2(tmp_path: Path) -> None:
    """RFC 8441 §3: and who asks for one anyway gets none, and no session."""
    asked = dict(WHOAMI) | {":method": "CONNECT", ":protocol": "websocket", ":path": "/api/v1/connect/prod"}
    async with listening(tmp_path) as (home, _), http2(home) as client:
        offer = await client.until(h2.events.RemoteSettingsChanged)
        offered = offer.changed_settings  # type: ignore[attr-defined]
        assert h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS in offered
        assert h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL not in offered
        client.h2.send_headers(1, [*asked.items(), BEARER, ("sec-websocket-version", "13")])
        await client.flush()
        answer = await client.until(h2.events.StreamReset)
        assert answer.error_code == h2.errors.ErrorCodes.PROTOCOL_ERROR  # type: ignore[attr-defined]
        assert not home.gateway.live
        client.h2.send_headers(3, [*WHOAMI, BEARER], end_stream=True)
        await client.flush()
        await client.until(h2.events.ResponseReceived)  # others on the connection go on


@pytest.mark.parametrize(
    "headers",
    [
        [(":method", "GET"), (":path", "/\xff"), (":scheme", "https"), (":authority", "localhost")],
        [(":method", "CONNECT"), (":authority", "localhost")],
        [(":method", "G\xcbT"), (":path", "/"), (":scheme", "https"), (":authority", "localhost")],
    ],
)
async def test_odd_http_2_requests_crash_nothing(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    with capture_logs() as logs:
        async with listening(tmp_path) as (home, _), http2(home) as client:
            odd = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            client.h2.send_headers(1, odd, end_stream=True)
            client.h2.send_headers(3, [*WHOAMI, BEARER], end_stream=True)
            await client.flush()
            await client.until(h2.events.ResponseReceived)
            while not any(isinstance(e, h2.events.StreamEnded) and e.stream_id == 3 for e in client.seen):
                client.seen += client.h2.receive_data(bytes(await client.stream.receive_some()))
    assert not crashes(logs)


async def test_data_for_what_is_answered_already_crashes_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with listening(tmp_path) as (home, _), http2(home) as client:
            client.h2.send_headers(1, WHOAMI)
            await client.flush()
            await client.until(h2.events.StreamEnded)
            client.h2.send_data(1, b"late", end_stream=True)
            client.h2.send_headers(3, [*WHOAMI, BEARER], end_stream=True)
            client.seen.clear()
            await client.flush()
            await client.until(h2.events.ResponseReceived)
    assert not crashes(logs)


async def test_priorities_mean_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with listening(tmp_path) as (home, _), http2(home) as client:
            for stream_id in range(1, 101, 2):
                client.h2.prioritize(stream_id, weight=3, depends_on=stream_id + 2, exclusive=True)
            client.h2.send_headers(101, [*WHOAMI, BEARER], end_stream=True)
            await client.flush()
            await client.until(h2.events.ResponseReceived)
    assert not crashes(logs)


@pytest.mark.parametrize("frame", ["priority", "ping", "settings", "reset"])
async def test_frames_that_carry_nothing_have_an_end(tmp_path: Path, frame: str) -> None:
    """CVE-2019-9512, -9515, CVE-2023-44487: each costs the gateway more than the peer."""
    with capture_logs() as logs:
        async with listening(tmp_path) as (home, _), http2(home) as client:
            for number in range(2 * protocols.CALM):
                if frame == "priority":
                    client.h2.prioritize(2 * number + 1, weight=3)
                elif frame == "ping":
                    client.h2.ping(b"12345678")
                elif frame == "settings":
                    client.h2.update_settings({h2.settings.SettingCodes.ENABLE_PUSH: 0})
                else:
                    client.h2.send_headers(2 * number + 1, WHOAMI, end_stream=True)
                    client.h2.reset_stream(2 * number + 1)
            await client.flush()
            await gone(client.stream)
    assert not crashes(logs)


async def test_requests_that_are_taken_back_at_once_do_not_pile_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was reset goes on inside, and counts until it has ended."""
    async with listening(tmp_path) as (home, _), http2(home) as client:
        inside = 0
        more, gate = trio.Event(), trio.Event()
        known = home.people.authenticate

        async def slowly(*asked: object) -> object:
            nonlocal inside
            inside += 1
            if inside > protocols.MAX_STREAMS:
                more.set()
            await gate.wait()
            return await known(*asked)  # type: ignore[arg-type]

        monkeypatch.setattr(home.people, "authenticate", slowly)
        for number in range(3 * protocols.MAX_STREAMS):
            client.h2.send_headers(2 * number + 1, [*WHOAMI, BEARER], end_stream=True)
            client.h2.reset_stream(2 * number + 1)
        client.h2.ping(b"all seen")
        await client.flush()
        await client.until(h2.events.PingAckReceived)
        await home.eventually(lambda: inside == protocols.MAX_STREAMS)
        assert not more.is_set()
        gate.set()


# -- WebSocket -----------------------------------------------------------------------------------------------


async def test_a_message_without_end_is_not_kept(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        stream = await secured(home)
        await stream.send_all(UPGRADE)
        await until(stream, b"\r\n\r\n")
        await stream.send_all(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0")
        sent = 0
        with trio.move_on_after(PATIENCE):
            try:
                while sent < 64 << 20:
                    await stream.send_all(b"x" * 65536)
                    sent += 65536
            except trio.BrokenResourceError:
                pass
        assert sent < 32 << 20
