"""A tunnel end to end in one process: the line protocol over a WebSocket, recorded, refused, ended, cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import recgate_api.tunnel
from core.tests.test_gateway import House
from plugins.api.tests.test_api_http import UPGRADE, secured
from plugins.api.tests.test_api_http import until as said_until
from plugins.api.tests.test_api_listener import ALICE, listening, trusting, url
from recgate.carrying import Parted
from recgate.sansio.asks import Denied
from recgate.websocketclient import ClientMessages, open_messages

PATIENCE = 15
STUCK = 0.5  # seconds without a message taken


@asynccontextmanager
async def tunnel(home: House) -> AsyncIterator[ClientMessages]:
    lines = [(name.encode(), value.encode()) for name, value in ALICE.items()]
    async with open_messages(url(home, "/api/v1/connect/prod"), trusting(home), headers=lines) as messages:
        yield messages


async def until(messages: ClientMessages, ending: bytes) -> bytes:
    said = b""
    with trio.fail_after(PATIENCE):
        while not said.endswith(ending):
            said += await messages.receive()
    return said


async def closed(messages: ClientMessages) -> tuple[bytes, int, str]:
    said = b""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                said += await messages.receive()
            except Parted as parted:
                return said, parted.code, parted.reason


async def opened(messages: ClientMessages) -> None:
    await messages.send(b"HELLO prod\n")
    assert await until(messages, b"\n") == b"OK\n"


async def test_a_tunnel_is_a_session_like_any_other(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        async with tunnel(home) as messages:
            await opened(messages)
            await messages.send(b"ASK on\n")
            assert await until(messages, b"on\n") == b"ANSWER to ASK on\n"
            (session,) = home.gateway.live.values()
            assert (session.principal.name, session.connection.peer_host) == ("alice", "127.0.0.1")
        row = await home.row(session.id, status="sealed")
        assert (row.user, row.target, row.protocol) == ("alice", "prod", "line")


async def test_the_end_of_one_direction_is_carried(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        async with tunnel(home) as messages:
            await opened(messages)
            await messages.send(b"ASK last\n")
            await messages.send(b"")
            said, code, reason = await closed(messages)
            assert said.endswith(b"ANSWER to ASK last\n")
            assert (code, reason) == (1000, "client-closed")


async def test_a_tunnel_leads_to_one_target(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        async with tunnel(home) as messages:
            await messages.send(b"HELLO other\n")
            said, _, _ = await closed(messages)
            assert b"OK" not in said
        assert "the tunnel leads to prod" in str((await home.event("login.failed"))["reason"])


async def test_a_session_that_is_ended_says_why(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        async with tunnel(home) as messages:
            await opened(messages)
            (session,) = home.gateway.live.values()
            session.end(Denied("the credential was revoked", "revoked", session.id))
            said, code, reason = await closed(messages)
            assert b"BYE revoked: the credential was revoked" in said
            assert (code, reason.partition(":")[0]) == (1008, "revoked")


async def test_a_client_that_vanishes_leaves_a_sealed_recording(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        async with trio.open_nursery() as nursery:
            async with tunnel(home) as messages:
                await opened(messages)
                (session,) = home.gateway.live.values()
                nursery.cancel_scope.cancel()
                await trio.sleep_forever()
        await home.row(session.id, status="sealed")


@pytest.mark.parametrize("size", [1, 60_000])
async def test_bytes_arrive_whole(tmp_path: Path, size: int) -> None:
    line = b"ASK " + b"x" * size + b"\n"
    async with listening(tmp_path) as (home, _):
        async with tunnel(home) as messages:
            await opened(messages)
            await messages.send(line)
            assert await until(messages, b"\n") == b"ANSWER to " + line


async def test_a_client_that_takes_nothing_does_not_outlast_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may read as slowly as it likes while the session lives, and holds nothing once that has ended."""
    monkeypatch.setattr(recgate_api.tunnel, "LAST", 0.5)
    async with listening(tmp_path) as (home, _), trio.open_nursery() as nursery:
        stream = await secured(home)
        await stream.send_all(UPGRADE)
        assert (await said_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await stream.send_all(binary(b"HELLO prod\n"))
        await home.event("session.opened")
        (session,) = home.gateway.live.values()
        asked = [trio.Event()]

        async def ask_and_take_nothing() -> None:
            try:
                while True:
                    await stream.send_all(binary(b"ASK " + b"x" * 60_000 + b"\n"))
                    asked.append(trio.Event())
                    asked[-2].set()
            except trio.BrokenResourceError:
                nursery.cancel_scope.cancel()

        nursery.start_soon(ask_and_take_nothing)
        stuck = False
        while not stuck:
            with trio.move_on_after(STUCK) as waiting:
                await asked[-1].wait()
            stuck = waiting.cancelled_caught
        assert len(asked) > 5
        session.end(Denied("the credential was revoked", "revoked", session.id))
        await home.row(session.id, status="sealed")
        with trio.fail_after(PATIENCE):
            await trio.sleep_forever()


def binary(data: bytes) -> bytes:
    """A masked WebSocket message (RFC 6455 §5.2), the mask being zero."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x82" + size + bytes(4) + data
