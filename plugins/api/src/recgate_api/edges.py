"""What is true of every request: whose name it calls, whose page it comes from, how much it says, how it fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import structlog
import trio

from recgate.httpauth import MAX_BODY, App, Problem, Receive, Scope, Send, answer, connection_of

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from recgate.gateway import Gateway

__all__ = ["Edges"]

BODY: Final = 30.0  # seconds for a request's body to come
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# No Strict-Transport-Security: it speaks for a host, and other things listen on this one under other ports.
HEADERS: Final[Sequence[tuple[bytes, bytes]]] = (
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_BEGINNINGS: Final = ("http.response.start", "websocket.http.response.start", "websocket.accept")

log = structlog.get_logger("recgate.https")


class Edges:
    """The outermost application. Refusals of those inside are answered here, and so is what they raise."""

    def __init__(self, gateway: Gateway, inner: App) -> None:
        self._gateway = gateway
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        exchange = _Exchange(scope, receive, send)
        try:
            self._check(scope)
            await self._inner(scope, exchange.receive, exchange.send)
        except Problem as problem:
            await exchange.fail(problem)
        except Exception as exc:  # a request's boundary: it fails alone, and its reason stays here (law 7)
            log.error("request.crashed", path=str(scope.get("path", ""))[:200], exc_info=exc)
            await exchange.fail(Problem(500, "the gateway failed at this; its log says why"))

    def _check(self, scope: Scope) -> None:
        """Refuse what a browser was tricked into: a name that is not ours (DNS rebinding), another site's page."""
        host = _only(scope, b"host")
        name = (urlsplit(f"//{host}").hostname or "") if _is_authority(host) else ""
        local = connection_of(scope).listener.rpartition(":")[0]
        if name not in {each.lower() for each in self._gateway.keys.hosts} | {local.lower()}:
            raise Problem(421, "this gateway does not go by that name: `gateway.hosts` lists its names")
        origin = _only(scope, b"origin")
        unsafe = scope["type"] == "websocket" or scope.get("method") not in SAFE
        if origin and unsafe and origin.lower() != f"https://{host.lower()}":
            raise Problem(403, "requests from other sites' pages are refused")


def _is_authority(host: str) -> bool:
    return host.isascii() and not any(each in host for each in "/@?#\\ \t")


def _only(scope: Scope, name: bytes) -> str:
    found = [value for key, value in _headers(scope) if key.lower() == name]
    if len(found) > 1:
        raise Problem(400, f"two {name.decode()} headers: send one")
    return found[0].decode("latin-1") if found else ""


def _headers(message: MutableMapping[str, object]) -> Iterable[tuple[bytes, bytes]]:
    return cast("Iterable[tuple[bytes, bytes]]", message.get("headers") or ())


class _Exchange:
    """One request's messages, counted on the way in and completed on the way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._begun = False
        self._size = 0
        self._more = scope["type"] == "http"  # a body is still to come
        self._deadline = trio.current_time() + BODY

    async def receive(self) -> MutableMapping[str, object]:
        """Give the next message. Raises `Problem` for a body that is too long or too slow."""
        if not self._more:
            return await self._receive()
        with trio.move_on_at(self._deadline):
            message = await self._receive()
            self._more = bool(message.get("more_body", False))
            self._size += len(cast("bytes", message.get("body", b"")))
            if self._size > MAX_BODY:
                raise Problem(
                    413, f"a body here has at most {MAX_BODY} bytes", headers={"connection": "close"}
                )
            return message
        raise Problem(408, "the body took too long", headers={"connection": "close"})

    async def send(self, message: MutableMapping[str, object]) -> None:
        """Send a message, with the headers that every answer has; a page's own come first."""
        if message["type"] in _BEGINNINGS:
            self._begun = True
            if message["type"] == "websocket.accept":
                cast("dict[str, object]", self._scope["state"])["upgraded"]()  # type: ignore[operator]
            given = [(name.lower(), value) for name, value in _headers(message)]
            have = {name for name, _ in given}
            message["headers"] = [*given, *(each for each in HEADERS if each[0] not in have)]
        await self._send(message)

    async def fail(self, problem: Problem) -> None:
        """Say why, if nothing has been said yet; else end what has begun where it is."""
        if self._begun:
            if self._scope["type"] == "websocket":
                await self._send(
                    {"type": "websocket.close", "code": 1011, "reason": HTTPStatus(problem.status).phrase}
                )
            return
        await answer(self._scope, self.send, problem)
