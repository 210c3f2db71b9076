"""The HTTPS listener as anybody meets it: anonymous, wrong, expired, throttled, role-less, over HTTP and WebSocket."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import trio

from core.tests.test_gateway import House, house
from recgate.guard import FREE_ATTEMPTS
from recgate.websocketclient import UpgradeRefused, open_messages
from recgate_api.account import FEATURES
from recgate_api.edges import HEADERS
from recgate_api.http import MAX_HEADERS
from recgate_api.service import application
from recgate_api.settings import HttpsListener

LISTENERS = [{"protocol": "line", "bind": "127.0.0.1:0"}, {"protocol": "https", "bind": "127.0.0.1:0"}]
ALICE = {"authorization": "Bearer alice.secret"}
GUARDED = ["/api/v1/whoami", "/api/v1/targets", "/api/v1/connect/prod"]


def url(home: House, path: str = "", scheme: str = "https") -> str:
    port = next(each.port for each in home.gateway.bound if each.protocol == "https")
    return f"{scheme}://127.0.0.1:{port}{path}"


def trusting(home: House) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(home.gateway.keys.ca_file))


@asynccontextmanager
async def listening(tmp_path: Path, **config: object) -> AsyncIterator[tuple[House, httpx2.AsyncClient]]:
    async with house(tmp_path, listeners=LISTENERS, **config) as home:  # type: ignore[arg-type]
        home.people.people["mallory"] = frozenset()
        async with httpx2.AsyncClient(base_url=url(home), verify=trusting(home)) as client:
            yield home, client


async def refused(home: House, path: str, headers: Mapping[str, str]) -> int:
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    with pytest.raises(UpgradeRefused) as seen:
        async with open_messages(url(home, path), trusting(home), headers=lines):
            pass
    return seen.value.status


async def test_what_is_known_before_anybody_is(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, client):
        answer = await client.get("/.well-known/recgate")
        assert answer.status_code == 200
        about = answer.json()
        assert about["name"] == home.gateway.config.gateway.name
        assert about["ca"] == home.gateway.keys.ca_file.read_text()
        assert about["ssh_host_ca"].startswith("ssh-ed25519 ")
        for name, value in HEADERS:
            assert answer.headers[name.decode()] == value.decode()
        assert about["features"] == list(FEATURES)
        assert "server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("http2", [False, True])
async def test_somebody_known_learns_who_and_where_to(tmp_path: Path, http2: bool) -> None:
    async with listening(tmp_path) as (home, _):
        home.people.expires = time.time() + 3600
        async with httpx2.AsyncClient(base_url=url(home), verify=trusting(home), http2=http2) as client:
            answer = await client.get("/api/v1/whoami", headers=ALICE)
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert (answer.json()["user"], answer.json()["groups"]) == ("alice", ["dba"])
            assert answer.json()["expires"] == home.people.expires
            targets = (await client.get("/api/v1/targets", headers=ALICE)).json()["targets"]
            assert [each["name"] for each in targets] == ["prod"]
            assert targets[0]["tunnel"] == "nc {host} {port}"
            assert targets[0]["line"].startswith("nc 127.0.0.1 ")


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, 'Bearer realm="recgate"'),
        ({"authorization": "Bearer alice.wrong"}, 'error="invalid_token"'),
        ({"authorization": "Bearer nobody.secret"}, 'error="invalid_token"'),
        ({"authorization": "Basic YWxpY2U6c2VjcmV0"}, 'error="invalid_request"'),
        ({"authorization": "Bearer alice.secret x"}, 'error="invalid_request"'),
        ({"cookie": "token=alice.secret"}, 'Bearer realm="recgate"'),
    ],
)
async def test_nobody_unknown_gets_anything(
    tmp_path: Path, path: str, headers: dict[str, str], said: str
) -> None:
    async with listening(tmp_path) as (home, client):
        answer = await client.get(path + "?access_token=alice.secret", headers=headers)
        assert answer.status_code == 401
        assert said in answer.headers["www-authenticate"]
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 401
        assert "secret" not in answer.text
        tunnels = path == "/api/v1/connect/prod"
        assert await refused(home, path, headers) == (401 if tunnels else 404)  # only tunnels are WebSockets
        assert not home.gateway.live


@pytest.mark.parametrize("path", GUARDED)
async def test_an_expired_credential_is_none(tmp_path: Path, path: str) -> None:
    async with listening(tmp_path) as (home, client):
        home.people.expires = time.time() - 1
        assert (await client.get(path, headers=ALICE)).status_code == 401
        assert await refused(home, "/api/v1/connect/prod", ALICE) == 401
        assert (await home.event("login.failed"))["reason"] == "the credential has expired"


async def test_somebody_without_a_role_may_know_who_they_are_and_go_nowhere(tmp_path: Path) -> None:
    mallory = {"authorization": "Bearer mallory.secret"}
    async with listening(tmp_path) as (home, client):
        assert (await client.get("/api/v1/whoami", headers=mallory)).json()["user"] == "mallory"
        assert (await client.get("/api/v1/targets", headers=mallory)).json()["targets"] == []
        for target in ("prod", "nothing-here"):
            answer = await client.get(f"/api/v1/connect/{target}", headers=mallory)
            assert answer.status_code == 403
            assert answer.json()["detail"] == f'no target "{target}" is open to you: see `recgate targets`'
            assert await refused(home, f"/api/v1/connect/{target}", mallory) == 403
        denied = await home.event("access.denied")
        assert (denied["user"], denied["protocol"]) == ("mallory", "https")
        assert not home.gateway.live


async def test_guessing_is_slowed_down_on_every_route(tmp_path: Path) -> None:
    wrong = {"authorization": "Bearer alice.wrong"}
    async with listening(tmp_path) as (home, client):
        for _ in range(FREE_ATTEMPTS):
            assert (await client.get("/api/v1/whoami", headers=wrong)).status_code == 401
        for path in GUARDED:
            answer = await client.get(path, headers=ALICE)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
        assert await refused(home, "/api/v1/connect/prod", ALICE) == 429
        assert (await client.get("/.well-known/recgate")).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "evil@127.0.0.1", "127.0.0.2"]
)
async def test_a_name_that_is_not_ours_is_refused(tmp_path: Path, host: str) -> None:
    async with listening(tmp_path) as (_, client):
        answer = await client.get("/api/v1/whoami", headers={**ALICE, "host": host})
        assert answer.status_code == 421
        for own in ("127.0.0.1", "127.0.0.1:1", "localhost:9", "LOCALHOST"):
            assert (await client.get("/api/v1/whoami", headers={**ALICE, "host": own})).status_code == 200


async def test_another_sites_page_opens_no_websocket(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, client):
        path = "/api/v1/connect/prod"
        for origin in ("https://evil.example", "null", url(home).replace("https", "http")):
            assert await refused(home, path, {**ALICE, "origin": origin}) == 403
        answer = await client.post("/api/v1/whoami", headers={**ALICE, "origin": "https://evil.example"})
        assert answer.status_code == 403


async def test_what_is_too_long_is_not_read(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, client):
        try:
            long = {"authorization": "Bearer " + "a" * 5 * MAX_HEADERS}
            answer = await client.get("/api/v1/whoami", headers=long)
            assert answer.status_code == 431
        except httpx2.TransportError:
            pass  # the connection closed while the client was still talking
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.post("/api/v1/whoami")).status_code == 405


async def test_without_tls_nothing_is_said(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        port = int(url(home).rpartition(":")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        home.streams.append(stream)
        await stream.send_all(b"GET /.well-known/recgate HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with trio.fail_after(30):
            said = b""
            try:
                while more := await stream.receive_some():
                    said += more
            except trio.BrokenResourceError:
                pass
        assert b"HTTP" not in said


def test_tls_cannot_be_switched_off() -> None:
    assert HttpsListener().objection("off") is not None
    assert HttpsListener().objection("allow") is None


async def test_two_listeners_share_one_application(tmp_path: Path) -> None:
    async with listening(tmp_path) as (home, _):
        assert application(home.gateway) is application(home.gateway)
