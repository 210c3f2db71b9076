"""The routes of sign-in as plain ASGI; through the real listener they are tested in tests/test_oidc_signin.py."""

import json
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio

from core.tests.test_gateway import house
from plugins.oidc.tests.issuing import secret_file
from recgate.httpauth import Problem
from recgate.model import ConnectionInfo
from recgate_oidc.authenticator import OidcAuthenticator
from recgate_oidc.plugin import PREFIX
from recgate_oidc.routes import Reception

PEER = ConnectionInfo("https", "127.0.0.1:8443", "10.0.0.7:5", tls=True)
JSON = (b"content-type", b"application/json")


@asynccontextmanager
async def reception(provider, directory, **changed):
    corp = {
        "name": "corp",
        "issuer": provider.issuer,
        "client_id": "gateway",
        "client_secret_file": str(secret_file(directory)),
        "ca": str(provider.ca),
        **changed,
    }
    async with house(directory, identity=[{"oidc": corp}]) as home:
        yield home.gateway, Reception(home.gateway, PREFIX)


async def asked(application, path, body=b"", *, method="POST", headers=(JSON,), kind="http"):
    """What is sent for a request: its status, its headers and its body. Raises `Problem`."""
    sent = []

    async def receive():
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": body}

    async def send(message):
        await trio.lowlevel.checkpoint()
        sent.append(message)

    scope = {
        "type": kind,
        "method": method,
        "path": f"{PREFIX}{path}",
        "headers": headers,
        "state": {"connection": PEER},
    }
    await application(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent)


async def test_what_is_not_there_is_not_there(provider, tmp_path):
    cases = [
        ("/nothing", "GET", "http", 404),
        ("", "GET", "http", 404),
        ("/login/", "POST", "http", 404),
        ("/login", "POST", "websocket", 404),
        ("/login", "GET", "http", 405),
        ("/sources", "POST", "http", 405),
        ("/backchannel/corp", "GET", "http", 405),
    ]
    async with reception(provider, tmp_path) as (_, application):
        for path, method, kind, status in cases:
            with pytest.raises(Problem) as refused:
                await asked(application, path, method=method, kind=kind)
            assert refused.value.status == status, path


async def test_a_source_that_takes_tokens_alone_signs_nobody_in(provider, tmp_path):
    rules = [{"subject": "machine", "user": "batch"}]
    async with reception(provider, tmp_path, machines=rules, audience="https://gate.example") as (
        _,
        application,
    ):
        assert await asked(application, "/sources", method="GET") == (
            200,
            {b"content-type": b"application/json", b"content-length": b"15"},
            b'{"sources":[]}\n',
        )
        with pytest.raises(Problem, match="nobody signs in"):
            await asked(application, "/device", b'{"source": "corp"}')


async def test_a_code_that_is_asked_for_stays_and_one_that_is_not_makes_room(provider, tmp_path):
    async with reception(provider, tmp_path) as (gateway, application):
        _, _, body = await asked(application, "/device", b'{"source": "corp"}')
        begun = json.loads(body)
        (door,) = cast("list[OidcAuthenticator]", gateway.registry.authenticators)
        assert door.signins is not None
        shown = door.signins.codes.find(begun["handle"])
        assert shown is not None
        shown.claimed_by = trio.current_time()
        assert shown.is_over
        wish = {"source": "corp", "grant": "device", "handle": begun["handle"]}

        status, _, body = await asked(application, "/login", json.dumps(wish).encode())

        assert (status, json.loads(body)) == (202, {"interval": begun["interval"]})
        assert not shown.is_over


async def test_books_that_cannot_be_written_are_the_gateways_fault_and_are_audited(provider, tmp_path):
    async with reception(provider, tmp_path) as (gateway, application):
        (gateway.config.data_dir / "oidc.sqlite").mkdir()
        heard = []
        gateway.audit.emit = lambda kind, **facts: heard.append((kind, facts))
        token = (b"authorization", b"Bearer rgl_" + b"A" * 43)
        with pytest.raises(Problem) as refused:
            await asked(application, "/logout", headers=(JSON, token))

    assert refused.value.status == 401  # who cannot be looked up is nobody
    assert str(tmp_path) not in str(refused.value.body)
    assert heard[0][0] == "login.failed"
