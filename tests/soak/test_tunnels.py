"""What flows through a tunnel costs no memory, and being there little; nor does an idle HTTPS connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd
from tests.soak.flow import flow, resident
from tests.test_connecting import Gate

MIB = 1 << 20
FLAT = 8 * MIB
QUERY = "copy (select repeat('x', 1023) from generate_series(1, {lines}) i) to stdout"
SIZES = [
    pytest.param(64 * MIB, id="64 MiB"),
    pytest.param(4096 * MIB, id="4 GiB", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]
MANY = 30
# Measured in November 2026: 96 and 37 KiB for a tunnel with a session in it, 20 for a connection, 50 with HTTP/2.
TUNNEL = 384 << 10  # bytes of the gateway for an idle tunnel, its session included
CARRIER = 192 << 10  # bytes of `recgate connect` for the same
CONNECTION = 160 << 10  # bytes of the gateway for an idle HTTPS connection


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with Cluster(debian_bin(), tls=False) as cluster, Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        with Gate(tmp_path_factory.mktemp("gate"), cluster, sshd) as running:
            yield running


def opened(into: ExitStack, number: int, make: Callable[[], Any]) -> None:
    for _ in range(number):
        into.enter_context(make())


# First, since what others gave back would be taken again unseen.
def test_an_idle_https_connection_costs_little(gate: Gate) -> None:
    place = ("127.0.0.1", gate.port("https"))

    def connection(protocol: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(gate.data_dir / "ca.pem"))
        context.set_alpn_protocols([protocol])
        made = context.wrap_socket(socket.create_connection(place), server_hostname=place[0])
        assert made.selected_alpn_protocol() == protocol
        if protocol == "http/1.1":
            host = f"{place[0]}:{place[1]}"
            made.sendall(f"GET /.well-known/recgate HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert made.recv(65_536)  # the answer, or the server's settings
        return made

    with ExitStack() as idle:
        for protocol in ("http/1.1", "h2"):
            opened(idle, 5, partial(connection, protocol))
            before = resident(gate.pid)
            opened(idle, MANY, partial(connection, protocol))
            assert (resident(gate.pid) - before) / MANY <= CONNECTION, protocol


@pytest.mark.parametrize("size", SIZES)
def test_memory_stays_flat_while_rows_come_through_a_tunnel(gate: Gate, size: int) -> None:
    with gate.connected("prod-db") as (said, carrier):
        where = said["line"].split('"')[1]
        command = ["psql", "-X", "-q", where, "-c"]
        around = {"PATH": "/usr/bin:/bin"}
        flow([*command, QUERY.format(lines=4096)], around, gate.pid, 4 * MIB)  # buffers reach their size
        before = resident(carrier.pid)

        seen = flow([*command, QUERY.format(lines=size // 1024)], around, gate.pid, size)

        assert seen.taken == size
        assert seen.gateway_growth <= FLAT
        assert peak(carrier.pid) - before <= FLAT


def peak(pid: int) -> int:
    """Give the most resident bytes that a process had since it began, but for file pages that it has now."""
    rows = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    sizes = {row[0]: int(row[1]) * 1024 for row in rows if row[-1] == "kB"}
    return sizes["VmHWM:"] - sizes["RssFile:"]


def test_an_idle_tunnel_costs_little(gate: Gate) -> None:
    with gate.connected("prod-db") as (said, carrier), ExitStack() as idle:

        def session() -> psycopg.Connection:
            return psycopg.connect(said["line"].split('"')[1])

        opened(idle, 5, session)
        before = resident(gate.pid), resident(carrier.pid)
        opened(idle, MANY, session)
        after = resident(gate.pid), resident(carrier.pid)
    assert (after[0] - before[0]) / MANY <= TUNNEL
    assert (after[1] - before[1]) / MANY <= CARRIER
