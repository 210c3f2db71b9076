"""Bodies, refusals and the wrapper, as plain ASGI; the sign-in itself is tested through the `api` plugin's listener."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from core.tests.test_gateway import house
from recgate.httpauth import Problem, answer, read_body, signed_in, target_open_to
from recgate.model import ConnectionInfo, Principal

PEER = ConnectionInfo("https", "127.0.0.1:8443", "10.0.0.7:5", tls=True)


def receiving(*messages: dict[str, object]) -> Callable[[], object]:
    left = list(messages)

    async def receive() -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        return left.pop(0)

    return receive


async def test_a_body_is_read_whole_and_no_further_than_it_may_go() -> None:
    parts = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"c", "more_body": False},
    ]
    assert await read_body(receiving(*parts), 3) == b"abc"  # type: ignore[arg-type]
    with pytest.raises(Problem) as seen:
        await read_body(receiving(*parts), 2)  # type: ignore[arg-type]
    assert seen.value.status == 413
    with pytest.raises(Problem, match="ended early"):
        await read_body(receiving(parts[0], {"type": "http.disconnect"}))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_refusal_is_a_problem_document(kind: str) -> None:
    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    await answer({"type": kind}, send, Problem(429, "wait", headers={"retry-after": "3"}, more={"until": 3}))
    start, body = sent
    prefix = "websocket.http.response" if kind == "websocket" else "http.response"
    assert (start["type"], start["status"], body["type"]) == (f"{prefix}.start", 429, f"{prefix}.body")
    headers = dict(start["headers"])  # type: ignore[call-overload]
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"retry-after"] == b"3"
    said = json.loads(body["body"])  # type: ignore[arg-type]
    assert said == {"title": "Too Many Requests", "status": 429, "detail": "wait", "until": 3}


async def test_the_wrapper_lets_through_only_who_is_known(tmp_path: Path) -> None:
    admitted: list[int] = []
    seen: list[object] = []

    async def app(scope: object, receive: object, send: object) -> None:
        assert isinstance(scope, dict)
        seen.append(scope["state"]["principal"].name)

    async def nothing(*_: object) -> dict[str, object]:
        return {}

    async with house(tmp_path) as home:
        state: dict[str, object] = {"connection": PEER, "admitted": lambda: admitted.append(1)}
        guarded = signed_in(home.gateway, app)
        for value in (b"Bearer alice.wrong", b"bearer", b"Bearer a b"):
            scope = {"type": "http", "headers": [(b"authorization", value)], "state": state}
            with pytest.raises(Problem) as refused:
                await guarded(scope, nothing, nothing)  # type: ignore[arg-type]
            assert refused.value.status == 401
        two = [(b"authorization", b"Bearer alice.secret")] * 2
        with pytest.raises(Problem, match="two Authorization"):
            await guarded({"type": "http", "headers": two, "state": state}, nothing, nothing)  # type: ignore[arg-type]
        assert (seen, admitted) == ([], [])
        await guarded({"type": "http", "headers": two[:1], "state": state}, nothing, nothing)  # type: ignore[arg-type]
        assert (seen, admitted) == (["alice"], [1])


async def test_a_target_demands_a_sign_in_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path, target={"require": {"acr": ["phr"]}}) as home:
        alice = Principal("shared", "alice", "alice", frozenset({"dba"}))
        with pytest.raises(Problem, match=r"prod: needs a sign-in at phr: run `recgate login --acr phr`"):
            target_open_to(home.gateway, PEER, alice, "prod")
        strong = Principal("shared", "alice", "alice", frozenset({"dba"}), acr="phr")
        assert target_open_to(home.gateway, PEER, strong, "prod").info.name == "prod"
