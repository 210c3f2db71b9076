"""Groups from userinfo and from distributed claims; opaque tokens; and answers that must not count."""

import time
from contextlib import suppress

import pytest
import trio
import trio.testing

from plugins.oidc.tests.issuing import access_claims, at_the_door, authenticator, opaque_settings, source_for
from recgate.errors import AuthenticationFailed
from recgate.model import Secret
from recgate_oidc.answers import Answers, fingerprint
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.fetching import MAX_ASKING, Fetcher, client_authorization
from recgate_oidc.introspection import could_be_opaque
from recgate_oidc.provider import Provider
from recgate_oidc.settings import DistributedSettings, IntrospectionSettings
from tests.peers.oidcprovider import AUDIENCE, OPAQUE_AUDIENCE, SECRET


@pytest.fixture(autouse=True)
def no_faults(provider):
    yield
    provider.fail("", times=0)


def opaque_token(provider):
    answer = provider.http.post(
        provider.metadata()["token_endpoint"],
        data={"grant_type": "client_credentials", "resource": OPAQUE_AUDIENCE},
        auth=("machine", SECRET),
    )
    return answer.raise_for_status().json()["access_token"]


def introspecting(provider, directory, **changed):
    wanted = IntrospectionSettings(**changed.pop("introspection", {}))
    return authenticator(
        provider,
        **{**opaque_settings(directory), "audience": OPAQUE_AUDIENCE, "introspection": wanted, **changed},
    )


MACHINES = ({"subject": "machine", "user": "batch", "groups": ("jobs",)},)


async def test_an_opaque_token_is_what_the_provider_says(provider, tmp_path):
    door = introspecting(provider, tmp_path, machines=MACHINES)
    token = opaque_token(provider)

    found = await at_the_door(door, token)

    assert (found.name, found.groups, found.method) == ("batch", {"jobs"}, "machine")
    assert await at_the_door(door, "x" * 43) is None


async def test_without_introspection_an_opaque_token_is_somebody_elses(provider):
    assert await at_the_door(authenticator(provider), opaque_token(provider)) is None


async def test_an_answer_is_kept_for_a_moment(provider, tmp_path):
    door = introspecting(provider, tmp_path, machines=MACHINES)
    token = opaque_token(provider)
    path = "/token/introspection"
    before = provider.seen().count(path)

    for _ in range(5):
        assert await at_the_door(door, token)

    assert provider.seen().count(path) - before == 1


SAID = {"active": True, "sub": "alice", "aud": OPAQUE_AUDIENCE, "exp": 4_000_000_000, "groups": ["sre"]}


async def introspected(provider, door, **changed):
    said = {name: value for name, value in {**SAID, **changed}.items() if value is not None}
    provider.fail("/token/introspection", times=1, status=200, body=said)
    return await at_the_door(door, "an-opaque-token-of-somebody")


async def test_a_persons_opaque_token(provider, tmp_path):
    soon = time.time() + 60
    found = await introspected(provider, introspecting(provider, tmp_path), exp=soon)

    assert (found.name, found.groups, found.method) == ("alice", {"sre"}, "opaque")


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": AUDIENCE},
        {"aud": None},
        {"exp": None},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"iss": "https://evil.example"},
        {"token_type": "refresh_token"},
        {"token_type": "DPoP"},
        {"typ": "Refresh"},
        {"cnf": {"jkt": "x"}},
        {"sub": None},
        {"client_id": "alice"},
    ],
)
async def test_an_active_token_that_gives_no_access_here_is_refused(provider, tmp_path, changed):
    with pytest.raises(AuthenticationFailed):
        await introspected(provider, introspecting(provider, tmp_path), **changed)


@pytest.mark.parametrize("active", [False, None, "true", 1])
async def test_what_is_not_plainly_active_is_nobodys(provider, tmp_path, active):
    assert await introspected(provider, introspecting(provider, tmp_path), active=active) is None


async def test_a_signed_token_that_was_revoked_is_refused_where_introspection_is_asked(provider, tmp_path):
    door = introspecting(provider, tmp_path, audience=AUDIENCE, introspection={"jwt": True})
    provider.fail("/token/introspection", times=1, status=200, body={"active": False})

    with pytest.raises(AuthenticationFailed, match="not active"):
        await at_the_door(door, provider.signed(access_claims(provider)))


@pytest.mark.parametrize("status", [500, 401, 302])
async def test_a_provider_that_does_not_say_is_a_no(provider, tmp_path, status):
    provider.fail("/token/introspection", times=1, status=status, body={})

    with pytest.raises(AuthenticationFailed, match=f"status {status}"):
        await at_the_door(introspecting(provider, tmp_path), "an-opaque-token-of-somebody")


@pytest.mark.parametrize(
    "text", [b"short", b"rg_" + b"A" * 43, b"rgo_" + b"A" * 43, b"with blanks in it, a lot", b""]
)
def test_what_is_not_sent_to_a_provider(text):
    assert not could_be_opaque(text)


