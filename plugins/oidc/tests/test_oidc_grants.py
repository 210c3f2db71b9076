"""What the token endpoint is asked, and what is made of every kind of answer."""

import secrets
from hashlib import sha256
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from trio.to_thread import run_sync

from plugins.oidc.tests.issuing import secret_file, signins_for
from recgate.model import Secret
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.grants import Code, NotYet
from tests.peers.oidcprovider import Browser, encoded

BACK = "http://127.0.0.1:49152/callback"
TOKENS, DEVICES = "/token", "/device/auth"
GOOD = {"access_token": "x" * 20, "token_type": "Bearer"}


@pytest.fixture(autouse=True)
def no_faults(provider):
    yield
    provider.fail("", times=0)


async def code_for(provider, door, verifier, nonce="a-nonce"):
    """What a browser brings back."""
    settings = door.source.settings
    said = {
        "client_id": settings.client_id,
        "response_type": "code",
        "redirect_uri": BACK,
        "scope": " ".join(settings.scopes),
        "state": "s",
        "nonce": nonce,
        "prompt": "consent",
        "code_challenge": encoded(sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    address = f"{provider.metadata()['authorization_endpoint']}?{urlencode(said)}"
    with Browser(provider, "alice") as browser:
        back = await run_sync(browser.sent_to, address, BACK)
    return parse_qs(urlsplit(back).query)["code"][0]


def brought(code, verifier, nonce="a-nonce", back=BACK):
    return Code(Secret(code), Secret(verifier), back, nonce)


@pytest.mark.parametrize("confidential", [False, True])
async def test_a_code_is_exchanged_once(provider, tmp_path, confidential):
    client = {"client_id": "gateway", "client_secret_file": secret_file(tmp_path)} if confidential else {}
    door = signins_for(provider, tmp_path / "data", **client)
    verifier = secrets.token_urlsafe(48)
    code = brought(await code_for(provider, door, verifier), verifier)

    found = await door.signins.grants.by_code(code)

    assert found.claims["sub"] == "alice"
    assert found.issued.refresh
    with pytest.raises(TokenRefused, match="does not take it"):
        await door.signins.grants.by_code(code)


@pytest.mark.parametrize(
    "wrong",
    [
        {"verifier": secrets.token_urlsafe(48)},
        {"back": "http://127.0.0.1:49153/elsewhere"},
        {"nonce": "another"},
        {"nonce": ""},
    ],
    ids=["verifier", "redirect", "nonce", "no-nonce"],
)
async def test_a_code_that_was_stolen_or_slipped_in_is_refused(provider, tmp_path, wrong):
    door = signins_for(provider, tmp_path)
    verifier = secrets.token_urlsafe(48)
    code = await code_for(provider, door, verifier)

    with pytest.raises(TokenRefused):
        await door.signins.grants.by_code(brought(**{"code": code, "verifier": verifier, **wrong}))


async def test_a_code_for_a_device_is_pending_until_somebody_says_yes_or_no(provider, tmp_path):
    grants = signins_for(provider, tmp_path).signins.grants
    device = await grants.begin({"acr_values": "mfa"})
    assert device.user_code in device.whole_uri
    with pytest.raises(NotYet) as pending:
        await grants.by_device(device)
    assert not pending.value.slower
    with Browser(provider, "alice", deny=True) as browser:
        await run_sync(browser.approve, device.whole_uri)

    with pytest.raises(TokenRefused, match="said no"):
        await grants.by_device(device)


@pytest.mark.parametrize(
    ("status", "body", "raised", "words"),
    [
        (400, {"error": "slow_down"}, NotYet, "nobody has"),
        (400, {"error": "authorization_pending"}, NotYet, "nobody has"),
        (400, {"error": "expired_token"}, TokenRefused, "in time"),
        (400, {"error": "access_denied"}, TokenRefused, "said no"),
        (400, {"error": "invalid_grant", "error_description": "SECRET"}, TokenRefused, "does not take it"),
        (401, {"error": "invalid_client"}, ProviderFailed, "401 invalid_client"),
        (400, {"error": "<b>" * 20}, ProviderFailed, "status 400$"),
        (400, ["invalid_grant"], ProviderFailed, "status 400$"),
        (500, {"error": "invalid_grant"}, ProviderFailed, "status 500$"),
        (200, {}, ProviderFailed, "another kind"),
        (200, {**GOOD, "token_type": "DPoP"}, ProviderFailed, "another kind"),
        (200, {**GOOD, "access_token": ""}, ProviderFailed, "no token"),
        (200, {**GOOD, "access_token": "a\nb"}, ProviderFailed, "none"),
        (200, {**GOOD, "refresh_token": 7}, ProviderFailed, "no token"),
        (200, {**GOOD, "access_token": "x" * 20_000}, ProviderFailed, "no token"),
        (200, GOOD, TokenRefused, "no ID token"),
        (200, {**GOOD, "id_token": "x"}, TokenRefused, "no token of this provider"),
    ],
)
async def test_what_an_answer_means(provider, tmp_path, status, body, raised, words):
    grants = signins_for(provider, tmp_path).signins.grants
    device = await grants.begin({})
    provider.fail(TOKENS, times=1, status=status, body=body)

    with pytest.raises(raised, match=words) as failed:
        await grants.by_device(device)

    assert "SECRET" not in str(failed.value)
    assert isinstance(failed.value, NotYet) == (raised is NotYet)
    if isinstance(failed.value, NotYet):
        assert failed.value.slower == (body["error"] == "slow_down")


@pytest.mark.parametrize(
    ("changed", "life", "interval"),
    [
        ({}, 600, 5),
        ({"expires_in": 1, "interval": 0}, 30, 5),
        ({"expires_in": 1e9, "interval": 1e9}, 1_800, 60),
        ({"expires_in": "soon", "interval": True}, 600, 5),
        ({"expires_in": -1, "interval": float("1e308")}, 600, 60),
    ],
)
async def test_times_of_a_code_are_kept_within_reason(provider, tmp_path, changed, life, interval):
    body = {
        "device_code": "d" * 20,
        "user_code": "AB-CD",
        "verification_uri": "https://idp.example/d",
        **changed,
    }
    provider.fail(DEVICES, times=1, status=200, body=body)

    device = await signins_for(provider, tmp_path).signins.grants.begin({})

    assert (device.life, device.interval) == (life, interval)


@pytest.mark.parametrize(
    "changed",
    [
        {"user_code": "\x1b]0;x\x07"},
        {"user_code": ""},
        {"user_code": "A" * 65},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "http://idp.example/d"},
        {"verification_uri": "https://idp.example/\x1b[2J"},
        {"verification_uri_complete": "https://user@idp.example/"},
        {"device_code": None},
    ],
)
async def test_what_could_not_be_shown_is_not(provider, tmp_path, changed):
    body = {
        "device_code": "d" * 20,
        "user_code": "AB-CD",
        "verification_uri": "https://idp.example/d",
        **changed,
    }
    provider.fail(DEVICES, times=1, status=200, body=body)

    with pytest.raises(ProviderFailed):
        await signins_for(provider, tmp_path).signins.grants.begin({})
