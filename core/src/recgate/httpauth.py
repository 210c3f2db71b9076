"""Who sends this HTTP request: from an ASGI scope to a principal, and refusals in HTTP's own words (RFC 9457).

Plain ASGI, so that what a plugin mounts on the HTTPS listener needs neither a framework nor another plugin for it.
The `api` plugin answers every `Problem` that a mounted application raises before its response has begun.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import trio

from recgate.errors import AuthenticationFailed, RecgateError
from recgate.model import BearerEvidence, ConnectionInfo, Principal, Secret
from recgate.signin import SignIn
from recgate.stepup import unmet

if TYPE_CHECKING:
    from recgate.config import TargetSettings
    from recgate.gateway import Gateway

__all__ = [
    "MAX_BODY",
    "App",
    "Headers",
    "Problem",
    "Receive",
    "Scope",
    "Send",
    "answer",
    "answer_json",
    "connection_of",
    "read_body",
    "signed_in",
    "signing_in",
    "target_open_to",
]

MAX_TOKEN: Final = 16 << 10  # characters; the listener takes no longer header
MAX_BODY: Final = 1 << 20  # bytes of a request's body, where nobody says less
_CREDENTIALS: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*) *\Z")  # RFC 6750 §2.1

Scope = MutableMapping[str, object]
Receive = Callable[[], Awaitable[MutableMapping[str, object]]]
Send = Callable[[MutableMapping[str, object]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class Problem(RecgateError):
    """A request that is refused: a status and words for people, sent as `application/problem+json` (RFC 9457).

    `detail` says what to do next. `more` are further members of the body.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        title = HTTPStatus(status).phrase
        super().__init__(detail or title)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"title": title, "status": status, "detail": detail or title, **(more or {})}


# -- who ---------------------------------------------------------------------------------------------------


async def signing_in(gateway: Gateway, scope: Scope) -> Principal:
    """Say who sends this request, by its `Authorization: Bearer` header (RFC 6750 §2.1) and by nothing else.

    Goes through the identity sources, the guard and the audit trail as every other way in does, and tells the
    listener that somebody has come in.

    Raises:
        Problem: 401 without a credential that an identity source knows, 400 for two, 429 while this address waits.
    """
    connection = connection_of(scope)
    token = _bearer(scope)
    wait = gateway.guard.wait(connection.peer_host, "", trio.current_time())
    try:
        who = await SignIn(gateway, connection).login("", BearerEvidence(token))
    except AuthenticationFailed as exc:
        if wait > 0:
            raise Problem(
                429,
                f"too many failures from this address: try again in {wait:.0f} s",
                headers={"retry-after": str(math.ceil(wait))},
            ) from None
        raise _unknown(exc.tell or "sign in again: `recgate login`", "invalid_token") from None
    admitted = _state(scope).get("admitted")
    if callable(admitted):
        admitted()
    return who.principal


def signed_in(gateway: Gateway, app: App) -> App:
    """Wrap an application: it is asked only by somebody known, `scope["state"]["principal"]`."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        _state(scope)["principal"] = await signing_in(gateway, scope)
        await app(scope, receive, send)

    return guarded


def connection_of(scope: Scope) -> ConnectionInfo:
    """Give the connection that a request came on, as the listener knows it: behind a PROXY header, the client's."""
    connection = _state(scope)["connection"]
    assert isinstance(connection, ConnectionInfo)
    return connection


def _state(scope: Scope) -> dict[str, object]:
    return cast("dict[str, object]", scope["state"])


def _bearer(scope: Scope) -> Secret:
    given = [value for name, value in cast("Headers", scope["headers"]) if name.lower() == b"authorization"]
    if len(given) > 1:
        raise Problem(400, "two Authorization headers: send one")
    if not given:
        raise _unknown("send a token as `Authorization: Bearer …`: `recgate login` gets one")
    found = _CREDENTIALS.match(given[0]) if len(given[0]) <= MAX_TOKEN else None
    if found is None:
        raise _unknown("the Authorization header is not `Bearer` and a token", "invalid_request")
    return Secret(found[1])


def _unknown(detail: str, error: str = "") -> Problem:
    challenge = 'Bearer realm="recgate"' + (f', error="{error}"' if error else "")
    return Problem(401, detail, headers={"www-authenticate": challenge})


# -- may they ----------------------------------------------------------------------------------------------


def target_open_to(
    gateway: Gateway, connection: ConnectionInfo, principal: Principal, name: str
) -> TargetSettings:
    """Give a target that `principal` may open now, by its `allow:` and `require:`.

    Raises:
        Problem: 403, worded alike for a target that is not there and one that is not open; audited.
    """
    settings = gateway.config.targets.get(name)
    if settings is None or not gateway.admits(settings, principal):
        reason = "no such target" if settings is None else "not in the target's allow list"
        _denied(gateway, connection, principal, name, reason)
        raise Problem(403, f'no target "{name[:63]}" is open to you: see `recgate targets`')
    if missing := unmet(settings.require, principal, time.time()):
        _denied(gateway, connection, principal, name, missing)
        raise Problem(403, f"{settings.info.name}: {missing}")
    return settings


def _denied(gateway: Gateway, connection: ConnectionInfo, principal: Principal, name: str, why: str) -> None:
    gateway.audit.emit(
        "access.denied",
        user=principal.name,
        issuer=principal.issuer,
        target=name[:200],
        protocol=connection.protocol,
        source=connection.peer,
        reason=why,
    )


# -- bodies ------------------------------------------------------------------------------------------------


async def read_body(receive: Receive, limit: int = MAX_BODY) -> bytes:
    """Read a request's body of at most `limit` bytes. Raises `Problem` 413, or 400 when the client left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Problem(400, "the request ended early")
        body += cast("bytes", message.get("body", b""))
        if len(body) > limit:
            raise Problem(413, f"a body here has at most {limit} bytes")
        if not message.get("more_body", False):
            return bytes(body)


async def answer_json(
    send: Send, status: int, value: object, *, headers: Mapping[str, str] | None = None
) -> None:
    """Answer an HTTP request with JSON."""
    await _answer(
        send, "http.response", status, value, {"content-type": "application/json", **(headers or {})}
    )


async def answer(scope: Scope, send: Send, problem: Problem) -> None:
    """Refuse a request, or a WebSocket that has not been accepted (ASGI's `websocket.http.response`)."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    headers = {"content-type": "application/problem+json", **problem.headers}
    await _answer(send, kind, problem.status, problem.body, headers)


async def _answer(send: Send, kind: str, status: int, value: object, headers: Mapping[str, str]) -> None:
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    lines = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": f"{kind}.start", "status": status, "headers": lines})
    await send({"type": f"{kind}.body", "body": body})
