"""Which key a token may have been signed with; rotation while running; and forged key ids that ask for nothing."""

import json
import warnings

import pytest
import trio
import trio.testing
from joserfc import jwk, jws

from plugins.oidc.tests.issuing import access_claims, at_the_door, authenticator, settings_for
from recgate.errors import AuthenticationFailed
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.fetching import Fetcher
from recgate_oidc.keys import LIFETIME, MAX_KEYS, TOLERANCE, Keys, read_keys
from recgate_oidc.refreshed import MAX_SPACING, Refreshed
from tests.peers.oidcprovider import SigningKey, encoded


def asked(provider):
    return provider.seen().count("/jwks")


@pytest.fixture(scope="module")
def pair():
    return {
        "RS256": jwk.RSAKey.generate_key(2048),
        "ES256": jwk.ECKey.generate_key("P-256"),
        "ES384": jwk.ECKey.generate_key("P-384"),
        "ES512": jwk.ECKey.generate_key("P-521"),
        "EdDSA": jwk.OKPKey.generate_key("Ed25519"),
    }


async def test_keys_rotate_while_running(provider):
    door = authenticator(provider)
    assert await at_the_door(door, provider.signed(access_claims(provider)))

    old = provider.rotate_keys()

    # A new key id is looked for at once, and the old key is no longer believed after that.
    assert await at_the_door(door, provider.signed(access_claims(provider)))
    with pytest.raises(AuthenticationFailed, match="key that the provider does not have"):
        await at_the_door(door, old.signed(access_claims(provider)))


async def test_forged_key_ids_do_not_have_the_provider_asked_each_time(provider):
    door = authenticator(provider)
    await at_the_door(door, provider.signed(access_claims(provider)))
    before = asked(provider)

    for n in range(50):
        with pytest.raises(AuthenticationFailed):
            await at_the_door(door, provider.signed(access_claims(provider), kid=f"forged-{n}"))

    assert asked(provider) - before == 1
    # And who has a good token is not made to wait for it.
    assert await at_the_door(door, provider.signed(access_claims(provider)))


async def test_many_at_once_are_one_question(provider):
    door = authenticator(provider)
    before = asked(provider)
    token = provider.signed(access_claims(provider))
    found = []

    async def sign_in():
        found.append(await at_the_door(door, token))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(sign_in)

    assert all(found)
    assert asked(provider) - before == 1


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])
@pytest.mark.parametrize("named", [True, False])
async def test_every_algorithm_that_is_taken(provider, pair, algorithm, named):
    keys = [{**key.as_dict(private=False), "kid": name} for name, key in pair.items()]
    provider.fail("/jwks", times=1, status=200, body={"keys": keys})
    kid = {"PS256": "RS256", "Ed25519": "EdDSA"}.get(algorithm, algorithm)
    header = {"alg": algorithm, "typ": "at+jwt", **({"kid": kid} if named else {})}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="EdDSA is deprecated")
        text = jws.serialize_compact(
            header, json.dumps(access_claims(provider)).encode(), pair[kid], algorithms=[algorithm]
        )

    assert await at_the_door(authenticator(provider), text)


async def test_a_token_that_names_no_key_of_several_is_refused(provider):
    keys = [
        {k: v for k, v in SigningKey(f"k{n}").jwk().items() if k in ("kty", "n", "e", "kid")}
        for n in range(2)
    ]
    provider.fail("/jwks", times=2, status=200, body={"keys": keys})
    settings = settings_for(provider)

    async def uri():
        return f"{provider.issuer}/jwks"

    found = Keys(uri, Fetcher(settings.ca))

    with pytest.raises(TokenRefused, match="more than one"):
        await found.key("", "RS256")
    assert (await found.key("k1", "RS256")).kid == "k1"
    with pytest.raises(TokenRefused, match="does not have"):
        await found.key("k1", "ES256")
    provider.fail("", times=0)


def public(kid: object = "k", **changed):
    entry = {k: v for k, v in KEY.jwk().items() if k in ("kty", "n", "e", "kid", "use", "alg")}
    return {**entry, "kid": kid, **changed}


