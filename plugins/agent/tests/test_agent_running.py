"""Agents that run: what they carry, what they refuse by themselves, and what becomes of a session when they go."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio

from core.tests.test_gateway import House, rest, until
from plugins.agent.tests.test_agent_reception import (
    authorization,
    by_hand,
    enrolled,
    invited,
    site,
)
from plugins.api.tests.test_api_listener import url
from recgate.errors import RecgateError, UpstreamFailed
from recgate.httpauth import Problem
from recgate.metrics import AGENT_STREAMS, AGENTS
from recgate.model import ConnectionInfo, Secret
from recgate_agent import bridge
from recgate_agent.enrolment import Enrolment, Home, NotEnrolled, enroll
from recgate_agent.messages import Failed
from recgate_agent.plugin import recgate_ways
from recgate_agent.proof import encoded
from recgate_agent.reception import Reception
from recgate_agent.roster import Roster
from recgate_agent.running import FIRST_PAUSE, LONGEST_PAUSE, Agent, TurnedAway, pauses
from recgate_agent.way import AgentWay

PATIENCE = 15


@dataclass
class Running:
    """An agent in a task of its own: it may end without ending the test."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    said: list[str] = field(default_factory=list)
    away: str = ""

    async def run(self, me: Enrolment) -> None:
        with self.scope:
            try:
                await Agent(me, self.said.append).run()
            except TurnedAway as exc:
                self.away = str(exc)


@asynccontextmanager
async def running(home: House, me: Enrolment) -> AsyncIterator[Running]:
    async with trio.open_nursery() as nursery:
        agent = Running()
        nursery.start_soon(agent.run, me)
        await home.eventually(lambda: any(each.startswith("connected to gate") for each in agent.said))
        yield agent
        nursery.cancel_scope.cancel()


async def revoke(home: House, name: str) -> None:
    roster = Roster(home.gateway.config.data_dir)
    await trio.to_thread.run_sync(roster.revoke, name, 1.0)


async def test_a_session_runs_through_an_agent(tmp_path: Path) -> None:
    async with site(tmp_path) as home, running(home, await enrolled(home)):
        stream = await home.opened()
        for size in (2, 60_000):
            line = b"ASK " + b"x" * size + b"\n"
            await stream.send_all(line)
            assert await until(stream, b"\n") == b"ANSWER to " + line
        (session,) = home.gateway.live.values()
        await stream.aclose()
        row = await home.row(session.id, status="sealed")
        assert (row.user, row.target, row.reason) == ("alice", "prod", "client-closed")
        assert home.target.got.startswith(b"HELLO app target-secret\n")
        await home.eventually(lambda: AGENT_STREAMS._value.get() == 0)


async def test_an_agent_that_goes_ends_the_session_with_the_reason(tmp_path: Path) -> None:
    async with site(tmp_path) as home, running(home, await enrolled(home)) as agent:
        stream = await home.opened()
        (session,) = home.gateway.live.values()
        agent.scope.cancel()
        assert b"BYE upstream: the agent relay, which led to prod, was lost" in await rest(stream)
        assert (await home.row(session.id, status="sealed")).reason == "upstream"
        await home.eventually(lambda: AGENTS._value.get() == 0)


async def test_revoking_cuts_the_agent_and_its_sessions(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        async with running(home, me) as agent:
            stream = await home.opened()
            await revoke(home, "relay")
            assert b"the agent relay, which led there, was revoked" in await rest(stream)
            await home.eventually(lambda: "this agent was revoked" in agent.away)
        with pytest.raises(TurnedAway, match="not known, or was revoked"):
            await Agent(me, lambda _: None).run()
        assert (await home.event("agent.revoked"))["agent"] == "relay"


async def test_enrolling_anew_cuts_who_had_the_name(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        async with running(home, await enrolled(home)) as before:
            after = await enrolled(home)
            await home.eventually(lambda: "was enrolled anew" in before.away)
        async with running(home, after):
            await home.opened()


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({}, b"the agent was not enrolled for prod"),
        ({"prod": "10.0.0.1:22"}, b"was enrolled for prod at another address"),
    ],
)
async def test_the_agents_own_list_stands(tmp_path: Path, targets: dict[str, str], said: bytes) -> None:
    async with site(tmp_path) as home, running(home, replace(await enrolled(home), targets=targets)):
        assert said in await rest(await home.login())
        assert not home.target.got


