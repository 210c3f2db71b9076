"""`/api/v1/requests`: look with GET, which never decides anything; decide with POST, as whom the token proves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qsl

from recgate.httpauth import Problem, Receive, Scope, Send, answer_json, connection_of, read_body, signing_in
from recgate.policy.approving import Caller

if TYPE_CHECKING:
    from recgate.gateway import Gateway
    from recgate.policy.approving import Desk

__all__ = ["PREFIX", "RequestRoutes"]

PREFIX: Final = "/api/v1/requests"
MAX_BODY: Final = 8 << 10
_DECIDING: Final = frozenset({"approve", "deny", "revoke"})


class RequestRoutes:
    """The application. `GET`: all that concern one, or one by its id. `POST`: a new one, or a word on one."""

    def __init__(self, gateway: Gateway, desk: Desk) -> None:
        self._gateway = gateway
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises `Problem`."""
        if scope["type"] != "http":
            raise Problem(404, "there is nothing at this address")
        principal = await signing_in(self._gateway, scope)
        what = await self._what(scope, receive)
        source = connection_of(scope).peer
        rows = await self._desk.call(Caller(principal.name, principal, source), what)
        value: Mapping[str, object] = {"requests": rows} if what["call"] == "ls" else rows[0]
        await answer_json(send, 201 if what["call"] == "new" else 200, value)

    async def _what(self, scope: Scope, receive: Receive) -> dict[str, object]:
        parts = [part for part in str(scope["path"]).removeprefix(PREFIX).split("/") if part]
        method = str(scope["method"])
        if method in ("GET", "HEAD") and len(parts) < 2:
            query = dict(parse_qsl(cast("bytes", scope.get("query_string", b"")).decode("latin-1")))
            listing: dict[str, object] = {"call": "ls", "status": query.get("status", "")}
            return {"call": "show", "request": parts[0]} if parts else listing
        if method != "POST":
            raise Problem(405, "look with GET, decide with POST", headers={"allow": "GET, POST"})
        said = _object(await read_body(receive, MAX_BODY))
        if not parts:
            return {**said, "call": "new"}
        if len(parts) == 2 and parts[1] in _DECIDING:
            return {**said, "call": parts[1], "request": parts[0]}
        raise Problem(404, "there is nothing at this address")


def _object(body: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Problem(400, "the body should be a JSON object")
    return cast("dict[str, object]", value)
