"""Every way in has one decision point (law 5), from either side, and what waits for the target has a limit (law 6)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import trio
import trio.testing
import trio_asyncio
from asyncssh.constants import MSG_GLOBAL_REQUEST
from asyncssh.packet import Boolean, String, UInt32

from plugins.ssh.tests.gate import TOKEN, Gate
from plugins.ssh.tests.rawclient import raw_client
from recgate.model import Credential, Secret, TargetInfo
from recgate_ssh.options import SshTargetOptions
from recgate_ssh.passage import MAX_WAITING
from recgate_ssh.wire import link
from tests.peers.sshd import keygen
from tests.peers.sshserver import PasswordServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PasswordServer]:
    async with trio.open_nursery() as nursery:
        server = PasswordServer(keygen(tmp_path / "server_host_key"), "app", "correct horse")
        await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "kind",
    [
        "x11",
        "auth-agent@openssh.com",
        "forwarded-tcpip",
        "direct-tcpip",
        "session",
        "forwarded-streamlocal@openssh.com",
    ],
)
async def test_a_target_opens_no_channel_that_nobody_asked_for(gate: Gate, server: PasswordServer, kind: str):
    """Threat 34: what a hostile target asks of the client, it is refused, and that stands in the recording."""
    options = SshTargetOptions.model_validate({"host_key": server.host_key_line})
    gate.target = TargetInfo("prod-web", "ssh", "127.0.0.1", server.port, options)
    gate.credential = Credential("app", Secret("correct horse"))
    done = await gate.ssh(f"open {kind}", options=("-A",))

    assert done.stdout == b"refused 1\n"
    (note,) = (await gate.sealed()).bodies("note")
    assert note["text"].startswith(f"refused {'' if kind == 'forwarded-tcpip' else 'channel type '}{kind}")


@pytest.mark.parametrize(
    "name", ["streamlocal-forward@openssh.com", "unheard-of", "hostkeys-prove-00@openssh.com"]
)
async def test_a_global_request_that_is_not_known_is_refused_and_noted(gate: Gate, name: str):
    async with raw_client(gate.port, password=TOKEN) as client:
        kind, _ = await asked(client, name)
        assert kind == 82  # SSH_MSG_REQUEST_FAILURE
    door = await gate.sealed()
    assert door.bodies("note") == [{"text": f"refused global request {name}"}]


@pytest.mark.parametrize("name", ["x-unheard-of", "xon-xoff", "exit-status"])
async def test_a_channel_request_that_is_not_known_is_refused_and_noted(gate: Gate, name: str):
    async with raw_client(gate.port, password=TOKEN) as client:
        channel = await open_session(client)
        channel._send_request(name.encode(), UInt32(1))
        await gate.until(lambda: bool(gate.door.bodies("note")))
    assert gate.door.bodies("note") == [{"text": f"refused channel request {name}"}]
    await gate.sealed()


async def test_a_request_that_is_cut_short_ends_the_connection(gate: Gate):
    async with raw_client(gate.port, password=TOKEN) as client:
        channel = await open_session(client)
        channel._send_request(b"exec", b"\0\0\0\xff", want_reply=True)
        await gate.until(lambda: client.ended is not None)
    door = await gate.sealed()
    assert "cut short" in door.reason
    assert not door.bodies("request")


async def test_channels_have_a_limit(gate: Gate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "MAX_CHANNELS", 3)
    async with raw_client(gate.port, password=TOKEN) as client:
        for _ in range(3):
            await open_session(client)
        with pytest.raises(asyncssh.ChannelOpenError, match="Too many channels"):
            await open_session(client)
    assert len((await gate.sealed()).bodies("open")) == 3


async def test_what_waits_for_the_target_has_a_limit(gate: Gate):
    gate.target = TargetInfo("prod-web", "ssh", "127.0.0.1", 1, SshTargetOptions())
    opening = trio.Event()
    gate.opening = opening
    async with raw_client(gate.port, password=TOKEN) as client:
        for _ in range(MAX_WAITING + 1):
            client.send_packet(MSG_GLOBAL_REQUEST, String("x"), Boolean(False))
        assert (await gate.sealed()).reason == "limit"


async def test_no_more_sessions_means_no_more(gate: Gate):
    async with raw_client(gate.port, password=TOKEN) as client:
        client.send_packet(MSG_GLOBAL_REQUEST, String("no-more-sessions@openssh.com"), Boolean(False))
        with pytest.raises(asyncssh.ChannelOpenError, match="not allowed"):
            await open_session(client)
    assert gate.door.bodies("note") == [{"text": "refused channel type session of the client"}]
    assert not (await gate.sealed()).bodies("open")


async def open_session(client: Any) -> Any:
    """Open a channel of the client's own, with nothing run in it."""
    channel = client.create_tcp_channel()
    await trio_asyncio.aio_as_trio(channel._open)(b"session")
    return channel


async def asked(client: Any, name: str) -> Any:
    return await trio_asyncio.aio_as_trio(client._make_global_request)(name.encode())
