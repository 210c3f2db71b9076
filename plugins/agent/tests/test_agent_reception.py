"""Who knocks without being an agent, or as another one: wrong key, replayed proof, somebody else's stream, noise."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.test_gateway import House, house, rest, until
from plugins.api.tests.test_api_listener import LISTENERS, trusting, url
from recgate.carrying import Parted
from recgate.guard import FREE_ATTEMPTS
from recgate.model import Secret
from recgate.websocketclient import ClientMessages, UpgradeRefused, open_messages
from recgate_agent import online, reception
from recgate_agent.enrolment import Enrolment, Home, enroll
from recgate_agent.messages import (
    MAX_MESSAGE,
    REFUSED,
    REPLACED,
    Challenge,
    Dial,
    Failed,
    Proof,
    is_welcome,
)
from recgate_agent.proof import CONTROL, ENROLL, STREAM, encoded, new_token, signed, token_hash
from recgate_agent.roster import Roster

PATIENCE = 15


@asynccontextmanager
async def site(tmp_path: Path, **changes: object) -> AsyncIterator[House]:
    """A gateway whose one target is reached by agents."""
    async with house(tmp_path, listeners=LISTENERS, target={"via": "agent"}, **changes) as home:  # type: ignore[arg-type]
        yield home


async def invited(
    home: House, name: str = "relay", targets: Iterable[str] = ("prod",), ttl: float = 60
) -> str:
    roster = Roster(home.gateway.config.data_dir)
    return await trio.to_thread.run_sync(roster.invite, name, list(targets), ttl, time.time())


async def enrolled(home: House, name: str = "relay", targets: Iterable[str] = ("prod",)) -> Enrolment:
    token = await invited(home, name, targets)
    ca = home.gateway.keys.ca_file.read_text()
    return await enroll(Home(home.path.parent / name), url(home), ca, Secret(token))


@dataclass
class Hand:
    """An agent by hand: its control connection, and what it is."""

    home: House
    control: ClientMessages
    me: Enrolment

    async def order(self) -> Dial:
        with trio.fail_after(PATIENCE):
            return Dial.parse(await self.control.receive())

    @asynccontextmanager
    async def stream(self, stream: str) -> AsyncIterator[ClientMessages]:
        async with open_messages(
            url(self.home, f"/api/v1/agent/stream/{stream}"),
            trusting(self.home),
            headers=[(b"authorization", authorization(self.me, stream))],
        ) as messages:
            yield messages


def authorization(
    me: Enrolment, stream: str, key: Ed25519PrivateKey | None = None, role: str = STREAM
) -> bytes:
    signature = signed(key or me.key, role, me.gateway, me.agent, stream.encode())
    return f"Recgate-Agent {me.agent}:{encoded(signature)}".encode()


@asynccontextmanager
async def knocking(home: House) -> AsyncIterator[tuple[ClientMessages, Challenge]]:
    async with open_messages(url(home, "/api/v1/agent/control"), trusting(home)) as messages:
        yield messages, Challenge.parse(await messages.receive())


@asynccontextmanager
async def by_hand(home: House, me: Enrolment) -> AsyncIterator[Hand]:
    async with knocking(home) as (messages, challenge):
        signature = signed(me.key, CONTROL, challenge.gateway, me.agent, challenge.nonce)
        await messages.send(Proof(me.agent, signature).as_bytes())
        assert is_welcome(await messages.receive())
        yield Hand(home, messages, me)


async def turned_away(messages: ClientMessages) -> int:
    with trio.fail_after(PATIENCE), pytest.raises(Parted) as seen:
        await messages.receive()
    return seen.value.code


async def refusals(home: House, word: str) -> None:
    """Wait until the audit trail says why somebody was turned away."""

    def told() -> bool:
        events = [event for event in home.audit() if event["event"] == "agent.refused"]
        return any(word in str(event["reason"]) for event in events)

    await home.eventually(told)


# -- the control connection --------------------------------------------------------------------------------


async def test_an_agent_by_hand_carries_a_session(tmp_path: Path) -> None:
    async with site(tmp_path) as home, by_hand(home, await enrolled(home)) as hand:
        client = await home.login()
        order = await hand.order()
        assert (order.target, order.host, order.port) == ("prod", "127.0.0.1", home.target.port)
        async with hand.stream(order.stream) as stream:
            assert b"HELLO" in await stream.receive()
            await stream.send(b"OK\n")
            assert await until(client, b"\n") == b"OK\n"


async def test_a_wrong_key_is_turned_away(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        for key, name, role in (
            (Ed25519PrivateKey.generate(), me.agent, CONTROL),
            (me.key, me.agent, STREAM),
            (me.key, "nobody", CONTROL),
        ):
            async with knocking(home) as (messages, challenge):
                signature = signed(key, role, challenge.gateway, name, challenge.nonce)
                await messages.send(Proof(name, signature).as_bytes())
                assert await turned_away(messages) == REFUSED
        await refusals(home, "the signature is not its key's")
        await refusals(home, "no such agent")


async def test_one_agents_key_is_not_anothers(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        one, two = await enrolled(home, "one"), await enrolled(home, "two")
        async with knocking(home) as (messages, challenge):
            signature = signed(one.key, CONTROL, challenge.gateway, two.agent, challenge.nonce)
            await messages.send(Proof(two.agent, signature).as_bytes())
            assert await turned_away(messages) == REFUSED


async def test_a_replayed_proof_is_turned_away(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        async with knocking(home) as (messages, challenge):
            proof = Proof(me.agent, signed(me.key, CONTROL, challenge.gateway, me.agent, challenge.nonce))
            await messages.send(proof.as_bytes())
            assert is_welcome(await messages.receive())
        async with knocking(home) as (messages, challenge):
            await messages.send(proof.as_bytes())
            assert await turned_away(messages) == REFUSED


async def test_who_says_nothing_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "PROVE", 0.1)
    async with site(tmp_path) as home, knocking(home) as (messages, _):
        assert await turned_away(messages) == reception.UNAVAILABLE
        await refusals(home, "did not prove who it is")


@pytest.mark.parametrize(
    "noise", [b"", b"{}", b"{" * MAX_MESSAGE, b" " * (MAX_MESSAGE + 1), b'{"agent":"../x","signature":""}']
)
async def test_noise_in_a_proofs_place_is_cut(tmp_path: Path, noise: bytes) -> None:
    async with site(tmp_path) as home, knocking(home) as (messages, _):
        await messages.send(noise)
        assert await turned_away(messages) == reception.WRONG


@pytest.mark.parametrize(
    ("noise", "code"),
    [
        (b'{"failed":"' + b"x" * 43 + b'","why":"' + b"y" * MAX_MESSAGE + b'"}', reception.TOO_BIG),
        (b"noise", reception.WRONG),
    ],
)
async def test_noise_from_an_agent_is_cut(tmp_path: Path, noise: bytes, code: int) -> None:
    async with site(tmp_path) as home, by_hand(home, await enrolled(home)) as hand:
        await hand.control.send(noise)
        assert await turned_away(hand.control) == code
        await home.event("agent.lost")


async def test_a_message_beyond_every_limit_ends_the_connection(tmp_path: Path) -> None:
    async with site(tmp_path) as home, by_hand(home, await enrolled(home)) as hand:
        await hand.control.send(b" " * (300 << 10))
        assert await turned_away(hand.control) in (reception.TOO_BIG, 1006)
        await home.event("agent.lost")


async def test_the_same_agent_again_takes_the_place(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        async with by_hand(home, me) as first, by_hand(home, me) as second:
            assert await turned_away(first.control) == REPLACED
            client = await home.login()
            order = await second.order()
            await second.control.send(Failed(order.stream, "no route").as_bytes())
            assert b"prod: no route" in await rest(client)


async def test_what_no_websocket_asks_for_is_refused(tmp_path: Path) -> None:
    async with (
        site(tmp_path) as home,
        httpx2.AsyncClient(base_url=url(home), verify=trusting(home)) as client,
    ):
        assert (await client.get("/api/v1/agent/control")).status_code == 426
        assert (await client.get("/api/v1/agent/enroll")).status_code == 405
        assert (await client.get(f"/api/v1/agent/stream/{'x' * 43}")).status_code == 401
        for path in ("", "/", "/stream/", "/stream/x", "/control/", "/stream/../control"):
            assert (await client.get(f"/api/v1/agent{path}")).status_code in (404, 426), path


# -- streams -----------------------------------------------------------------------------------------------


async def refused(home: House, stream: str, *headers: tuple[bytes, bytes]) -> int:
    with pytest.raises(UpgradeRefused) as seen:
        async with open_messages(
            url(home, f"/api/v1/agent/stream/{stream}"), trusting(home), headers=headers
        ):
            pass
    return seen.value.status


async def test_a_stream_is_for_the_agent_that_was_asked_once(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me, other = await enrolled(home, "one"), await enrolled(home, "two")
        async with by_hand(home, me) as hand:
            client = await home.login()
            stream = (await hand.order()).stream
            assert await refused(home, stream) == 401
            assert await refused(home, stream, (b"authorization", b"Bearer alice.secret")) == 401
            proof = authorization(me, stream)
            assert await refused(home, stream, (b"authorization", proof), (b"authorization", proof)) == 401
            stranger = authorization(me, stream, Ed25519PrivateKey.generate())
            assert await refused(home, stream, (b"authorization", stranger)) == 401
            assert (
                await refused(home, stream, (b"authorization", authorization(me, stream, role=CONTROL)))
                == 401
            )
            elsewhere = authorization(me, encoded(b"e" * 32))
            assert await refused(home, stream, (b"authorization", elsewhere)) == 401
            # Another agent proves itself, and the stream is still not its own.
            assert await refused(home, stream, (b"authorization", authorization(other, stream))) == 404
            unknown = encoded(b"u" * 32)
            assert await refused(home, unknown, (b"authorization", authorization(me, unknown))) == 404
            async with hand.stream(stream) as carried:
                assert b"HELLO" in await carried.receive()
                assert await refused(home, stream, (b"authorization", proof)) == 404, "an id is good once"
                await carried.send(b"OK\n")
                assert await until(client, b"\n") == b"OK\n"
        await refusals(home, "never its own")


async def test_an_agent_that_comes_too_late_finds_nobody(tmp_path: Path) -> None:
    async with site(tmp_path, limits={"dial_timeout": "1s"}) as home:
        me = await enrolled(home)
        async with by_hand(home, me) as hand:
            client = await home.login()
            stream = (await hand.order()).stream
            assert b"prod: the agent relay does not answer" in await rest(client)
            assert await refused(home, stream, (b"authorization", authorization(me, stream))) == 404


async def test_what_an_agent_is_asked_for_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "MAX_WAITING", 1)
    async with site(tmp_path) as home, by_hand(home, await enrolled(home)) as hand:
        await home.login()
        await hand.order()
        assert b"prod: the agent relay has too much to do" in await rest(await home.login())


# -- enrolment ---------------------------------------------------------------------------------------------


def body(key: Ed25519PrivateKey, token: str) -> dict[str, str]:
    proof = signed(key, ENROLL, "", "", token_hash(token))
    return {"key": encoded(key.public_key().public_bytes_raw()), "proof": encoded(proof)}


async def test_enrolment_needs_a_good_token_and_a_proven_key(tmp_path: Path) -> None:
    key, path = Ed25519PrivateKey.generate(), "/api/v1/agent/enroll"
    async with (
        site(tmp_path) as home,
        httpx2.AsyncClient(base_url=url(home), verify=trusting(home)) as client,
    ):
        token, used = await invited(home), await invited(home, "used")
        nowhere = await invited(home, "nowhere", ["gone"])
        bearer = {"authorization": f"Bearer {used}"}
        assert (await client.post(path, json=body(key, used), headers=bearer)).status_code == 200
        old = await invited(home, "old", ttl=0)
        again = Ed25519PrivateKey.generate()
        for bad in (used, old, nowhere):
            headers = {"authorization": f"Bearer {bad}"}
            answer = await client.post(path, json=body(again, bad), headers=headers)
            assert answer.status_code == 401
            assert "not good, or not any more" in answer.json()["detail"]
        good = {"authorization": f"Bearer {token}"}
        unproven = {**body(again, token), "proof": body(key, token)["proof"]}
        assert (await client.post(path, json=unproven, headers=good)).status_code == 401
        replayed = {**body(again, token), "proof": body(again, used)["proof"]}
        answer = await client.post(path, json=replayed, headers=good)
        assert answer.status_code in (401, 429)
        assert Roster(home.gateway.config.data_dir).read().agents.keys() == {"used"}
        for word in ("used already", "expired", "`via: agent` any more", "was not proven"):
            await refusals(home, word)


async def test_guessing_tokens_is_slowed_down_and_shuts_out_nobody_else(tmp_path: Path) -> None:
    key, path = Ed25519PrivateKey.generate(), "/api/v1/agent/enroll"
    async with (
        site(tmp_path) as home,
        httpx2.AsyncClient(base_url=url(home), verify=trusting(home)) as client,
    ):
        me = await enrolled(home)
        assert (await client.post(path, json=body(key, "x"))).status_code == 401
        for _ in range(FREE_ATTEMPTS - 1):
            bad = new_token()
            headers = {"authorization": f"Bearer {bad}"}
            assert (await client.post(path, json=body(key, bad), headers=headers)).status_code == 401
        token = await invited(home, "other")
        headers = {"authorization": f"Bearer {token}"}
        answer = await client.post(path, json=body(key, token), headers=headers)
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
        async with by_hand(home, me):  # agents behind that address, and people, are heard
            assert home.gateway.guard.wait("127.0.0.1", "", trio.current_time()) == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"[]", 400), (b"{}", 400), (b'{"key":"AAAA","proof":"AAAA"}', 400), (b" " * 5000, 413)],
)
async def test_an_enrolment_that_is_none(tmp_path: Path, content: bytes, status: int) -> None:
    async with (
        site(tmp_path) as home,
        httpx2.AsyncClient(base_url=url(home), verify=trusting(home)) as client,
    ):
        headers = {"authorization": f"Bearer {await invited(home)}"}
        answer = await client.post("/api/v1/agent/enroll", content=content, headers=headers)
        assert answer.status_code == status
        assert not Roster(home.gateway.config.data_dir).read().agents


async def test_a_list_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    async with site(tmp_path) as home:
        me = await enrolled(home)
        async with by_hand(home, me) as hand:
            client = await home.login()
            order = await hand.order()
            async with hand.stream(order.stream) as stream:
                assert b"HELLO" in await stream.receive()
                await stream.send(b"OK\n")
                assert await until(client, b"\n") == b"OK\n"
                Roster(home.gateway.config.data_dir).path.chmod(0o666)
                assert b"cannot tell whether its agents still stand" in await rest(client)
            assert await turned_away(hand.control) == reception.UNAVAILABLE
        async with knocking(home) as (messages, challenge):
            signature = signed(me.key, CONTROL, challenge.gateway, me.agent, challenge.nonce)
            await messages.send(Proof(me.agent, signature).as_bytes())
            assert await turned_away(messages) == reception.UNAVAILABLE
        assert b"cannot tell which agents lead there" in await rest(await home.login())
        assert await refused(home, "x" * 43, (b"authorization", authorization(me, "x" * 43))) == 503
        async with httpx2.AsyncClient(base_url=url(home), verify=trusting(home)) as http:
            token = {"authorization": f"Bearer {new_token()}"}
            answer = await http.post("/api/v1/agent/enroll", json=body(me.key, "x"), headers=token)
            assert answer.status_code == 503
