"""Threat 6 with sign-ins: what the provider takes back is over, asked by userinfo and by the refresh token."""

import math
import time
from dataclasses import replace

import pytest
import trio

from plugins.oidc.tests.issuing import CONNECTION, NOBODY, granted, signed_in, signins_for
from recgate.errors import AuthenticationFailed
from recgate.model import PasswordEvidence
from recgate_oidc.errors import ProviderFailed
from recgate_oidc.grants import Granted

TOKENS, USERINFO = "/token", "/me"


@pytest.fixture(autouse=True)
def as_before(provider):
    yield
    provider.fail("", times=0)
    provider.set_user("alice", groups=["sre", "dba"], preferred_username="alice")


def asked(provider, path):
    return provider.seen().count(path)


async def test_a_sign_in_stands_with_its_groups_and_how_it_was_made(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door, acr="mfa", amr="pwd otp")

    assert (alice.name, alice.groups, alice.method) == ("alice", {"sre", "dba"}, "login")
    assert (alice.acr, alice.amr, alice.source) == ("mfa", {"pwd", "otp"}, "corp")
    assert abs(alice.auth_time - time.time()) < 60
    assert alice.credential_id == f"login:{made.login.id}"
    assert await door.current(alice) == alice


async def test_a_group_that_was_taken_away_is_gone(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    _, alice = await signed_in(provider, door)

    provider.set_user("alice", groups=["sre"])

    assert (await door.current(alice)).groups == {"sre"}
    provider.set_user("alice")
    assert (await door.current(alice)).groups == frozenset()


@pytest.mark.parametrize("how", ["userinfo", "refresh"])
@pytest.mark.parametrize("taken", ["revoke", "remove_user"])
async def test_what_the_provider_takes_back_is_over_for_good(provider, tmp_path, how, taken):
    door = signins_for(provider, tmp_path, poll_by=how)
    made, alice = await signed_in(provider, door)

    getattr(provider, taken)("alice")

    assert await door.current(alice) is None
    before = len(provider.seen())
    assert await door.current(alice) is None
    with pytest.raises(AuthenticationFailed, match="revoked") as failed:
        await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION)
    assert "recgate login" in failed.value.tell
    assert len(provider.seen()) == before  # nothing is asked about what is over
    assert (await door.signins.logins.by_id(made.login.id)).refresh is None


async def test_a_refresh_token_is_exchanged_before_the_access_token_ends_and_rotates(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)
    known = door.signins.standing._known[made.login.id]
    first = (await door.signins.logins.by_id(made.login.id)).refresh
    for _ in range(3):
        known.renew_at = time.time() - 1
        assert await door.current(alice) == alice
        kept = (await door.signins.logins.by_id(made.login.id)).refresh
        assert kept != first
        first = kept
    before = asked(provider, TOKENS)
    assert await door.current(alice) == alice
    assert asked(provider, TOKENS) == before


async def test_many_questions_at_once_use_a_refresh_token_once(provider, tmp_path):
    door = signins_for(provider, tmp_path, poll=20.0)
    _, alice = await signed_in(provider, door)
    door.signins.standing._known.clear()
    before = asked(provider, TOKENS)

    found = []

    async def ask():
        found.append(await door.current(alice))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(ask)

    assert found == [alice] * 8
    assert asked(provider, TOKENS) == before + 1


async def test_who_leaves_while_a_refresh_token_is_exchanged_takes_nothing_along(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    _, alice = await signed_in(provider, door)
    door.signins.standing._known.clear()
    asking = door.signins.grants._asked
    scope = trio.CancelScope()

    async def leaving(form):
        answer = await asking(form)
        scope.cancel()
        await trio.lowlevel.checkpoint()
        return answer

    door.signins.grants._asked = leaving
    with scope:
        await door.current(alice)
    assert scope.cancelled_caught
    door.signins.grants._asked = asking

    assert await door.current(alice) == alice


async def test_after_a_restart_a_sign_in_goes_on(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)
    door.signins.standing._known.clear()  # what was in memory alone

    assert await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION) == alice


