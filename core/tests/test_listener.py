"""Accepting goes on whatever peers do; limits and deadlines have numbers (threats 11, 12)."""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio
import trio.testing

from recgate.config import ListenerSettings, MetricsOptions
from recgate.config.values import parse_bind
from recgate.listener import Listener


def settings(at: str = "127.0.0.1:0", **changes) -> ListenerSettings:
    bind = parse_bind(at)
    return ListenerSettings("line", bind.host, bind.port, "off", MetricsOptions(), **changes)


class Kept:
    """Serves by holding connections until told to let go."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.lets_in = False
        self.arrived = trio.Event()
        self.let_go = trio.Event()

    async def __call__(
        self, sock: socket.socket, peer: str, local: str, admitted: Callable[[], None]
    ) -> None:
        self.peers.append(peer)
        if self.lets_in:
            admitted()
        self.arrived.set()
        await self.let_go.wait()


async def _closed(sock: socket.socket) -> bool:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    with trio.fail_after(5):
        return await stream.receive_some(1) == b""


async def test_more_than_the_limit_are_closed_at_once_and_others_go_on() -> None:
    kept = Kept()
    listener = Listener(settings(max_connections=1), kept)
    address = await listener.bind()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        with socket.create_connection(address):
            await kept.arrived.wait()
            with socket.create_connection(address) as second:
                second.setblocking(False)
                assert await _closed(second)
            assert len(kept.peers) == 1
            kept.let_go.set()
        nursery.cancel_scope.cancel()


async def test_threat_12_one_address_cannot_take_every_place_without_logging_in() -> None:
    for lets_in, expected in ((False, 2), (True, 4)):
        kept = Kept()
        kept.lets_in = lets_in
        listener = Listener(settings(max_connections=4), kept)
        address = await listener.bind()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            socks = []
            for _ in range(5):
                socks.append(socket.create_connection(address))
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(kept.peers) == expected
            for sock in socks:
                sock.close()
            nursery.cancel_scope.cancel()


async def test_a_place_becomes_free_when_a_connection_ends() -> None:
    kept = Kept()
    kept.let_go.set()
    listener = Listener(settings(max_connections=1), kept)
    address = await listener.bind()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        for _ in range(3):
            with socket.create_connection(address) as sock:
                sock.setblocking(False)
                assert await _closed(sock)
        assert len(kept.peers) == 3
        nursery.cancel_scope.cancel()


async def test_threat_11_a_proxy_header_counts_from_trusted_addresses_only() -> None:
    for trusted, expected in (((), "127.0.0.1:"), (("127.0.0.0/8",), "10.1.2.3:8080")):
        kept = Kept()
        listener = Listener(settings(proxy_protocol_from=trusted), kept)
        address = await listener.bind()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            with socket.create_connection(address) as sock:
                sock.send(b"PROXY TCP4 10.1.2.3 10.0.0.1 8080 22\r\n")
                with trio.fail_after(5):
                    await kept.arrived.wait()
            nursery.cancel_scope.cancel()
        assert kept.peers[0].startswith(expected)


async def test_an_ipv4_client_of_an_ipv6_socket_is_who_it_is_elsewhere() -> None:
    for trusted, expected in (((), "127.0.0.1:"), (("127.0.0.0/8",), "10.1.2.3:8080")):
        kept = Kept()
        listener = Listener(settings("[::]:0", proxy_protocol_from=trusted), kept)
        _, port = await listener.bind()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.send(b"PROXY TCP6 ::ffff:10.1.2.3 ::1 8080 22\r\n")
                with trio.fail_after(5):
                    await kept.arrived.wait()
            nursery.cancel_scope.cancel()
        assert kept.peers[0].startswith(expected)


async def test_threat_12_the_addresses_of_one_attacker_are_one() -> None:
    kept = Kept()
    listener = Listener(settings(max_connections=4), kept)
    await listener.bind()
    async with trio.open_nursery() as nursery:
        socks = [socket.socket() for _ in range(4)]
        for n, sock in enumerate(socks):
            listener._admit(nursery, sock, f"2001:db8:1:2::{n}", 5)
        await trio.testing.wait_all_tasks_blocked()
        assert [each.fileno() >= 0 for each in socks] == [True, True, False, False]
        kept.let_go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert listener._arriving == {}
    listener.socket.close()


async def test_threat_12_a_peer_that_says_nothing_is_closed_at_its_deadline() -> None:
    kept = Kept()
    listener = Listener(settings(proxy_protocol_from=("127.0.0.0/8",), handshake_timeout=0.05), kept)
    address = await listener.bind()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        with socket.create_connection(address) as silent:
            silent.setblocking(False)
            assert await _closed(silent)
        assert kept.peers == []
        nursery.cancel_scope.cancel()
