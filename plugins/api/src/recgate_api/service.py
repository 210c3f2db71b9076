"""The service behind `protocol: https`: one application a gateway, however many listeners lead to it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

import trio
from starlette.routing import Mount, Route, Router, WebSocketRoute

from recgate.config import ListenerSettings
from recgate.httpauth import App, Problem, Receive, Scope, Send
from recgate.model import ConnectionInfo
from recgate.providers import Service
from recgate_api.account import About, Targets, WhoAmI
from recgate_api.edges import Edges
from recgate_api.http import ALPN, HttpServer
from recgate_api.tunnel import Connect

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from recgate.gateway import Gateway

__all__ = ["HttpsService", "application", "https_service"]

_APPLICATIONS: Final[WeakKeyDictionary[Gateway, App]] = WeakKeyDictionary()


async def _nothing_there(scope: Scope, receive: Receive, send: Send) -> None:
    raise Problem(404, "there is nothing at this address")


class _Itself:
    """An application at one address: an object, since a framework takes a function for something else."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self._app(scope, receive, send)


def application(gateway: Gateway) -> App:
    """Give the application of a gateway, made once: what plugins mount keeps state of its own."""
    if gateway not in _APPLICATIONS:
        about = cast("ASGIApp", About(gateway))
        routes = [
            Route("/.well-known/recgate", about, methods=["GET"]),
            Route("/api/v1/whoami", cast("ASGIApp", WhoAmI(gateway)), methods=["GET"]),
            Route("/api/v1/targets", cast("ASGIApp", Targets(gateway)), methods=["GET"]),
            Route("/api/v1/connect/{target}", cast("ASGIApp", Connect(gateway)), methods=["GET"]),
            WebSocketRoute("/api/v1/connect/{target}", cast("ASGIApp", Connect(gateway))),
            *(
                route
                for each in sorted(gateway.registry.routes(gateway), key=lambda each: -len(each.prefix))
                # A mount alone has nothing at its prefix itself.
                for route in (
                    Route(each.prefix, cast("ASGIApp", _Itself(each.app))),
                    Mount(each.prefix, cast("ASGIApp", each.app)),
                )
            ),
        ]
        router = Router(routes, redirect_slashes=False, default=cast("ASGIApp", _nothing_there))
        _APPLICATIONS[gateway] = Edges(gateway, cast("App", router))
    return _APPLICATIONS[gateway]


class HttpsService:
    """One listener. The certificate is the one in force when a connection comes."""

    def __init__(self, gateway: Gateway, settings: ListenerSettings) -> None:
        self._gateway = gateway
        self._timeout = settings.handshake_timeout
        self._server = HttpServer(application(gateway))

    async def run(self) -> None:
        """Wait for the end, and then take no further requests."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self._server.close()

    async def serve(
        self, sock: socket.socket, connection: ConnectionInfo, admitted: Callable[[], None]
    ) -> None:
        """Serve one connection."""
        context = self._gateway.certificate.context(ALPN)
        await self._server.serve(sock, context, connection, admitted, self._timeout)


def https_service(gateway: Gateway, settings: ListenerSettings) -> Service:
    """Make the service of one listener."""
    return HttpsService(gateway, settings)
