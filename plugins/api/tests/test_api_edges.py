"""What no mounted application has to think of: bodies too long or too slow, crashes, headers of a page's own."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from pathlib import Path

import trio
import trio.testing

from core.tests.test_gateway import House, house
from recgate.httpauth import MAX_BODY, App, Problem, Receive, Scope, Send, read_body
from recgate.model import ConnectionInfo
from recgate_api.edges import BODY, Edges

PEER = ConnectionInfo("https", "127.0.0.1:8443", "10.0.0.7:5", tls=True)


async def asked(
    home: House, app: App, receive: Receive, kind: str = "http"
) -> list[MutableMapping[str, object]]:
    sent: list[MutableMapping[str, object]] = []

    async def send(message: MutableMapping[str, object]) -> None:
        sent.append(message)

    state: dict[str, object] = {"connection": PEER, "upgraded": lambda: None}
    scope: Scope = {
        "type": kind,
        "method": "POST",
        "path": "/x",
        "headers": [(b"host", b"localhost")],
        "state": state,
    }
    await Edges(home.gateway, app)(scope, receive, send)
    return sent


async def endless() -> MutableMapping[str, object]:
    await trio.lowlevel.checkpoint()
    return {"type": "http.request", "body": b"x" * 65536, "more_body": True}


async def silent() -> MutableMapping[str, object]:
    await trio.sleep_forever()
    raise AssertionError


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    while True:
        await receive()


def status(sent: list[MutableMapping[str, object]]) -> object:
    return sent[0]["status"]


async def test_a_body_without_end_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        assert status(await asked(home, reading, endless)) == 413
        assert BODY <= 60
        assert MAX_BODY <= 1 << 20


async def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    class Nobody:
        keys = type("Keys", (), {"hosts": ("localhost",)})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)

    home = type("Home", (), {"gateway": Nobody})
    assert status(await asked(home, app, silent)) == 408  # type: ignore[arg-type]


async def test_a_crash_says_nothing_of_itself(tmp_path: Path) -> None:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("s3cret")

    async with house(tmp_path) as home:
        for kind in ("http", "websocket"):
            sent = await asked(home, crashing, silent, kind)
            assert status(sent) == 500
            assert json.loads(sent[1]["body"])["detail"] == "the gateway failed at this; its log says why"  # type: ignore[arg-type]


async def test_what_fails_after_it_has_begun_is_cut(tmp_path: Path) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "headers": []})
        raise Problem(403, "too late")

    async with house(tmp_path) as home:
        sent = await asked(home, failing, silent, "websocket")
        assert [each["type"] for each in sent] == ["websocket.accept", "websocket.close"]
        assert sent[1]["code"] == 1011


async def test_a_pages_own_headers_come_first(tmp_path: Path) -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        own = [(b"Content-Security-Policy", b"default-src 'self'")]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b""})

    async with house(tmp_path) as home:
        (start, _) = await asked(home, page, silent)
        headers = start["headers"]
        assert isinstance(headers, list)
        policies = [value for name, value in headers if name == b"content-security-policy"]
        assert policies == [b"default-src 'self'"]
        assert (b"x-content-type-options", b"nosniff") in headers
