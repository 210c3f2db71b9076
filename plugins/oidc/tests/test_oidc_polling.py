"""Threat 6 with raw tokens: what the provider takes back ends within what the gateway can learn."""

import time
from dataclasses import replace

import pytest
import trio

from plugins.oidc.tests.issuing import access_claims, opaque_settings, source_for
from recgate.model import Secret
from recgate_oidc.errors import ProviderFailed
from recgate_oidc.polling import Polling
from recgate_oidc.settings import DistributedSettings, IntrospectionSettings
from tests.peers.oidcprovider import OPAQUE_AUDIENCE


@pytest.fixture(autouse=True)
def as_before(provider):
    yield
    provider.fail("", times=0)
    provider.set_user("alice", groups=["sre", "dba"], distributed=False)


async def begun(provider, source, claims=None):
    polling = Polling(source)
    proven = await source.proven(Secret(provider.signed(claims or access_claims(provider))))
    assert proven is not None
    polling.keep(proven)
    return polling, proven.principal


def distributed(provider, **changed):
    return source_for(
        provider, groups_from="distributed", distributed=DistributedSettings(), **{"poll": 1e-9, **changed}
    )


def by_reference(provider):
    return access_claims(
        provider,
        groups=None,
        _claim_names={"groups": "src1"},
        _claim_sources={"src1": {"endpoint": f"{provider.issuer}/claims/alice"}},
    )


async def test_a_group_that_was_taken_away_is_gone(provider):
    polling, alice = await begun(provider, distributed(provider), by_reference(provider))
    assert alice.groups == {"sre", "dba"}

    provider.set_user("alice", groups=["sre"])

    found = await polling.current(alice)
    assert found is not None
    assert found.groups == {"sre"}


async def test_the_provider_is_asked_no_more_often_than_configured(provider):
    polling, alice = await begun(provider, distributed(provider, poll=20.0), by_reference(provider))
    before = len(provider.seen())

    for _ in range(5):
        assert await polling.current(alice) == alice

    assert len(provider.seen()) == before


async def test_a_token_that_is_not_active_any_more_does_not_stand(provider, tmp_path):
    wanted = IntrospectionSettings(jwt=True, cache=0.0)
    source = source_for(provider, introspection=wanted, poll=1e-9, **opaque_settings(tmp_path))
    said = {**access_claims(provider), "active": True}
    provider.fail("/token/introspection", times=2, status=200, body=said)
    polling, alice = await begun(provider, source)
    assert await polling.current(alice) == alice

    provider.fail("", times=0)
    provider.fail("/token/introspection", times=1, status=200, body={"active": False})

    assert await polling.current(alice) is None
    # And it is forgotten: nothing is asked again.
    assert await polling.current(alice) is None


@pytest.mark.parametrize(("outage", "stands"), [(30.0, True), (0.0, False)])
async def test_a_provider_that_fails_is_believed_for_as_long_as_configured(provider, outage, stands):
    polling, alice = await begun(provider, distributed(provider, outage=outage), by_reference(provider))
    provider.fail("/claims/alice", times=1, status=503)

    if stands:
        assert await polling.current(alice) == alice
    else:
        with pytest.raises(ProviderFailed):
            await polling.current(alice)


async def test_a_bare_token_stands_until_it_expires(provider):
    polling, alice = await begun(provider, source_for(provider, poll=1e-9))
    before = len(provider.seen())

    assert await polling.current(alice) == alice
    assert await polling.current(replace(alice, expires=time.time() - 1)) is None
    assert len(provider.seen()) == before


async def test_who_is_not_remembered_does_not_stand(provider):
    source = source_for(provider)
    _, alice = await begun(provider, source)

    assert await Polling(source).current(alice) is None