async def test_whoever_guesses_does_not_take_the_provider_from_everybody(provider, tmp_path):
    door = introspecting(provider, tmp_path)
    provider.fail("/token/introspection", times=100, status=0)

    async def guess(n):
        with suppress(AuthenticationFailed):
            await at_the_door(door, f"a-guess-that-nobody-knows-{n}")

    async with trio.open_nursery() as nursery:
        for n in range(2 * MAX_ASKING):
            nursery.start_soon(guess, n)
        await trio.testing.wait_all_tasks_blocked(0.1)
        with trio.fail_after(3):
            await door.source.fetcher.get(f"{provider.issuer}/jwks")
        nursery.cancel_scope.cancel()


async def test_answers_that_do_not_count_any_more_are_forgotten(autojump_clock):
    kept: Answers[int] = Answers(5.0)

    async def ask():
        return 1

    for n in range(20):
        await kept.get(Secret(f"{n}"), ask)
        with trio.move_on_after(1):
            await trio.sleep_forever()
    assert len(kept._kept) <= 6


# -- groups elsewhere --------------------------------------------------------------------------------------


def overage(provider, **source):
    """Claims as providers write them when there are too many groups."""
    return access_claims(
        provider, groups=None, _claim_names={"groups": "src1"}, _claim_sources={"src1": source}
    )


def at_claims(provider, user="alice"):
    return {"endpoint": f"{provider.issuer}/claims/{user}", "access_token": "for-alice"}


async def test_groups_too_many_for_the_token_are_not_silently_none(provider):
    for claims in (
        overage(provider, **at_claims(provider)),
        access_claims(provider, groups=None, hasgroups=True),
    ):
        with pytest.raises(AuthenticationFailed, match="more groups than fit into it"):
            await at_the_door(authenticator(provider), provider.signed(claims))


async def test_groups_by_reference(provider):
    door = authenticator(provider, groups_from="distributed", distributed=DistributedSettings())

    found = await at_the_door(door, provider.signed(overage(provider, **at_claims(provider))))

    assert found.groups == {"sre", "dba"}


async def test_groups_by_value(provider):
    door = authenticator(provider, groups_from="distributed", distributed=DistributedSettings())
    inner = provider.signed({"iss": provider.issuer, "sub": "alice", "groups": ["inner"]}, typ="JWT")

    assert (await at_the_door(door, provider.signed(overage(provider, JWT=inner)))).groups == {"inner"}


@pytest.mark.parametrize(
    "source",
    [
        lambda provider: at_claims(provider, "bob"),  # claims about somebody else
        lambda provider: {"endpoint": "https://169.254.169.254/latest/meta-data"},
        lambda provider: {"endpoint": f"{provider.issuer.replace('127.0.0.1', 'localhost')}/claims/alice"},
        lambda provider: {"endpoint": f"http{provider.issuer.removeprefix('https')}/claims/alice"},
        lambda provider: {"endpoint": f"{provider.issuer}/claims/alice", "access_token": "a\r\nX: y"},
        lambda provider: {"endpoint": f"{provider.issuer}/claims/alice", "access_token": "blank at its end "},
        lambda provider: {"endpoint": f"{provider.issuer}/claims/alice", "access_token": "x" * 20_000},
        lambda provider: {"endpoint": f"{provider.issuer}/.well-known/openid-configuration"},
        lambda provider: {"endpoint": 7},
        lambda provider: {"JWT": "not.a.token"},
        lambda provider: {"JWT": provider.signed({"iss": provider.issuer, "sub": "bob", "groups": ["x"]})},
        lambda provider: {"JWT": provider.signed({"iss": provider.issuer, "sub": "alice"})},
        lambda provider: {},
    ],
)
async def test_what_a_token_points_to_and_must_not_count(provider, source):
    door = authenticator(provider, groups_from="distributed", distributed=DistributedSettings())

    with pytest.raises(AuthenticationFailed):
        await at_the_door(door, provider.signed(overage(provider, **source(provider))))


async def test_entras_groups_are_asked_of_its_directory(provider, tmp_path):
    # Microsoft Graph does not run here: the provider's fault injection answers in its place.
    wanted = DistributedSettings(endpoint=f"{provider.issuer}/v1.0/users/{{oid}}/getMemberObjects")
    door = authenticator(
        provider, groups_from="distributed", distributed=wanted, **opaque_settings(tmp_path), name="entra"
    )
    provider.fail("/token", times=1, status=200, body={"access_token": "graph", "expires_in": 3600})
    provider.fail(
        "/v1.0/users/..%2Fbob/getMemberObjects", times=1, status=200, body={"value": ["0a1b", "2c3d"]}
    )
    claims = overage(provider, endpoint="https://graph.windows.net/t/users/1/getMemberObjects")

    found = await at_the_door(door, provider.signed({**claims, "oid": "../bob"}))

    assert found.groups == {"0a1b", "2c3d"}
    with pytest.raises(AuthenticationFailed, match="no `oid`"):
        await at_the_door(door, provider.signed(claims))


