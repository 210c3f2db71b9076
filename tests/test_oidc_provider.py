"""The provider that the tests sign in with does what they rely on: it is the measure, so it is measured first."""

import base64
import json
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.peers.oidcprovider import AUDIENCE, OPAQUE_AUDIENCE, SECRET, Browser, OidcProvider, encoded

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "openid groups profile offline_access"


@pytest.fixture
def provider(tmp_path: Path):
    with OidcProvider(tmp_path) as running:
        yield running


def claims(token: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def asked(provider: OidcProvider, path: str, **form: str):
    return provider.http.post(provider.metadata()[path], data=form)


def device(provider: OidcProvider, user: str = "alice", resource: str = AUDIENCE, **answers):
    begun = asked(
        provider,
        "device_authorization_endpoint",
        client_id="gateway",
        client_secret=SECRET,
        scope=SCOPE,
        resource=resource,
    ).json()
    pending = asked(
        provider,
        "token_endpoint",
        client_id="gateway",
        client_secret=SECRET,
        grant_type=DEVICE,
        device_code=begun["device_code"],
    )
    assert pending.json()["error"] == "authorization_pending"
    with Browser(provider, user, **answers) as browser:
        browser.approve(begun["verification_uri_complete"])
    return asked(
        provider,
        "token_endpoint",
        client_id="gateway",
        client_secret=SECRET,
        grant_type=DEVICE,
        device_code=begun["device_code"],
        resource=resource,
    )


def refreshed(provider: OidcProvider, token: str, **form: str):
    return asked(
        provider,
        "token_endpoint",
        client_id="gateway",
        client_secret=SECRET,
        grant_type="refresh_token",
        refresh_token=token,
        **form,
    )


def test_the_device_flow_gives_a_jwt_for_the_audience(provider):
    answer = device(provider, acr="mfa", amr="pwd otp").json()

    access = claims(answer["access_token"])
    assert access["iss"] == provider.issuer
    assert access["aud"] == AUDIENCE
    assert (access["sub"], access["groups"]) == ("alice", ["sre", "dba"])
    assert (access["acr"], access["amr"]) == ("mfa", ["pwd", "otp"])
    assert access["auth_time"]
    identity = claims(answer["id_token"])
    assert (identity["sub"], identity["aud"], identity["acr"]) == ("alice", "gateway", "mfa")


def test_a_person_may_say_no(provider):
    assert device(provider, deny=True).json()["error"] == "access_denied"


def test_refresh_tokens_rotate_and_the_old_one_ends_the_grant(provider):
    first = device(provider).json()["refresh_token"]

    second = refreshed(provider, first).json()["refresh_token"]
    assert second != first
    assert refreshed(provider, first).json()["error"] == "invalid_grant"
    assert refreshed(provider, second).json()["error"] == "invalid_grant"


def test_userinfo_has_the_groups_of_now(provider):
    answer = refreshed(provider, device(provider).json()["refresh_token"]).json()
    provider.set_user("alice", groups=["dev"])

    told = provider.http.get(
        provider.metadata()["userinfo_endpoint"],
        headers={"authorization": f"Bearer {answer['access_token']}"},
    )

    assert told.json()["groups"] == ["dev"]


@pytest.mark.parametrize("how", ["remove_user", "revoke"])
def test_a_refresh_token_dies_with_its_user_or_grant(provider, how):
    token = device(provider).json()["refresh_token"]
    getattr(provider, how)("alice")

    assert refreshed(provider, token).json()["error"] == "invalid_grant"


def test_opaque_tokens_are_introspected(provider):
    token = device(provider, resource=OPAQUE_AUDIENCE).json()["access_token"]
    about = {"token": token, "client_id": "gateway", "client_secret": SECRET}

    told = asked(provider, "introspection_endpoint", **about).json()
    assert (told["active"], told["sub"], told["aud"]) == (True, "alice", OPAQUE_AUDIENCE)
    assert asked(provider, "revocation_endpoint", **about).is_success
    assert asked(provider, "introspection_endpoint", **about).json() == {"active": False}


def test_machines_have_tokens_of_their_own(provider):
    answer = asked(
        provider,
        "token_endpoint",
        client_id="machine",
        client_secret=SECRET,
        grant_type="client_credentials",
        resource=AUDIENCE,
    ).json()

    assert claims(answer["access_token"])["sub"] == "machine"


def test_a_browser_comes_back_to_a_loopback_port(provider):
    verifier = secrets.token_urlsafe(48)
    back = "http://127.0.0.1:49152/callback"  # nobody need listen there: what counts is where the browser is sent
    request = provider.http.build_request(
        "GET",
        provider.metadata()["authorization_endpoint"],
        params={
            "client_id": "recgate",
            "response_type": "code",
            "redirect_uri": back,
            "scope": SCOPE,
            "state": "a-state",
            "nonce": "a-nonce",
            "code_challenge": encoded(sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "resource": AUDIENCE,
        },
    )
    with Browser(provider, "alice") as browser:
        address = browser.sent_to(str(request.url), back)
    query = parse_qs(urlsplit(address).query)
    assert (query["state"], query["iss"]) == (["a-state"], [provider.issuer])

    answer = asked(
        provider,
        "token_endpoint",
        client_id="recgate",
        grant_type="authorization_code",
        code=query["code"][0],
        redirect_uri=back,
        code_verifier=verifier,
        resource=AUDIENCE,
    ).json()
    assert claims(answer["access_token"])["aud"] == AUDIENCE
    assert claims(answer["id_token"])["nonce"] == "a-nonce"


def test_keys_rotate(provider):
    old = provider.rotate_keys()

    published = {key["kid"] for key in provider.http.get(provider.metadata()["jwks_uri"]).json()["keys"]}
    assert published == {provider.key.kid}
    assert old.kid not in published
    assert device(provider).status_code == 200


def test_groups_may_be_elsewhere(provider):
    provider.set_user("alice", groups=["sre"], distributed=True)

    access = claims(device(provider).json()["access_token"])

    assert "groups" not in access
    source = access["_claim_sources"][access["_claim_names"]["groups"]]
    told = provider.http.get(
        source["endpoint"], headers={"authorization": f"Bearer {source['access_token']}"}
    )
    assert claims(told.text)["groups"] == ["sre"]


def test_faults_are_answered_instead(provider):
    provider.fail("/token", times=1, status=400, body={"error": "slow_down"})

    assert refreshed(provider, "x").json() == {"error": "slow_down"}
    assert refreshed(provider, "x").json()["error"] == "invalid_grant"
