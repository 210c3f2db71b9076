"""Threat 4: every way to forge or alter a token, against keys and discovery of a real provider."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from plugins.oidc.tests.issuing import (
    access_claims,
    at_the_door,
    authenticator,
    source_for,
    with_signature_of,
)
from recgate.errors import AuthenticationFailed
from recgate_oidc.errors import TokenRefused
from tests.peers.oidcprovider import AUDIENCE, SigningKey, encoded

FORGER = SigningKey("first")  # the same key id as the provider's own


@pytest.fixture(scope="module")
def door(provider):
    return authenticator(provider)


async def refused(door, token):
    with pytest.raises(AuthenticationFailed) as failed:
        await at_the_door(door, token)
    assert str(failed.value).startswith("corp: ")
    assert token[:40] not in str(failed.value)
    return str(failed.value)


async def test_a_good_token_says_who_it_is(provider, door):
    claims = access_claims(provider, acr="mfa", amr=["pwd", "otp"], auth_time=int(time.time()) - 5)

    alice = await at_the_door(door, provider.signed(claims))

    assert (alice.issuer, alice.subject, alice.name, alice.source) == (
        provider.issuer,
        "alice",
        "alice",
        "corp",
    )
    assert alice.groups == {"sre", "dba"}
    assert (alice.acr, alice.amr, alice.auth_time) == ("mfa", {"pwd", "otp"}, claims["auth_time"])
    assert claims["exp"] <= alice.expires <= claims["exp"] + 120
    assert alice.credential_id.startswith("access:")


async def test_several_audiences_may_stand_beside_the_gateways(provider, door):
    assert await at_the_door(
        door, provider.signed(access_claims(provider, aud=["https://other.example", AUDIENCE]))
    )


# (what is changed in the claims, what the audit trail says)
ALTERED = [
    ({"aud": "https://other.example"}, "another audience"),
    ({"aud": None}, "another audience"),
    ({"aud": []}, "another audience"),
    ({"aud": AUDIENCE + "/"}, "another audience"),
    ({"aud": AUDIENCE + " "}, "another audience"),
    ({"aud": AUDIENCE.upper()}, "another audience"),
    ({"aud": {AUDIENCE: True}}, "another audience"),
    ({"exp": int(time.time()) - 3600}, "expired"),
    ({"exp": None}, "no end"),
    ({"exp": "2099-01-01"}, "`exp` is no time"),
    ({"exp": True}, "`exp` is no time"),
    ({"exp": -1}, "`exp` is no time"),
    ({"exp": 10**15}, "`exp` is no time"),
    ({"exp": int(time.time()) + 500 * 86_400}, "further away"),
    ({"nbf": int(time.time()) + 3600}, "not valid yet"),
    ({"nbf": "soon"}, "`nbf` is no time"),
    ({"iat": int(time.time()) + 3600}, "from the future"),
    ({"iat": [1]}, "`iat` is no time"),
    ({"sub": None}, "who it is about"),
    ({"sub": ""}, "who it is about"),
    ({"sub": "   "}, "who it is about"),
    ({"sub": 7}, "who it is about"),
    ({"sub": "alice\nroot"}, "who it is about"),
    ({"sub": "alice\ud800"}, "who it is about"),
    ({"sub": "\u202ealice"}, "who it is about"),
    ({"sub": "x" * 3_000}, "who it is about"),
    ({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "bound to a key"),
    ({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}, "bound to a key"),
    ({"typ": "ID"}, "no access token"),
    ({"typ": "Refresh"}, "no access token"),
    ({"typ": "Offline"}, "no access token"),
    ({"typ": 3}, "no access token"),
    ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, "tells of an event"),
]


@pytest.mark.parametrize(("changed", "says"), ALTERED)
async def test_altered_claims_signed_by_the_provider_are_refused(provider, door, changed, says):
    assert says in await refused(door, provider.signed(access_claims(provider, **changed)))


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "recgate"},  # Core: an ID token's audience is the client
        {"aud": [AUDIENCE, "recgate"]},
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"nonce": "n-0S6_WzA2Mj"},
        {"nonce": "n-0S6_WzA2Mj", "typ": "ID"},
    ],
)
@pytest.mark.parametrize("typ", ["JWT", "jwt", None])
async def test_an_id_token_is_no_access_token(provider, door, changed, typ):
    header = {} if typ is None else {"typ": typ}
    token = provider.signed(access_claims(provider, **changed), **header)
    if typ is None:
        head = {"alg": "RS256", "kid": provider.key.kid}
        token = with_signature_of(
            lambda told: provider.key.private.sign(told, padding.PKCS1v15(), hashes.SHA256()),
            json.dumps(head).encode(),
            json.dumps(access_claims(provider, **changed)).encode(),
        )

    await refused(door, token)


@pytest.mark.parametrize("changed", [{}, {"azp": AUDIENCE}, {"scope": ""}, {"scope": 7}, {"client_id": True}])
async def test_threat_4_the_id_token_of_a_client_that_is_called_like_the_audience(provider, door, changed):
    # As some providers issue it: no nonce, no at_hash, no kind; `aud` is whoever asked for it.
    claims = access_claims(provider, **{"client_id": None, **changed})

    assert "no ID token" in await refused(door, provider.signed(claims, typ="JWT"))


@pytest.mark.parametrize(
    "changed", [{"scope": "db"}, {"scp": ["db"]}, {"azp": "web"}, {"cid": "web"}, {"appid": "web"}]
)
async def test_a_token_that_says_for_which_scope_or_client_it_is_is_an_access_token(provider, door, changed):
    claims = access_claims(provider, **{"client_id": None, **changed})

    assert await at_the_door(door, provider.signed(claims, typ="JWT"))
    assert await at_the_door(door, provider.signed(access_claims(provider, client_id=None), typ="at+jwt"))


async def test_an_old_keycloaks_access_token_may_have_a_nonce(provider, door):
    claims = access_claims(provider, typ="Bearer", nonce="n-0S6_WzA2Mj", azp="recgate")

    assert await at_the_door(door, provider.signed(claims, typ="JWT"))


@pytest.mark.parametrize(
    "typ", ["logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-authz-req+jwt", "at+jwt2", "JWE"]
)
async def test_other_kinds_of_token_are_refused(provider, door, typ):
    assert "no access token" in await refused(door, provider.signed(access_claims(provider), typ=typ))


@pytest.mark.parametrize("typ", [3, ["at+jwt"], None])
async def test_a_type_that_is_no_text_is_refused(provider, door, typ):
    assert "`typ` that is no text" in await refused(door, provider.signed(access_claims(provider), typ=typ))


async def test_a_strict_source_takes_at_jwt_alone(provider):
    strict = authenticator(provider, typ="at+jwt")

    assert await at_the_door(strict, provider.signed(access_claims(provider), typ="application/AT+JWT"))
    assert "demands" in await refused(strict, provider.signed(access_claims(provider), typ="JWT"))


async def test_without_an_audience_no_access_token_is_taken(provider):
    assert "no `audience`" in await refused(
        authenticator(provider, audience=""), provider.signed(access_claims(provider))
    )


@pytest.mark.parametrize(
    "issuer",
    ["https://evil.example", "", None, 7, ["{}"], "{}/", " {}", "{}\u200b", "{}#x"],
)
async def test_a_token_of_another_issuer_is_not_this_sources(provider, door, issuer):
    value = [provider.issuer] if isinstance(issuer, list) else issuer
    if isinstance(value, str):
        value = value.format(provider.issuer)

    assert await at_the_door(door, FORGER.signed(access_claims(provider, iss=value))) is None


# -- signatures --------------------------------------------------------------------------------------------


async def test_a_forgers_key_under_the_providers_key_id_is_refused(provider, door):
    assert "signature is not the provider's" in await refused(door, FORGER.signed(access_claims(provider)))


@pytest.mark.parametrize("signature", [b"", b"\x00", b"\x00" * 256])
async def test_no_signature_is_no_signature(provider, door, signature):
    token = with_signature_of(
        lambda told: signature,
        json.dumps({"alg": "RS256", "kid": "first"}).encode(),
        json.dumps(access_claims(provider)).encode(),
    )

    await refused(door, token)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "HS256", "HS512", "dir"]
)
async def test_an_algorithm_that_is_not_listed_is_refused(provider, door, algorithm):
    assert "which the source does not take" in await refused(
        door, provider.signed(access_claims(provider), alg=algorithm)
    )


@pytest.mark.parametrize("form", ["pem", "der", "pkcs1", "n"])
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
async def test_the_public_key_is_no_shared_secret(provider, door, form, algorithm):
    public = provider.key.private.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = {
        "pem": public.public_bytes(serialization.Encoding.PEM, spki),
        "der": public.public_bytes(serialization.Encoding.DER, spki),
        "pkcs1": public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
        "n": base64.urlsafe_b64decode(provider.key.jwk()["n"] + "=="),
    }[form]
    token = with_signature_of(
        lambda told: hmac.digest(secret, told, hashlib.sha256),
        json.dumps({"alg": algorithm, "kid": "first", "typ": "at+jwt"}).encode(),
        json.dumps(access_claims(provider)).encode(),
    )

    await refused(door, token)


async def test_a_signature_of_another_family_with_the_right_key_id_is_refused(provider, door):
    key = ec.generate_private_key(ec.SECP256R1())
    token = with_signature_of(
        lambda told: key.sign(told, ec.ECDSA(hashes.SHA256()))[:64].ljust(64, b"\0"),
        json.dumps({"alg": "ES256", "kid": "first"}).encode(),
        json.dumps(access_claims(provider)).encode(),
    )

    assert "key that the provider does not have" in await refused(door, token)


async def test_an_rs256_key_checks_no_ps256_signature(provider, door):
    token = with_signature_of(
        lambda told: provider.key.private.sign(
            told, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
        ),
        json.dumps({"alg": "PS256", "kid": "first"}).encode(),
        json.dumps(access_claims(provider)).encode(),
    )

    # The provider's key set says `alg: RS256` of that key.
    assert "key that the provider does not have" in await refused(door, token)


@pytest.mark.parametrize("header", ["jwk", "jku", "x5u", "x5c"])
async def test_keys_that_a_token_brings_along_are_never_looked_at(provider, door, header):
    public = {
        name: value for name, value in FORGER.jwk().items() if name in ("kty", "n", "e", "kid", "alg", "use")
    }
    value = {
        "jwk": public,
        "jku": f"{provider.issuer}/forged/jwks",
        "x5u": f"{provider.issuer}/forged/chain",
        "x5c": [base64.b64encode(b"certificate").decode()],
    }[header]
    provider.fail("/forged/jwks", times=1, status=200, body={"keys": [public]})

    assert "signature is not the provider's" in await refused(
        door, FORGER.signed(access_claims(provider), **{header: value})
    )
    assert not [path for path in provider.seen() if path.startswith("/forged")]
    provider.fail("", times=0)


@pytest.mark.parametrize(
    "extra", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": True}, {"zip": "DEF"}]
)
async def test_an_extension_of_the_header_is_not_understood(provider, door, extra):
    assert "not understood here" in await refused(door, provider.signed(access_claims(provider), **extra))


async def test_a_key_id_that_is_no_text_is_refused(provider, door):
    assert "`kid`" in await refused(door, provider.signed(access_claims(provider), kid=["first"]))


async def test_a_key_id_as_long_as_a_book_is_refused(provider, door):
    assert "too long" in await refused(door, provider.signed(access_claims(provider), kid="k" * 5_000))


@pytest.mark.parametrize("kid", ["First", "first ", "../first", "first\u0000", "\u0066irst\u200b"])
async def test_a_key_id_is_compared_exactly(provider, door, kid):
    assert "key that the provider does not have" in await refused(
        door, provider.signed(access_claims(provider), kid=kid)
    )


async def test_a_claim_changed_after_signing_is_noticed(provider, door):
    header, _, signature = provider.signed(access_claims(provider)).split(".")
    claims = access_claims(provider, sub="bob", groups=["root"])

    assert "signature" in await refused(door, f"{header}.{encoded(json.dumps(claims).encode())}.{signature}")


# -- tokens of other kinds ---------------------------------------------------------------------------------


async def test_an_id_token_for_the_gateways_client(provider):
    tokens = source_for(provider).tokens
    claims = access_claims(provider, aud="recgate", nonce="n1", client_id=None)

    assert (await tokens.identity(provider.signed(claims, typ="JWT").encode(), "n1"))["sub"] == "alice"


@pytest.mark.parametrize(
    ("changed", "header"),
    [
        ({"nonce": "n2"}, {}),
        ({"nonce": None}, {}),
        ({"aud": "other"}, {}),
        ({"aud": ["recgate", "other"]}, {}),
        ({"aud": ["recgate", "other"], "azp": "other"}, {}),
        ({"azp": "other"}, {}),
        ({"typ": "Bearer"}, {}),
        ({"events": {}}, {}),
        ({"exp": 1}, {}),
        ({"sub": None}, {}),
        ({"iss": "https://evil.example"}, {}),
        ({}, {"typ": "at+jwt"}),
        ({}, {"alg": "none"}),
    ],
)
async def test_an_id_token_that_answers_something_else_is_refused(provider, changed, header):
    claims = access_claims(provider, **{"aud": "recgate", "nonce": "n1", "client_id": None, **changed})

    with pytest.raises(TokenRefused):
        await source_for(provider).tokens.identity(
            provider.signed(claims, **{"typ": "JWT", **header}).encode(), "n1"
        )


LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}


async def test_a_logout_token(provider):
    claims = access_claims(provider, aud="recgate", events=LOGOUT, sid="s1", client_id=None)

    found = await source_for(provider).tokens.logout(provider.signed(claims, typ="logout+jwt").encode())

    assert (found["sub"], found["sid"]) == ("alice", "s1")


@pytest.mark.parametrize(
    ("changed", "header"),
    [
        ({"nonce": "n"}, {}),
        ({"events": None}, {}),
        ({"events": {"other": {}}}, {}),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": True}}, {}),
        ({"events": ["http://schemas.openid.net/event/backchannel-logout"]}, {}),
        ({"aud": AUDIENCE}, {}),
        ({"sub": None, "sid": None}, {}),
        ({"jti": None}, {}),
        ({"iat": None}, {}),
        ({"exp": 1}, {}),
        ({"exp": None, "iat": int(time.time()) - 3_600}, {}),
        ({"iss": "https://evil.example"}, {}),
        ({}, {"typ": "at+jwt"}),
        ({}, {"alg": "HS256"}),
    ],
)
async def test_what_is_no_logout_token_logs_nobody_out(provider, changed, header):
    claims = access_claims(provider, **{"aud": "recgate", "events": LOGOUT, "client_id": None, **changed})

    with pytest.raises(TokenRefused):
        await source_for(provider).tokens.logout(
            provider.signed(claims, **{"typ": "logout+jwt", **header}).encode()
        )


async def test_claims_about_somebody_come_from_the_issuer_alone(provider):
    tokens = source_for(provider).tokens
    about = {"iss": provider.issuer, "sub": "alice", "groups": ["sre"]}

    assert (await tokens.claims_about(provider.signed(about).encode(), "alice"))["groups"] == ["sre"]
    for forged in [
        provider.signed({**about, "sub": "bob"}),
        provider.signed({**about, "aud": "somebody"}),
        provider.signed({**about, "aud": [{}, ["x"], ""]}),
        provider.signed({**about, "exp": 1}),
        provider.signed({**about, "iss": "https://evil.example"}),
        FORGER.signed(about),
        "not.a.token",
    ]:
        with pytest.raises(TokenRefused):
            await tokens.claims_about(forged.encode(), "alice")