KEY = SigningKey("k")


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"},
        public(use="enc"),
        public(key_ops=["encrypt"]),
        public(key_ops="verify"),
        public(n="AQAB"),
        public(n=7),
        public(kid=7),
        public(kty="EC"),
        public(kty="rsa"),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "k"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "k"},
        {"kty": "OKP", "crv": "X25519", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo", "kid": "k"},
        {},
        "text",
        None,
    ],
)
def test_what_signatures_cannot_be_checked_with_is_left_out(entry):
    assert [each.kid for each in read_keys({"keys": [entry, public("good")]})] == ["good"]


@pytest.mark.parametrize("bits", [1024, 16_384])
def test_rsa_keys_too_short_or_too_long_are_left_out(bits):
    number = (1 << (bits - 1)) + 1
    assert read_keys({"keys": [public(n=encoded(number.to_bytes(bits // 8)))]}) == ()


def test_the_private_parts_of_a_key_are_not_taken_in():
    (key,) = read_keys({"keys": [KEY.jwk()]})

    assert not key.key.is_private


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": [{}] * (MAX_KEYS + 1)}])
def test_what_is_no_key_set(document):
    with pytest.raises(ProviderFailed):
        read_keys(document)


# -- how often a provider is asked -------------------------------------------------------------------------


class Asked:
    """Something fetched that counts how often, and can fail or hang."""

    def __init__(self):
        self.times = 0
        self.value = "one"
        self.failing = False
        self.hanging = False

    async def __call__(self):
        self.times += 1
        if self.hanging:
            await trio.sleep_forever()
        if self.failing:
            raise ProviderFailed("away")
        return self.value


async def test_a_rotated_key_is_found_within_the_longest_pause_whatever_is_thrown_at_us(autojump_clock):
    fetch = Asked()
    kept = Refreshed(fetch, LIFETIME, TOLERANCE)
    known = await kept.get()
    began = trio.current_time()
    while trio.current_time() < began + 300:
        assert await kept.newer(known) == "one"  # forged key ids, ten a second
        await trio.sleep(0.1)
    assert fetch.times <= 1 + 5 + 300 / (0.75 * MAX_SPACING) + 1
    fetch.value = "two"
    rotated = trio.current_time()

    while trio.current_time() < rotated + MAX_SPACING:
        if await kept.newer(known) == "two":
            break
        await trio.sleep(0.1)

    assert await kept.newer(known) == "two"
    assert trio.current_time() - rotated <= MAX_SPACING


async def test_while_the_provider_is_away_what_is_known_counts_for_a_while(autojump_clock):
    fetch = Asked()
    kept = Refreshed(fetch, LIFETIME, TOLERANCE)
    await kept.get()
    fetch.failing = True

    with trio.move_on_after(LIFETIME + 1):
        await trio.sleep_forever()
    assert await kept.get() == "one"
    with trio.move_on_after(TOLERANCE):
        await trio.sleep_forever()
    with pytest.raises(ProviderFailed):
        await kept.get()


async def test_a_provider_that_fails_is_asked_ever_more_rarely(autojump_clock):
    fetch = Asked()
    fetch.failing = True
    kept = Refreshed(fetch, LIFETIME, TOLERANCE)
    began = trio.current_time()
    while trio.current_time() < began + 300:
        with pytest.raises(ProviderFailed, match="away"):
            await kept.get()
        await trio.sleep(0.1)

    assert fetch.times <= 16
    fetch.failing = False
    with trio.move_on_after(31):
        await trio.sleep_forever()
    assert await kept.get() == "one"


async def test_who_waits_asks_again_when_who_asked_gives_up(autojump_clock):
    fetch = Asked()
    fetch.hanging = True
    kept = Refreshed(fetch, LIFETIME, TOLERANCE)
    found = []

    async def wait():
        found.append(await kept.get())

    async with trio.open_nursery() as nursery:
        gives_up = trio.CancelScope()
        nursery.start_soon(_within, gives_up, kept.get)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        fetch.hanging = False
        gives_up.cancel()

    assert found == ["one"]
    assert fetch.times == 2


async def _within(scope, ask):
    with scope:
        await ask()


async def test_what_is_old_but_counts_is_given_while_somebody_fetches(autojump_clock):
    fetch = Asked()
    kept = Refreshed(fetch, LIFETIME, TOLERANCE)
    await kept.get()
    with trio.move_on_after(LIFETIME + 1):
        await trio.sleep_forever()
    fetch.hanging = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.get)
        await trio.testing.wait_all_tasks_blocked()

        assert await kept.get() == "one"

        nursery.cancel_scope.cancel()