async def test_a_target_that_the_agent_is_not_enrolled_for_is_not_asked_of_it(tmp_path: Path) -> None:
    extra = {
        "name": "other",
        "protocol": "line",
        "address": "127.0.0.1:9",
        "via": "agent",
        "allow": ["group:dba"],
    }
    async with site(tmp_path) as home:
        me = await enrolled(home)
        targets = [*home.gateway.config.targets.values()]
        way = AgentWay(online(home))
        async with by_hand(home, me) as hand:
            with pytest.raises(UpstreamFailed, match="no agent that leads there is connected"):
                await way.dial(replace(targets[0].info, name=str(extra["name"])), None)
            await home.login()
            assert (await hand.order()).target == "prod"


def online(home: House):
    (way,) = recgate_ways(home.gateway)
    assert isinstance(way, AgentWay)
    return way._online


async def test_a_target_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        port = home.target.port
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            dead = taken.getsockname()[1]
            info = replace(home.gateway.config.targets["prod"].info, port=dead)
            async with running(home, replace(me, targets={"prod": f"127.0.0.1:{dead}"})):
                with pytest.raises(UpstreamFailed, match=f"cannot connect to 127.0.0.1:{dead}"):
                    await AgentWay(online(home)).dial(info, None)
        assert port != dead


async def test_the_next_agent_is_asked_when_one_does_not_answer(tmp_path: Path) -> None:
    async with site(tmp_path, limits={"dial_timeout": "4s"}) as home:
        silent, lively = await enrolled(home, "silent"), await enrolled(home, "lively")
        async with by_hand(home, silent) as hand, running(home, lively):
            for _ in range(3):
                await home.opened()
            with trio.move_on_after(0.2):
                await hand.order()
            with trio.move_on_after(0.2) as waiting:
                await hand.order()
            assert waiting.cancelled_caught, "who did not answer is asked last from then on"
            # A late word is a word: it is asked in its turn again.
            await hand.control.send(Failed(encoded(b"l" * 32), "late").as_bytes())
            await home.eventually(
                lambda: not any(each.unanswered for each in online(home).leading_to("prod"))
            )


async def test_an_agent_that_is_lost_after_the_session_changes_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        async with by_hand(home, me) as hand:
            client = await home.login()
            async with hand.stream((await hand.order()).stream) as stream:
                assert b"HELLO" in await stream.receive()
                await stream.send(b"OK\n")
                assert await until(client, b"\n") == b"OK\n"
                (session,) = home.gateway.live.values()
                await stream.send(b"")
                await client.send_eof()
                await home.event("session.closed")
            row = await home.row(session.id, status="sealed")
            assert row.reason in ("client-closed", "upstream-closed")
            await home.eventually(lambda: AGENT_STREAMS._value.get() == 0)
        assert not [event for event in home.audit() if event["event"] == "session.crashed"]


@pytest.mark.parametrize("meanwhile", ["revoked", "again"])
async def test_what_happens_between_the_proof_and_the_first_byte_counts(
    tmp_path: Path, meanwhile: str
) -> None:
    async with site(tmp_path) as home:
        me, sent, heard, statuses = await enrolled(home), [], [], []
        async with by_hand(home, me) as hand:
            client = await home.login()
            stream = (await hand.order()).stream
            reception = Reception(online(home), "")
            connection = ConnectionInfo("https", "127.0.0.1:1", "127.0.0.1:2")
            scope = {
                "type": "websocket",
                "path": f"/stream/{stream}",
                "headers": [(b"authorization", authorization(me, stream))],
                "state": {"connection": connection},
            }

            async def receive() -> MutableMapping[str, object]:
                heard.append(len(sent))
                return {"type": "websocket.connect" if not sent else "websocket.disconnect"}

            async def send(message: MutableMapping[str, object]) -> None:
                sent.append(message["type"])
                if message["type"] != "websocket.accept":
                    return
                if meanwhile == "revoked":
                    await revoke(home, "relay")
                    await online(home).refresh()
                    return
                with pytest.raises(Problem) as seen:
                    await reception(dict(scope), receive, send)
                statuses.append(seen.value.status)

            await reception(dict(scope), receive, send)
            assert b"OK" not in await rest(client)
            assert sent[0] == "websocket.accept"
            assert sent[-1] == "websocket.close"
            if meanwhile == "revoked":
                assert (len(sent), heard) == (2, [0]), "nothing was carried"
            else:
                assert statuses == [404], "an id is good once"


