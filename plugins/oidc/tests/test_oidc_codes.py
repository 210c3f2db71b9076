"""Codes that wait to be entered: few, not for ever, and asked after no more often than the provider likes."""

import time
from dataclasses import replace

import pytest
import trio
from trio.to_thread import run_sync

from plugins.oidc.tests.issuing import CONNECTION, signins_for
from recgate.errors import AuthenticationFailed
from recgate.model import LoginName
from recgate_oidc import codes as codes_of
from recgate_oidc.challenge import challenge
from recgate_oidc.codes import TooManyCodes
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.grants import NotYet
from tests.peers.oidcprovider import Browser

HERE = "198.51.100.7"


@pytest.fixture(autouse=True)
def no_faults(provider):
    yield
    provider.fail("", times=0)


async def begun(provider, directory):
    """A code that may be asked after at once."""
    codes = signins_for(provider, directory).signins.codes
    handle, shown = await codes.begin(HERE, {})
    shown._next = trio.current_time()
    return codes, handle, shown


async def test_the_provider_is_asked_no_sooner_than_it_likes(provider, tmp_path):
    codes, handle, shown = await begun(provider, tmp_path)
    assert codes.find(handle) is shown
    with pytest.raises(NotYet):
        await shown.ask()
    before = provider.seen().count("/token")

    for _ in range(5):
        with pytest.raises(NotYet):
            await shown.ask()

    assert provider.seen().count("/token") == before
    assert 4 < shown.wait <= 5


@pytest.mark.parametrize(
    ("status", "body", "interval"),
    [(400, {"error": "slow_down"}, 10), (503, None, 10), (400, {"error": "authorization_pending"}, 5)],
)
async def test_who_asks_too_often_or_in_vain_asks_less_often(provider, tmp_path, status, body, interval):
    _, _, shown = await begun(provider, tmp_path)
    provider.fail("/token", times=1, status=status, body=body)

    with pytest.raises(NotYet):
        await shown.ask()

    assert shown.interval == interval


async def test_a_code_that_nobody_enters_in_time_is_over(provider, tmp_path):
    _, _, shown = await begun(provider, tmp_path)
    shown.ends = trio.current_time()

    with pytest.raises(TokenRefused, match="in time") as late:
        await shown.entered()
    assert "begin again" in late.value.tell


async def test_one_address_has_few_codes_and_gets_them_back(provider, tmp_path, monkeypatch):
    codes = signins_for(provider, tmp_path).signins.codes
    opened = [await codes.begin(HERE, {}) for _ in range(codes_of.MAX_OF_ADDRESS)]
    with pytest.raises(TooManyCodes) as many:
        await codes.begin(HERE, {})
    assert "Too many codes" in many.value.tell
    await codes.begin("198.51.100.8", {})  # others are not kept out

    assert codes.close(opened[0][0])
    assert not codes.close(opened[0][0])
    await codes.begin(HERE, {})
    monkeypatch.setattr(codes_of, "MAX_CODES", codes_of.MAX_OF_ADDRESS + 1)
    with pytest.raises(TooManyCodes):
        await codes.begin("198.51.100.9", {})
    # One that nobody asks for any more counts no longer.
    opened[1][1].claimed_by = trio.current_time()
    await codes.begin("198.51.100.9", {})
    assert codes.find(opened[1][0]) is None


async def test_many_who_begin_at_once_are_counted_too(provider, tmp_path):
    codes, made = signins_for(provider, tmp_path).signins.codes, []
    before = provider.seen().count("/device/auth")

    async def begin():
        with trio.CancelScope():
            try:
                made.append(await codes.begin(HERE, {}))
            except TooManyCodes:
                return

    async with trio.open_nursery() as nursery:
        for _ in range(3 * codes_of.MAX_OF_ADDRESS):
            nursery.start_soon(begin)

    assert len(made) == codes_of.MAX_OF_ADDRESS
    assert provider.seen().count("/device/auth") - before == codes_of.MAX_OF_ADDRESS


async def test_what_one_customer_of_a_network_has_is_one_address(provider, tmp_path):
    codes = signins_for(provider, tmp_path).signins.codes
    for number in range(codes_of.MAX_OF_ADDRESS):
        await codes.begin(f"2001:db8::{number + 1:x}", {})
    with pytest.raises(TooManyCodes):
        await codes.begin("2001:db8::ffff", {})