async def test_userinfo_must_speak_of_the_same_subject(provider):
    source = source_for(provider, groups_from="userinfo")
    claims = access_claims(provider)
    provider.fail("/me", times=1, status=200, body={"sub": "alice", "groups": ["from-userinfo"]})
    assert (await source.person(claims, Secret("one"), "sign-in")).groups == {"from-userinfo"}
    provider.fail("/me", times=1, status=200, body={"sub": "bob", "groups": ["root"]})
    with pytest.raises(TokenRefused, match="somebody else"):
        await source.person(claims, Secret("two"), "sign-in")
    with pytest.raises(TokenRefused, match="does not take it"):
        await source.person(claims, Secret("a-token-that-is-none"), "sign-in")
    with pytest.raises(TokenRefused, match="no access token"):
        await source.person(claims, None, "sign-in")


async def test_a_proven_principal_is_asked_after_again(provider, tmp_path):
    source = source_for(provider, groups_from="userinfo")
    provider.fail("/me", times=1, status=200, body={"sub": "alice", "groups": ["sre"]})
    proven = await source.proven(Secret(provider.signed(access_claims(provider))))

    assert proven is not None
    assert proven.principal.groups == {"sre"}
    # At once: what was said a moment ago is what is asked after.
    provider.fail("/me", times=1, status=200, body={"sub": "alice", "groups": ["dev"]})
    assert (await source.again(proven)).groups == {"dev"}


# -- fetching ----------------------------------------------------------------------------------------------


async def test_an_answer_has_a_limit(provider, monkeypatch):
    fetcher = Fetcher(provider.ca)
    monkeypatch.setattr("recgate_oidc.fetching.MAX_BODY", 10_000)
    provider.fail("/big", times=1, status=200, body={"a": "x" * 20_000})

    with pytest.raises(ProviderFailed, match="more than"):
        await fetcher.get(f"{provider.issuer}/big")


async def test_what_is_said_of_a_message_does_not_quote_it(provider):
    with pytest.raises(ProviderFailed, match="cannot be asked") as failed:
        await Fetcher(provider.ca).get(f"{provider.issuer}/me", Secret("Bearer canary-4711 "))

    assert "canary" not in str(failed.value)


async def test_only_json_objects_over_https_are_answers(provider):
    fetcher = Fetcher(provider.ca)
    provider.fail("/list", times=1, status=200, body=[])

    with pytest.raises(ProviderFailed, match="no https"):
        await fetcher.get("http://idp.example/x")
    with pytest.raises(ProviderFailed, match="not an object"):
        (await fetcher.get(f"{provider.issuer}/list")).json()


async def test_a_certificate_of_another_authority_is_refused(provider):
    with pytest.raises(ProviderFailed, match="cannot be asked"):
        await Fetcher().get(f"{provider.issuer}/jwks")


@pytest.mark.parametrize("issuer", ["{}/", "https://evil.example"])
async def test_a_discovery_document_of_another_issuer_is_refused(provider, issuer):
    source = source_for(provider)
    said = {**provider.metadata(), "issuer": issuer.format(provider.issuer)}
    provider.fail("/.well-known/openid-configuration", times=1, status=200, body=said)

    with pytest.raises(ProviderFailed, match="another issuer's"):
        await source.provider.metadata()
    assert isinstance(source.provider, Provider)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/jwks", "file:///etc/passwd", None, 7, ""])
async def test_a_discovery_document_that_points_elsewhere_is_refused(provider, uri):
    source = source_for(provider)
    said = {**provider.metadata(), "jwks_uri": uri}
    provider.fail("/.well-known/openid-configuration", times=1, status=200, body=said)

    with pytest.raises(ProviderFailed, match="jwks_uri"):
        await source.provider.metadata()


async def test_a_provider_that_hangs_is_given_up(provider, monkeypatch):
    monkeypatch.setattr("recgate_oidc.fetching.FETCH_TIMEOUT", 0.2)
    provider.fail("/hang", times=1, status=0)

    with pytest.raises(ProviderFailed, match="does not answer within"):
        await Fetcher(provider.ca).get(f"{provider.issuer}/hang")


def test_the_clients_secret_is_private(provider, tmp_path):
    settings = source_for(provider, **opaque_settings(tmp_path)).settings
    assert settings.client_secret_file is not None
    assert client_authorization(settings).reveal().startswith(b"Basic ")
    settings.client_secret_file.chmod(0o644)
    with pytest.raises(ProviderFailed, match="chmod o-rwx"):
        client_authorization(settings)
    settings.client_secret_file.unlink()
    with pytest.raises(ProviderFailed, match="cannot be read"):
        client_authorization(settings)


async def test_answers_are_kept_by_fingerprint_and_asked_once(autojump_clock):
    kept: Answers[int] = Answers(5.0)
    times = 0

    async def ask():
        nonlocal times
        times += 1
        with trio.move_on_after(1):
            await trio.sleep_forever()
        return times

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(kept.get, Secret("a"), ask)
    assert times == 1
    assert await kept.get(Secret("b"), ask) == 2
    with trio.move_on_after(6):
        await trio.sleep_forever()
    assert await kept.get(Secret("a"), ask) == 3
    assert "secret" not in fingerprint(Secret("secret"))
