"""A scrape is answered, anything else is not, and nobody can hold the page open."""

from __future__ import annotations

import socket

import pytest
import trio

from recgate import metricspage
from recgate.metrics import CONNECTIONS
from recgate.metricspage import MAX_HEAD, serve_metrics


async def _ask(request: bytes) -> bytes:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    answer = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_metrics, ours)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(theirs)) as stream:
            await stream.send_all(request)
            with trio.fail_after(5):
                try:
                    while chunk := await stream.receive_some():
                        answer += chunk
                except trio.BrokenResourceError:
                    return answer
    return answer


async def test_a_scrape_gets_the_counters() -> None:
    CONNECTIONS.labels("test-protocol").inc()
    answer = await _ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'recgate_connections_total{protocol="test-protocol"}' in answer


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_everything_else_is_not_there(request_: bytes) -> None:
    assert (await _ask(request_)).startswith(b"HTTP/1.1 404")


async def test_garbage_and_endless_heads_end_the_connection() -> None:
    assert await _ask(b"\x00\x01\x02\r\n\r\n") == b""
    assert await _ask(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (2 * MAX_HEAD)) == b""


async def test_silence_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metricspage, "TIMEOUT", 0.05)
    assert await _ask(b"GET") == b""
