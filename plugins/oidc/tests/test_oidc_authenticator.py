"""Who somebody is by a provider's token; a token that arrives cut; a provider that is away."""

import time

import pytest

from plugins.oidc.tests.issuing import CONNECTION, NOBODY, access_claims, at_the_door, authenticator
from recgate.errors import AuthenticationFailed
from recgate.model import BearerEvidence, CertificateEvidence, Principal, Secret, TlsCertificateEvidence
from recgate_oidc.authenticator import Expiry, OidcAuthenticator
from recgate_oidc.jose import CUT
from recgate_oidc.settings import OidcSettings
from recgate_oidc.source import Source


def sized(provider, size, **claims):
    """A good token of exactly `size` bytes, or a few more where base64 has no such length."""
    filling = 0
    while True:
        token = provider.signed(access_claims(provider, filling="x" * filling, **claims))
        if len(token) >= size:
            return token
        filling += 1


async def test_a_bare_token_stands_until_it_expires():
    alice = Principal("https://idp.example", "1", "alice", expires=time.time() + 60)
    gone = Principal("https://idp.example", "2", "bob", expires=time.time() - 1)

    assert await Expiry().current(alice) == alice
    assert await Expiry().current(gone) is None


async def test_a_token_in_an_authorization_header_is_the_same_evidence(provider):
    evidence = BearerEvidence(Secret(provider.signed(access_claims(provider))))
    found = await authenticator(provider).authenticate(NOBODY, evidence, CONNECTION)

    assert found is not None
    assert found.name == "alice"


async def test_a_token_that_arrives_whole_is_taken_whatever_its_length(provider):
    for size in (CUT - 20, CUT, 2 * CUT):
        assert await at_the_door(authenticator(provider), sized(provider, size))


@pytest.mark.parametrize("length", [CUT + 4, CUT + 200, CUT + 400, 3 * CUT])
async def test_a_token_that_openssh_cut_is_told_so(provider, length):
    token = sized(provider, length)

    with pytest.raises(AuthenticationFailed) as failed:
        await at_the_door(authenticator(provider), token[:CUT])

    for word in ("recgate ssh", "certificate", "code in the terminal"):
        assert word in failed.value.tell
    assert token[:30] not in failed.value.tell + str(failed.value)


async def test_a_bad_token_that_is_whole_is_not_told_that_it_was_cut(provider):
    token = sized(provider, 700, exp=int(time.time()) - 3600)

    with pytest.raises(AuthenticationFailed) as failed:
        await at_the_door(authenticator(provider), token)

    assert failed.value.tell == ""


@pytest.mark.parametrize("evidence", [CertificateEvidence(b"x"), TlsCertificateEvidence(b"x")])
async def test_other_evidence_is_left_to_others(provider, evidence):
    assert await authenticator(provider).authenticate(NOBODY, evidence, CONNECTION) is None


@pytest.mark.parametrize("text", ["", "rg_" + "A" * 43, "hunter2", "x" * 1_023, "eyJ", "ey" + "x" * 30])
async def test_what_is_no_token_of_a_provider_is_left_to_others(provider, text):
    assert await at_the_door(authenticator(provider), text) is None


async def test_a_provider_that_is_away_is_a_no_and_nothing_of_it_reaches_the_client():
    source = Source.of(
        OidcSettings(
            name="corp", issuer="http://127.0.0.1:1", client_id="recgate", audience="https://gate.example"
        )
    )
    from tests.peers.oidcprovider import SigningKey

    now = int(time.time())
    token = SigningKey("k").signed(
        {"iss": "http://127.0.0.1:1", "aud": "https://gate.example", "sub": "alice", "exp": now + 60}
    )

    with pytest.raises(AuthenticationFailed, match="cannot be asked") as failed:
        await at_the_door(OidcAuthenticator(source), token)

    assert "127.0.0.1" not in failed.value.tell


async def test_several_issuers_at_once_each_take_their_own(provider, tmp_path):
    from tests.peers.oidcprovider import OidcProvider

    with OidcProvider(tmp_path) as other:
        doors = [
            authenticator(provider),
            authenticator(other, name="partner", prefix="partner:"),
        ]
        for issuer, name in ((provider, "alice"), (other, "partner:alice")):
            token = issuer.signed(access_claims(issuer))
            found = [await at_the_door(door, token) for door in doors]
            assert [each.name for each in found if each] == [name]
        # The one's key does not sign for the other's issuer.
        with pytest.raises(AuthenticationFailed, match=r"partner: .*signature"):
            await at_the_door(doors[1], provider.signed(access_claims(other)))
        assert await at_the_door(doors[0], provider.signed(access_claims(other))) is None