async def test_a_provider_that_makes_no_code_takes_up_no_place(provider, tmp_path):
    codes = signins_for(provider, tmp_path).signins.codes
    provider.fail("/device/auth", times=codes_of.MAX_OF_ADDRESS)
    for _ in range(codes_of.MAX_OF_ADDRESS):
        with pytest.raises(ProviderFailed):
            await codes.begin(HERE, {})
    await codes.begin(HERE, {})


async def test_a_code_that_is_waited_for_or_asked_for_again_stays(provider, tmp_path):
    _, shown = await signins_for(provider, tmp_path).signins.codes.begin(HERE, {})
    shown.claimed_by = trio.current_time()
    assert shown.is_over
    shown.claim()
    assert not shown.is_over
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown.entered)
        await trio.testing.wait_all_tasks_blocked()
        assert shown.claimed_by == shown.ends
        nursery.cancel_scope.cancel()


# -- in a terminal ---------------------------------------------------------------------------------------


async def in_terminal(provider, directory, target="prod-web", **changed):
    door = signins_for(provider, directory, **changed)
    return door, await door.challenge(LoginName(target), CONNECTION)


async def test_the_text_says_where_and_whose_connection_it_lets_in(provider, tmp_path):
    _, shown = await in_terminal(provider, tmp_path)

    device = shown._shown.device
    for word in (
        device.uri,
        device.whole_uri,
        device.user_code,
        "198.51.100.7",
        "prod-web",
        "do not enter it",
    ):
        assert word in shown.text


async def test_a_target_that_nobody_could_have_does_nothing_to_a_terminal(provider, tmp_path):
    _, shown = await in_terminal(provider, tmp_path, "\x1b[2J\n\u202eevil" + "x" * 500)

    assert shown.text.replace("\n", "").isprintable()
    assert "\u202e" not in shown.text
    assert "x" * 100 not in shown.text


async def test_who_enters_it_is_in_and_the_code_is_gone(provider, tmp_path):
    door, shown = await in_terminal(provider, tmp_path)
    shown._shown._next = trio.current_time()
    with Browser(provider, "alice") as browser:
        await run_sync(browser.approve, shown._shown.device.whole_uri)

    alice = await shown.answer()

    assert (alice.name, alice.method) == ("alice", "code")
    assert await door.current(alice) == alice
    assert door.signins.codes.find(shown._handle) is None


async def test_who_leaves_gives_the_code_up(provider, tmp_path):
    door, shown = await in_terminal(provider, tmp_path)

    with trio.move_on_after(0.1):
        await shown.answer()

    left = door.signins.codes.find(shown._handle)
    assert left.claimed_by - trio.current_time() < 61, "it counts a while, and not until its end"
    left.claimed_by = trio.current_time()
    await door.signins.codes.begin(HERE, {})
    assert door.signins.codes.find(shown._handle) is None


async def test_whoever_else_enters_it_does_not_come_in_as_the_user_of_the_login_name(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    shown = await door.challenge(LoginName("prod-web", "bob"), CONNECTION)
    shown._shown._next = trio.current_time()
    with Browser(provider, "alice") as browser:
        await run_sync(browser.approve, shown._shown.device.whole_uri)

    with pytest.raises(AuthenticationFailed, match="somebody else") as refused:
        await shown.answer()

    assert "leave the user out" in refused.value.tell
    assert "alice" not in refused.value.tell
    assert await door.signins.logins.all(time.time()) == []


async def test_there_is_no_code_where_nobody_signs_in_or_the_provider_has_none(provider, tmp_path):
    rule = ({"subject": "machine", "user": "batch"},)
    _, shown = await in_terminal(provider, tmp_path, machines=rule)
    assert shown is None
    door = signins_for(provider, tmp_path / "other")
    known = await door.source.provider.metadata()
    door.source.provider._document._value = replace(known, device_authorization_endpoint="")
    assert await door.challenge(LoginName("prod-web"), CONNECTION) is None
    assert (await door.advertise())["flows"] == ["browser"]
    assert await signins_for(provider, tmp_path / "third", machines=rule).advertise() is None


async def test_a_provider_that_is_away_makes_no_code_and_says_so(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    provider.fail("/device/auth", times=1, body={"error": "SECRET"})
    with pytest.raises(AuthenticationFailed) as failed:
        await challenge(door.signins, LoginName("prod-web"), CONNECTION)
    assert "try again later" in failed.value.tell
    assert "SECRET" not in str(failed.value)
    provider.fail("/.well-known/openid-configuration", times=1)
    away = signins_for(provider, tmp_path / "other")
    assert (await away.advertise())["flows"] == []
    with pytest.raises(ProviderFailed):
        await away.source.provider.metadata()