async def test_what_is_asked_again_is_asked_of_the_provider_and_about_the_same_person(provider, tmp_path):
    wanted = IntrospectionSettings(cache=30.0)
    settings = {
        **opaque_settings(tmp_path),
        "audience": OPAQUE_AUDIENCE,
        "introspection": wanted,
        "poll": 1e-9,
    }
    source = source_for(provider, **settings)
    said = {
        "active": True,
        "sub": "alice",
        "aud": OPAQUE_AUDIENCE,
        "exp": time.time() + 60,
        "groups": ["sre"],
    }
    for groups, again in (
        (["sre"], {"groups": ["dba"]}),
        (None, {"active": False}),
        (None, {"sub": "bob", "groups": ["root"]}),
    ):
        provider.fail("/token/introspection", times=1, status=200, body=said)
        polling = Polling(source)
        proven = await source.proven(Secret(f"an-opaque-token-of-somebody-{len(again)}"))
        assert proven is not None
        polling.keep(proven)
        provider.fail("/token/introspection", times=1, status=200, body={**said, **again})
        found = await polling.current(proven.principal)
        assert (found is not None) == (groups is not None), again
        assert found is None or found.groups == {"dba"}
        source = source_for(provider, **settings)


async def test_after_a_reload_a_token_stands_as_the_settings_of_now_say(provider):
    before, alice = await begun(provider, source_for(provider))
    questions = len(provider.seen())

    same = Polling(source_for(provider))
    same.inherit(before)
    assert await same.current(alice) == alice
    assert len(provider.seen()) == questions

    mapped = Polling(source_for(provider, groups_map={"sre": "ops"}, groups_only_mapped=True))
    mapped.inherit(same)
    found = await mapped.current(alice)
    assert found is not None
    assert found.groups == {"ops"}

    for changed in ({"audience": "https://another.example"}, {"issuer": "https://another.example"}):
        other = Polling(source_for(provider, **changed))
        other.inherit(mapped)
        assert await other.current(alice) is None
    assert await mapped.current(alice) == found


async def test_all_sessions_of_one_token_wait_for_one_answer(provider):
    polling, alice = await begun(provider, distributed(provider, poll=0.2), by_reference(provider))
    for fails in (False, True):
        await trio.sleep(0.25)
        provider.fail("/claims/alice" if fails else "", times=int(fails), status=503)
        found = []

        async def ask(found=found):
            found.append(await polling.current(alice))

        before = provider.seen().count("/claims/alice")
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert found == [alice] * 20
        assert provider.seen().count("/claims/alice") - before == 1


async def test_a_provider_that_hangs_for_a_moment_ends_nothing(provider, monkeypatch):
    polling, alice = await begun(provider, distributed(provider), by_reference(provider))
    monkeypatch.setattr("recgate_oidc.polling.ASK_TIMEOUT", 0.2)
    provider.fail("/claims/alice", times=1, status=0)

    with trio.fail_after(3):
        assert await polling.current(alice) == alice


async def test_a_token_that_is_asked_after_is_not_the_one_that_is_forgotten(provider, monkeypatch):
    source = source_for(provider)
    polling, alice = await begun(provider, source)
    proven = await source.proven(Secret(provider.signed(access_claims(provider, jti="two"))))
    assert proven is not None
    monkeypatch.setattr("recgate_oidc.polling.MAX_KEPT", 3)
    for n in range(10):
        assert await polling.current(alice) == alice
        polling.keep(replace(proven, principal=replace(proven.principal, credential_id=f"access:{n}")))


async def test_tokens_that_are_over_are_forgotten_and_their_number_is_bounded(provider, monkeypatch):
    source = source_for(provider)
    polling, _ = await begun(provider, source)
    proven = await source.proven(Secret(provider.signed(access_claims(provider, jti="two"))))
    assert proven is not None
    monkeypatch.setattr("recgate_oidc.polling.MAX_KEPT", 3)
    for n in range(10):
        polling.keep(replace(proven, principal=replace(proven.principal, credential_id=f"access:{n}")))
        assert len(polling._kept) <= 3
    over = replace(proven.principal, credential_id="access:over", expires=time.time() - 1)
    for _ in range(4):
        polling._kept.clear()
        polling.keep(replace(proven, principal=over))
        assert not polling._kept
