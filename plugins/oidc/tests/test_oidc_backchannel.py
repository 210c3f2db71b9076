"""What a provider says of logouts, as plain ASGI: what ends somebody's sign-ins, and what only looks like it."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from plugins.oidc.tests.issuing import granted
from plugins.oidc.tests.test_oidc_routes import asked, reception
from recgate.httpauth import Problem
from tests.peers.oidcprovider import SigningKey

EVENT = "http://schemas.openid.net/event/backchannel-logout"
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
PATH = "/backchannel/corp"
SCOPES = ["openid", "groups", "profile", "offline_access"]


def logout_claims(provider, **changed):
    """The claims of a good logout token of alice's; None takes one away."""
    now = int(time.time())
    claims = {
        "iss": provider.issuer,
        "aud": "gateway",
        "sub": "alice",
        "iat": now,
        "exp": now + 120,
        "jti": "one",
        "events": {EVENT: {}},
        **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


def logout_token(provider, **changed):
    return provider.signed(logout_claims(provider, **changed), typ="logout+jwt")


async def told(application, token, *, headers=(FORM,), path=PATH):
    return await asked(application, path, urlencode({"logout_token": token}).encode(), headers=headers)


def signing_in(gateway) -> Any:
    (door,) = gateway.registry.authenticators
    return door


@pytest.fixture
async def books(provider, tmp_path):
    """A gateway at which alice has signed in: what is asked, its books, and what is audited."""
    async with reception(provider, tmp_path, scopes=SCOPES, leeway="5s") as (gateway, application):
        door = signing_in(gateway)
        alice = (await door.signins.begin(await granted(provider, door))).login
        said = []
        gateway.audit.emit = lambda kind, **facts: said.append((kind, facts))
        yield application, door.signins.logins, alice, said, gateway


async def standing(books):
    return [each.id for each in await books.all(time.time())]


async def test_a_logout_ends_what_was_signed_in_and_is_answered_so_that_nobody_keeps_it(provider, books):
    application, logins, alice, said, gateway = books
    judged = []
    gateway.recheck = lambda: judged.append(len(said))
    token = logout_token(provider)

    status, headers, body = await told(application, token)

    assert (status, headers[b"cache-control"], body) == (200, b"no-store", b"{}\n")
    assert await standing(logins) == []
    assert judged, "sessions are judged at once"
    ((kind, facts),) = said
    assert (kind, facts["user"], facts["login"], facts["reason"]) == (
        "login.ended",
        "alice",
        alice.id,
        "signed out at the provider",
    )


async def test_a_session_at_the_provider_ends_by_its_name_alone(provider, books):
    application, logins, alice, said, _ = books
    await told(application, logout_token(provider, jti="a", sub="bob"))
    await told(application, logout_token(provider, jti="b", sub=None, sid="another"))
    assert await standing(logins) == [alice.id]
    assert said == []


async def test_what_was_heard_ends_nothing_a_second_time(provider, books):
    application, logins, _, said, gateway = books
    token = logout_token(provider)
    await told(application, token)
    door = signing_in(gateway)
    again = (await door.signins.begin(await granted(provider, door))).login

    with pytest.raises(Problem) as refused:
        await told(application, token)

    assert refused.value.status == 400
    assert await standing(logins) == [again.id]
    assert [kind for kind, _ in said] == ["login.ended", "logout.refused"]
    assert "heard before" in said[-1][1]["reason"]


# One gateway hears them all: making one for each takes longer than all of them.
NO_LOGOUTS = [
    ({"aud": "another"}, {}),
    ({"aud": None}, {}),
    ({"aud": "https://gate.example"}, {}),
    ({"iss": "https://other.example"}, {}),
    ({"nonce": "n"}, {}),
    ({"events": None}, {}),
    ({"events": {}}, {}),
    ({"events": {EVENT: "x"}}, {}),
    ({"jti": None}, {}),
    ({"jti": "j" * 3_000}, {}),
    ({"sub": None}, {}),
    ({"sid": ["s"]}, {}),
    ({"iat": None}, {}),
    ({"iat": int(time.time()) + 3_600}, {}),
    ({"iat": int(time.time()) - 3_600, "exp": int(time.time()) - 3_000}, {}),
    ({"iat": int(time.time()) - 3_600, "exp": None}, {}),
    ({}, {"typ": "at+jwt"}),
    ({}, {"alg": "HS256"}),
    ({}, {"alg": "none"}),
    ({}, {"kid": "unknown"}),
]


async def test_what_is_no_logout_of_this_provider_for_this_gateway_ends_nothing(provider, books):
    application, logins, alice, said, _ = books
    for changed, header in NO_LOGOUTS:
        said.clear()
        token = provider.signed(logout_claims(provider, **changed), **{"typ": "logout+jwt", **header})

        with pytest.raises(Problem) as refused:
            await told(application, token)

        assert (refused.value.status, refused.value.headers) == (400, {"cache-control": "no-store"}), changed
        assert refused.value.body["error"] == "invalid_request"
        assert await standing(logins) == [alice.id], changed
        assert [kind for kind, _ in said] == ["logout.refused"], changed
        assert token not in json.dumps(said)


async def test_a_forger_with_a_key_of_the_same_name_ends_nothing(provider, books):
    application, logins, alice, *_ = books
    forged = SigningKey(provider.key.kid).signed(logout_claims(provider), typ="logout+jwt")

    with pytest.raises(Problem):
        await told(application, forged)

    assert await standing(logins) == [alice.id]


NO_FORMS = [
    (b"", (FORM,), 400),
    (b"logout_token=", (FORM,), 400),
    (b"&".join([b"a=b"] * 100), (FORM,), 400),
    (b"logout_token=\xff", (FORM,), 400),
    (b"logout_token=a", (FORM,), 400),
    (b"logout_token=" + b"a" * 60_000, (FORM,), 413),
    (b'{"logout_token": "a"}', ((b"content-type", b"application/json"),), 415),
    (b"logout_token=a", (), 415),
]


async def test_what_is_no_such_form_is_refused(books):
    application, logins, alice, *_ = books
    for body, headers, status in NO_FORMS:
        with pytest.raises(Problem) as refused:
            await asked(application, PATH, body, headers=headers)

        assert refused.value.status == status, body[:40]
    assert await standing(logins) == [alice.id]


async def test_a_form_with_two_tokens_is_not_read_as_either(provider, books):
    application, logins, alice, *_ = books
    both = urlencode(
        [("logout_token", logout_token(provider)), ("logout_token", logout_token(provider, jti="two"))]
    )

    with pytest.raises(Problem, match="one logout_token"):
        await asked(application, PATH, both.encode(), headers=(FORM,))

    assert await standing(logins) == [alice.id]


async def test_a_logout_is_for_the_source_that_it_names(provider, books):
    application, *_ = books
    for path in ("/backchannel/", "/backchannel/other", "/backchannel/corp/", "/backchannel"):
        with pytest.raises(Problem) as refused:
            await told(application, logout_token(provider), path=path)
        assert refused.value.status == 404


async def test_a_provider_whose_keys_cannot_be_had_is_asked_to_say_it_again(provider, tmp_path):
    async with reception(provider, tmp_path) as (_, application):
        token = logout_token(provider)
        provider.fail("/.well-known/openid-configuration", times=1)
        with pytest.raises(Problem) as refused:
            await told(application, token)
        assert refused.value.status == 503
