"""Sessions that may not go on: here by silence and by age; revocation is with the gateway's own tests."""

import time

import trio

from core.tests.test_gateway import house, rest, until
from recgate.validity import IDLE, LASTED


async def test_a_session_in_which_nothing_is_sent_ends(tmp_path):
    async with house(tmp_path, limits={"recheck": "20ms", "idle_timeout": "300ms"}) as home:
        stream = await home.opened()
        started = time.monotonic()

        assert b"BYE expired:" in await rest(stream)
        assert time.monotonic() - started >= 0.25
        assert (await home.event("session.ended"))["reason"] == IDLE
        assert (await home.event("session.closed"))["reason"] == "expired"


async def test_a_session_in_which_something_is_sent_goes_on(tmp_path):
    async with house(tmp_path, limits={"recheck": "20ms", "idle_timeout": "1s"}) as home:
        stream = await home.opened()
        ends = trio.current_time() + 2.5
        while trio.current_time() < ends:
            await stream.send_all(b"ASK x\n")
            assert await until(stream, b"\n") == b"ANSWER to ASK x\n"
            await trio.sleep(0.1)

        assert not any(event["event"] == "session.ended" for event in home.audit())


async def test_a_session_ends_when_it_has_lasted_long_enough(tmp_path):
    async with house(tmp_path, limits={"recheck": "20ms", "session_timeout": "300ms"}) as home:
        stream = await home.opened()

        assert b"BYE expired:" in await rest(stream)
        assert (await home.event("session.ended"))["reason"] == LASTED


async def test_a_session_that_a_policy_made_short_ends_when_it_has_lasted_as_long(tmp_path):
    async with house(tmp_path, limits={"recheck": "20ms"}) as home:
        client = await home.opened()
        (session,) = home.gateway.live.values()
        session.lasts = 0.1
        assert LASTED.encode() in await rest(client)