async def test_a_provider_that_is_away_is_believed_for_a_while_and_never_past_the_tokens_end(
    provider, tmp_path
):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)
    known = door.signins.standing._known[made.login.id]

    provider.fail(USERINFO, times=1)
    assert await door.current(alice) == alice

    provider.fail(TOKENS, times=1)
    known.until = known.renew_at = time.time() - 1
    with pytest.raises(ProviderFailed):
        await door.current(alice)

    known.until = time.time() + 60
    known.asked = trio.current_time() - 31
    provider.fail(TOKENS, times=1)
    with pytest.raises(ProviderFailed):
        await door.current(alice)
    assert await door.current(alice) == alice  # it is back, and nothing was lost


async def test_without_tolerance_a_provider_that_is_away_is_a_no(provider, tmp_path):
    door = signins_for(provider, tmp_path, outage=0.0)
    made, _ = await signed_in(provider, door)
    provider.fail(USERINFO, times=1)
    with pytest.raises(AuthenticationFailed) as failed:
        await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION)
    assert "try again later" in failed.value.tell


async def test_what_says_nothing_about_the_person_ends_no_sign_in(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)
    known = door.signins.standing._known[made.login.id]
    for body in ({"error": "invalid_client"}, {"error": "temporarily_unavailable"}, ["nonsense"]):
        known.renew_at = 0.0
        provider.fail(TOKENS, times=1, status=400, body=body)
        assert await door.current(alice) == alice
    assert await door.current(alice) == alice


async def test_an_access_token_that_ends_early_is_renewed(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    _, alice = await signed_in(provider, door)
    provider.fail(USERINFO, times=1, status=401)

    assert await door.current(alice) == alice


async def test_somebody_who_is_called_something_else_now_signs_in_again(provider, tmp_path):
    door = signins_for(provider, tmp_path, user_claim="preferred_username")
    _, alice = await signed_in(provider, door)

    provider.set_user("alice", groups=["sre", "dba"], preferred_username="alice.smith")

    assert await door.current(alice) is None


async def test_a_renewal_for_somebody_else_is_refused(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)
    bobs = await granted(provider, door, "bob")
    known = door.signins.standing._known[made.login.id]
    known.renew_at = 0.0
    provider.fail(
        TOKENS,
        times=1,
        status=200,
        body={
            "access_token": "x" * 20,
            "token_type": "Bearer",
            "id_token": bobs.issued.identity.reveal().decode(),
        },
    )

    assert await door.current(alice) is None


@pytest.mark.parametrize("body", [None, {"sub": "alice"}, {"sub": "alice", "groups": ["elsewhere"]}])
async def test_groups_that_userinfo_does_not_say_or_says_otherwise_come_by_renewals(provider, tmp_path, body):
    door = signins_for(provider, tmp_path, poll_by="refresh")
    fresh = await granted(provider, door)
    provider.fail(USERINFO, times=1, status=404 if body is None else 200, body=body)
    made = await door.signins.begin(fresh)
    assert (made.login.by_userinfo, made.login.groups_by_userinfo) == (body is not None, False)
    alice = await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION)
    assert alice.groups == {"sre", "dba"}

    provider.set_user("alice", groups=["sre"])

    assert (await door.current(alice)).groups == {"sre"}


async def test_a_sign_in_of_another_source_or_of_nobody_does_not_stand(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    _, alice = await signed_in(provider, door)
    other = signins_for(provider, tmp_path, name="partner", prefix="partner:")

    assert await other.current(alice) is None
    assert await door.current(replace(alice, credential_id="login:0123456789ab")) is None


async def test_without_a_refresh_token_a_sign_in_ends_with_the_access_token(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    fresh = await granted(provider, door)
    once = Granted(replace(fresh.issued, refresh=None), fresh.claims)
    made = await door.signins.begin(once)

    assert math.isclose(made.login.expires, time.time() + fresh.issued.life, abs_tol=30)
    principal = await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION)
    provider.revoke("alice")
    assert await door.current(principal) is None
