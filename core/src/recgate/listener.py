"""A listening socket: accept, count, and hand each connection to a task that cannot hurt the others.

Accepting never waits for a connection: limits are checked, the task is started, and the next accept follows,
whatever the peers do. What a peer has not finished within the handshake deadline is closed.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import structlog
import trio

from recgate.addresses import block_of, plain
from recgate.errors import RemoteProtocolError
from recgate.metrics import CONNECTIONS, REFUSED
from recgate.proxyheader import read_proxy_header

if TYPE_CHECKING:
    from recgate.config import ListenerSettings

__all__ = ["Listener"]

BACKLOG: Final = 1024
PER_ADDRESS: Final = 0.5  # share of a listener's connections that one address may hold before it logged in
RETRY: Final = 0.1  # seconds before the next accept when the process is out of descriptors

log = structlog.get_logger("recgate.listener")

Serve = Callable[[socket.socket, str, str, Callable[[], None]], Awaitable[None]]


class Listener:
    """One bind address of one protocol.

    `serve(socket, peer, local, admitted)` gets each connection and must not raise; it calls `admitted` once
    somebody has been let in, so that one address cannot take every place without ever logging in.
    """

    def __init__(self, settings: ListenerSettings, serve: Serve) -> None:
        self.settings = settings
        self._serve = serve
        self._live = 0
        self._accepting = trio.CancelScope()
        self._arriving: dict[str, int] = {}  # connections that nobody has logged in on, by address
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self.socket = trio.socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    async def bind(self) -> tuple[str, int]:
        """Bind and listen; gives the address actually bound. Raises `OSError`."""
        await self.socket.bind((self.settings.host, self.settings.port))
        self.socket.listen(BACKLOG)
        name = self.socket.getsockname()
        return str(name[0]), int(name[1])

    def close(self) -> None:
        """Accept nobody any more; `run` goes on until its connections have ended."""
        self._accepting.cancel()

    async def run(self) -> None:
        """Accept until closed or cancelled; live connections belong to this call and are cancelled with it."""
        async with trio.open_nursery() as nursery:
            with self.socket, self._accepting:
                while True:
                    try:
                        sock, address = await self.socket.accept()
                    except OSError as exc:
                        if exc.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                            log.warning("accept.failed", error=exc.strerror, listener=self.settings.protocol)
                            await trio.sleep(RETRY)  # descriptors come back when connections end
                            continue
                        if exc.errno in (errno.ECONNABORTED, errno.EPROTO):
                            continue
                        raise
                    raw = socket.socket(fileno=sock.detach())
                    self._admit(nursery, raw, plain(str(address[0])), int(address[1]))

    def _admit(self, nursery: trio.Nursery, sock: socket.socket, host: str, port: int) -> None:
        protocol, limit = self.settings.protocol, self.settings.max_connections
        CONNECTIONS.labels(protocol).inc()
        # A balancer's address stands for everybody behind it.
        own = limit if self._trusted(host) else max(1, int(limit * PER_ADDRESS))
        block = block_of(host)
        if self._live >= limit or self._arriving.get(block, 0) >= own:
            why = "max_connections" if self._live >= limit else "per_address"
            REFUSED.labels(protocol, why).inc()
            log.warning("connection.refused", why=why, limit=limit, peer=host, listener=protocol)
            sock.close()
            return
        self._live += 1
        self._arriving[block] = self._arriving.get(block, 0) + 1
        nursery.start_soon(self._connection, sock, host, port)

    def _admitted(self, host: str) -> Callable[[], None]:
        """Give the call that takes one connection of `host` out of those still arriving, once."""
        counted, block = True, block_of(host)

        def admitted() -> None:
            nonlocal counted
            if counted:
                counted = False
                self._arriving[block] -= 1
                if not self._arriving[block]:
                    del self._arriving[block]

        return admitted

    async def _connection(self, sock: socket.socket, host: str, port: int) -> None:
        admitted = self._admitted(host)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            name = sock.getsockname()
            peer = f"{host}:{port}"
            if self._trusted(host):
                with trio.fail_after(self.settings.handshake_timeout):
                    peer = await read_proxy_header(sock) or peer
            await self._serve(sock, peer, f"{name[0]}:{name[1]}", admitted)
        except (RemoteProtocolError, trio.TooSlowError, OSError) as exc:
            REFUSED.labels(self.settings.protocol, "handshake").inc()
            log.info(
                "connection.dropped", peer=host, listener=self.settings.protocol, error=str(exc) or "time-out"
            )
        finally:
            self._live -= 1
            admitted()
            if sock.fileno() >= 0:
                sock.close()

    def _trusted(self, host: str) -> bool:
        networks = self.settings.proxy_protocol_from
        if not networks:
            return False
        address = ipaddress.ip_address(host.partition("%")[0])
        return any(address in ipaddress.ip_network(network) for network in networks)
