"""Bodies of requests: strictly what they should be, and nothing of them in a refusal."""

import json

import pytest

from recgate.httpauth import Problem
from recgate_oidc.requests import (
    CERTIFICATE,
    DEVICE,
    LOGIN,
    MAX_REQUEST,
    CodeLogin,
    DeviceRequest,
    read_request,
)

CODE = {
    "source": "corp",
    "grant": "code",
    "code": "c",
    "code_verifier": "v" * 43,
    "redirect_uri": "http://127.0.0.1:5000/callback",
    "nonce": "n" * 16,
}


async def read(kind, body, headers=((b"Content-Type", b"application/json; charset=utf-8"),)):
    async def receive():
        return {
            "type": "http.request",
            "body": body if isinstance(body, bytes) else json.dumps(body).encode(),
        }

    return await read_request({"headers": headers}, receive, kind)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_a_browser_comes_back_to_this_machine(host):
    found = await read(LOGIN, {**CODE, "redirect_uri": f"http://{host}:5000/callback"})

    assert isinstance(found, CodeLogin)
    assert found.ssh_public_key == ""


async def test_what_is_not_said_is_not_wished():
    assert await read(DEVICE, {"source": "corp"}) == DeviceRequest(source="corp", acr="", fresh=False)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (LOGIN, b""),
        (LOGIN, b"{"),
        (LOGIN, []),
        (LOGIN, {}),
        (LOGIN, {**CODE, "SECRET": 1}),
        (LOGIN, {**CODE, "redirect_uri": "http://127.0.0.1@SECRET.example/"}),
        (LOGIN, {**CODE, "redirect_uri": "http://127.0.0.1:5000/#SECRET"}),
        (LOGIN, {**CODE, "redirect_uri": "javascript:SECRET"}),
        (LOGIN, {**CODE, "redirect_uri": "http://[SECRET/"}),
        (LOGIN, {**CODE, "code": "SECRET\n"}),
        (LOGIN, {**CODE, "code": "S" * 20_000}),
        (LOGIN, {**CODE, "nonce": None}),
        (DEVICE, {"source": "corp", "fresh": "SECRET"}),
        (DEVICE, {"source": "corp", "acr": "SECRET SECRET"}),
        (CERTIFICATE, {}),
        (CERTIFICATE, b"[" * 50_000),
    ],
)
async def test_everything_else_is_refused(kind, body):
    with pytest.raises(Problem) as refused:
        await read(kind, body)

    assert refused.value.status == 400
    if b"SECRET" not in (body if isinstance(body, bytes) else json.dumps([*body]).encode()):
        assert "SECRET" not in str(refused.value.body)


async def test_a_body_has_a_limit():
    with pytest.raises(Problem) as refused:
        await read(DEVICE, b" " * (MAX_REQUEST + 1))

    assert refused.value.status == 413


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"content-type", b"text/plain"),),
        ((b"content-type", b"application/x-www-form-urlencoded"),),
        ((b"content-type", b"text/plain;application/json"),),
        ((b"content-type", b"application/json"), (b"content-type", b"text/plain")),
    ],
)
async def test_a_page_in_somebodys_browser_can_begin_nothing(headers):
    with pytest.raises(Problem) as refused:
        await read(DEVICE, {"source": "corp"}, headers)

    assert refused.value.status == 415