async def test_the_least_busy_agent_is_asked(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        one, two = await enrolled(home, "one"), await enrolled(home, "two")
        async with running(home, one), running(home, two):
            for _ in range(4):
                await home.opened()
            assert [online(home).carried(name) for name in ("one", "two")] == [2, 2]


async def test_the_end_of_one_direction_is_carried(tmp_path: Path) -> None:
    async def answers_at_the_end(stream: trio.SocketStream) -> None:
        got = b""
        async with stream:
            while more := await stream.receive_some():
                got += more
            await stream.send_all(b"all of " + got)

    async with site(tmp_path) as home, trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answers_at_the_end, [listener])
        port = listener.socket.getsockname()[1]
        me = replace(await enrolled(home), targets={"prod": f"127.0.0.1:{port}"})
        async with running(home, me):
            info = replace(home.gateway.config.targets["prod"].info, port=port)
            sock = await AgentWay(online(home)).dial(info, None)
            async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as stream:
                await stream.send_all(b"it")
                await stream.send_eof()
                assert await rest(stream) == b"all of it"
            await home.eventually(lambda: AGENT_STREAMS._value.get() == 0)
        nursery.cancel_scope.cancel()


async def test_a_target_that_does_not_close_is_left_when_the_session_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "LEAVING", 0.2)
    async with site(tmp_path) as home:
        me = await enrolled(home)
        async with by_hand(home, me) as hand:
            client = await home.login()
            async with hand.stream((await hand.order()).stream) as stream:
                assert b"HELLO" in await stream.receive()
                await stream.send(b"OK\n")
                assert await until(client, b"\n") == b"OK\n"
                await client.aclose()
                await home.eventually(lambda: AGENT_STREAMS._value.get() == 0)


async def test_a_gateway_of_another_name_is_not_the_one(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = replace(await enrolled(home), gateway="gate-2")
        with pytest.raises(TurnedAway, match="is gate now, and this agent was enrolled at gate-2"):
            await Agent(me, lambda _: None).run()


async def test_a_gateway_with_another_ca_is_not_believed(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = replace(await enrolled(home), ca="")
        said: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Agent(me, said.append).run)
            await home.eventually(lambda: said)
            nursery.cancel_scope.cancel()
        assert "certificate verify failed" in said[0]
        assert "trying again in" in said[0]


def test_pauses_grow_to_a_limit_and_are_never_the_same() -> None:
    shortest = longest = 0.0
    for _ in range(12):
        shortest, longest = pauses(lambda low, _: low, shortest), pauses(lambda _, high: high, longest)
    assert longest == LONGEST_PAUSE
    assert FIRST_PAUSE / 2 <= shortest < longest


async def test_what_is_kept_is_private_and_whole(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        place = Home(tmp_path / "relay")
        kept = place.load()
        assert (kept.url, kept.gateway, kept.agent) == (url(home), "gate", "relay")
        assert kept.targets == {"prod": f"127.0.0.1:{home.target.port}"}
        assert kept.key.private_bytes_raw() == me.key.private_bytes_raw()
        assert "key" not in repr(kept)
        assert sorted(each.name for each in place.directory.iterdir()) == ["agent.json", "key.pem"]
        assert {each.stat().st_mode & 0o777 for each in place.directory.iterdir()} == {0o600}
        # A token that is refused leaves what was there.
        with pytest.raises(RecgateError, match="not good, or not any more"):
            await enroll(place, url(home), kept.ca, Secret("rga_" + "x" * 43))
        assert place.load().key.private_bytes_raw() == me.key.private_bytes_raw()
        with pytest.raises(RecgateError, match="is no one-time token"):
            await enroll(place, url(home), kept.ca, Secret("rg_something"))
        (place.directory / "agent.json").write_text("{}")
        with pytest.raises(NotEnrolled, match="is damaged"):
            place.load()
        (place.directory / "agent.json").unlink()
        with pytest.raises(NotEnrolled, match="no agent is enrolled here"):
            place.load()
        assert await invited(home)
