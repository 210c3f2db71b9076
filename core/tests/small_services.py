"""A service, a way and a route as a plugin module, which the sealing worker can import as well."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

import trio

from recgate.config import ListenerSettings, Settings
from recgate.errors import UpstreamFailed
from recgate.gateway import Gateway
from recgate.hookspecs import hookimpl
from recgate.model import ConnectionInfo, TargetInfo
from recgate.providers import Routes, Service, ServiceProvider, Way
from recgate.session import Session

__all__ = ["WAY", "recgate_routes", "recgate_services", "recgate_ways"]

recgate_api = 1


class NoKeys(Settings):
    """No keys."""


class Hello:
    """Says who comes from where, or breaks."""

    def __init__(self) -> None:
        self.runs = False

    async def run(self) -> None:
        self.runs = True
        await trio.sleep_forever()

    async def serve(
        self, sock: socket.socket, connection: ConnectionInfo, admitted: Callable[[], None]
    ) -> None:
        assert self.runs
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        if await stream.receive_some(5) == b"break":
            raise ZeroDivisionError
        await stream.send_all(f"hello {connection.peer_host} on {connection.protocol}\n".encode())
        await stream.aclose()


class Roundabout:
    """Leads to a target by dialling it, unless it is closed."""

    name = "roundabout"

    def __init__(self) -> None:
        self.closed = False
        self.sessions: list[Session | None] = []

    async def dial(self, target: TargetInfo, session: Session | None) -> socket.socket:
        self.sessions.append(session)
        if self.closed:
            raise UpstreamFailed(f"{target.name}: the roundabout is closed")
        stream = await trio.open_tcp_stream(target.host, target.port)
        sock = socket.socket(fileno=stream.socket.detach())
        sock.setblocking(False)
        return sock


WAY = Roundabout()


async def page(*_: object) -> None:
    """An ASGI application that nobody asks."""


def _hello(gateway: Gateway, settings: ListenerSettings) -> Service:
    return Hello()


@hookimpl
def recgate_services() -> Iterable[ServiceProvider]:
    return [ServiceProvider("hello", 8, NoKeys, _hello)]


@hookimpl
def recgate_ways(gateway: Gateway) -> Iterable[Way]:
    return [WAY]


@hookimpl
def recgate_routes(gateway: Gateway) -> Iterable[Routes]:
    return [Routes("/api/hello", page)]
