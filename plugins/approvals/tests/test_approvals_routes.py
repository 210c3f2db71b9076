"""What a request over HTTP means: looking is GET, deciding is POST, and anything else is refused."""

from __future__ import annotations

import json

import pytest

from recgate.httpauth import Problem
from recgate_approvals.calls import Call
from recgate_approvals.people import People, may_decide
from recgate_approvals.routes import PREFIX, RequestRoutes
from tests.rulehouse import alice


async def what(method: str, path: str, body: bytes = b"", query: bytes = b"") -> dict[str, object]:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": method, "path": PREFIX + path, "query_string": query}
    return await RequestRoutes(None, None)._what(scope, receive)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("GET", "", "ls"), ("GET", "/", "ls"), ("HEAD", "", "ls"), ("GET", "/01J", "show"), ("POST", "", "new"),
        ("POST", "/01J/approve", "approve"), ("POST", "/01J/deny", "deny"), ("POST", "/01J/revoke", "revoke"),
    ],
)  # fmt: skip
async def test_each_address_is_one_call(method: str, path: str, call: str) -> None:
    found = await what(method, path, b'{"reason": "x", "call": "approve", "request": "other"}')
    assert found["call"] == call
    assert found.get("request", "01J") in ("01J", "other" if call == "new" else "01J")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/01J/approve", 405), ("PUT", "/01J/approve", 405), ("DELETE", "/01J", 405),
        ("POST", "/01J", 404), ("POST", "/01J/approve/x", 404), ("POST", "/01J/show", 404),
    ],
)  # fmt: skip
async def test_everything_else_is_refused(method: str, path: str, status: int) -> None:
    with pytest.raises(Problem) as found:
        await what(method, path)
    assert found.value.status == status


@pytest.mark.parametrize("body", [b"[]", b"{", b"[" * 5_000, b"\xff"])
async def test_a_body_is_an_object(body: bytes) -> None:
    with pytest.raises(Problem) as found:
        await what("POST", "", body)
    assert found.value.status == 400


async def test_a_long_body_is_refused() -> None:
    with pytest.raises(Problem) as found:
        await what("POST", "", json.dumps({"reason": "x" * 9_000}).encode())
    assert found.value.status == 413


def test_a_call_neutralises_nothing_and_keeps_its_text_writable() -> None:
    assert Call.of({"call": "deny", "reason": "\ud800 no"}).reason == "\\ud800 no"


def test_who_is_one_person() -> None:
    people = People((("alice", "corp:alice"),))
    assert people.person("Corp:Alice ") == people.person("ALICE") == people.person("alice")
    assert people.person("alicia") != people.person("alice")


def test_approvers_are_named_exactly() -> None:
    assert may_decide(alice, ("group:dba",))
    assert may_decide(alice, ("user:alice",))
    assert not may_decide(alice, ("user:Alice", "group:DBA", "user:dba", "group:alice", "dba", ""))
