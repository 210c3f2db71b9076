"""PROXY headers: the addresses of clients behind a balancer, and nothing from strangers (threat 11)."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import RemoteProtocolError
from recgate.proxyheader import MAX_V2, parse_proxy_header, read_proxy_header

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
V2_TCP4 = V2 + b"\x21\x11\x00\x0c" + bytes([10, 1, 2, 3, 10, 0, 0, 1]) + b"\x1f\x90\x00\x16"
V2_MAPPED = V2 + b"\x21\x21\x00\x24" + bytes(10) + b"\xff\xff\n\x01\x02\x03" + bytes(16) + b"\x1f\x90\x00\x16"
V1 = b"PROXY TCP4 10.1.2.3 10.0.0.1 8080 22\r\n"


@pytest.mark.parametrize(
    ("data", "peer"),
    [
        (V1, "10.1.2.3:8080"),
        (b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "2001:db8::1:1"),
        (b"PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n", "10.1.2.3:1"),
        (V2_MAPPED, "10.1.2.3:8080"),
        (b"PROXY UNKNOWN\r\n", ""),
        (V2_TCP4, "10.1.2.3:8080"),
        (V2 + b"\x20\x00\x00\x00", ""),
    ],
)
def test_a_header_is_read_whole_and_nothing_behind_it(data: bytes, peer: str) -> None:
    assert parse_proxy_header(data + b"SSH-2.0-x\r\n") == (len(data), peer)
    for cut in range(len(data)):
        assert parse_proxy_header(data[:cut]) == (0, "")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"PROXY TCP4 10.1.2.3 10.0.0.1 8080\r\n",
        b"PROXY TCP4 evil 10.0.0.1 8080 22\r\n",
        b"PROXY TCP4 10.1.2.3 10.0.0.1 99999 22\r\n",
        "PROXY TCP4 10.1.2.3 10.0.0.1 \u0661 22\r\n".encode(),
        b"PROXY " + b"x" * 120,
        V2 + b"\x31\x11\x00\x0c" + bytes(12),
        V2 + b"\x21\x31\x00\x0c" + bytes(12),
        V2 + b"\x21\x11\xff\xff" + bytes(12),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_proxy_header(data)


@given(st.binary(max_size=200))
def test_garbage_is_the_peers_error(data: bytes) -> None:
    try:
        length, _ = parse_proxy_header(data)
    except RemoteProtocolError:
        return
    assert length <= MAX_V2


def _pair() -> tuple[socket.socket, socket.socket]:
    # Real TCP: waiting for more than was peeked at is SO_RCVLOWAT, which socket pairs do not have.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    return ours, theirs


async def test_what_follows_stays_in_the_socket() -> None:
    ours, theirs = _pair()
    with ours, theirs:
        ours.setblocking(False)
        peers = []
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                peers.append(await read_proxy_header(ours))

            nursery.start_soon(read)
            with trio.fail_after(10):
                for byte in V1 + b"SSH":
                    theirs.send(bytes([byte]))
                    await trio.testing.wait_all_tasks_blocked(0.001)
        assert peers == ["10.1.2.3:8080"]
        assert ours.recv(100) == b"SSH"


async def test_a_peer_that_leaves_within_its_header_is_refused() -> None:
    ours, theirs = _pair()
    with ours:
        ours.setblocking(False)
        theirs.send(b"PROXY TCP4 ")
        theirs.close()
        with trio.fail_after(5), pytest.raises(RemoteProtocolError, match="closed"):
            await read_proxy_header(ours)
