"""Ports, agent and X11: refused unless the target's options open them, and then recorded as channels (threat 13)."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from plugins.ssh.tests.gate import Door, Gate, open_gate
from plugins.ssh.tests.reading import entries
from recgate.decisions import ALLOW, Decision
from recgate.sansio.frames import CLIENT, UPSTREAM
from tests.peers.sshd import Sshd, free_port


@pytest.fixture
async def echo(nursery: trio.Nursery) -> int:
    """A TCP service behind the target that sends back what it gets, in capitals."""

    async def serve(stream: trio.SocketStream) -> None:
        async for part in stream:
            await stream.send_all(part.upper())

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return listeners[0].socket.getsockname()[1]


async def talk(port: int, data: bytes) -> bytes:
    """Send to a port that may not be listened on yet, and give what comes back."""
    with trio.fail_after(30):
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                break
            except OSError:
                await trio.sleep(0.02)
        async with stream:
            await stream.send_all(data)
            await stream.send_eof()
            got = b""
            async for part in stream:
                got += part
            return got


def forwards(door: Door) -> list[dict[str, Any]]:
    return [dict(entry.body) for entry in entries(door.frames) if entry.kind == "forward"]


async def test_a_local_forward_is_refused_by_default(gate: Gate, echo: int):
    done = await gate.ssh(options=("-W", f"127.0.0.1:{echo}"), stdin=b"hello")

    assert done.stdout == b""
    assert b"administratively prohibited: forward is not allowed on prod-web" in done.stderr
    door = await gate.sealed()
    (decision,) = door.bodies("decision")
    assert (decision["kind"], decision["effect"], decision["text"]) == (
        "forward",
        "deny",
        f"127.0.0.1:{echo}",
    )
    assert door.data(CLIENT) == b""


async def test_a_local_forward_that_is_open_is_a_channel(sshd: Sshd, tmp_path: Path, echo: int):
    async with open_gate(tmp_path / "gate", sshd, forward=f"127.0.0.1:{echo}") as gate:
        done = await gate.ssh(options=("-W", f"127.0.0.1:{echo}"), stdin=b"hello")

        assert done.stdout == b"HELLO"
        door = await gate.sealed()
        assert (door.data(CLIENT), door.data(UPSTREAM)) == (b"hello", b"HELLO")
        (forward,) = forwards(door)
        assert forward["direction"] == "local"
        assert (forward["host"], forward["port"]) == ("127.0.0.1", echo)
        assert (forward["bytes_client"], forward["bytes_upstream"]) == (5, 5)


async def test_another_address_than_the_open_one_is_refused(sshd: Sshd, tmp_path: Path, echo: int):
    async with open_gate(tmp_path / "gate", sshd, forward=f"localhost:{echo}") as gate:
        done = await gate.ssh(options=("-W", f"127.0.0.1:{echo}"), stdin=b"hello")

        assert done.stdout == b""


async def test_a_policy_may_close_what_the_options_open(sshd: Sshd, tmp_path: Path, echo: int):
    async with open_gate(tmp_path / "gate", sshd, forward="*:*") as gate:
        gate.decide = lambda request: (
            Decision.deny("not today", rule="r") if request.request.kind == "forward" else ALLOW
        )
        done = await gate.ssh(options=("-W", f"127.0.0.1:{echo}"), stdin=b"hello")

        assert done.stdout == b""
        assert b"not today" in done.stderr


async def test_a_forward_to_nowhere_gives_the_targets_own_answer(sshd: Sshd, tmp_path: Path):
    async with open_gate(tmp_path / "gate", sshd, forward="*:*") as gate:
        done = await gate.ssh(options=("-W", f"127.0.0.1:{free_port()}"), stdin=b"hello")

        assert b"connect failed" in done.stderr
        (forward,) = forwards(await gate.sealed())
        assert "error" in forward


async def test_a_remote_forward_is_refused_by_default(gate: Gate):
    done = await gate.ssh("echo in", options=("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"))

    assert done.returncode == 255
    assert b"remote port forwarding failed" in done.stderr.lower()
    assert (await gate.sealed()).bodies("decision")[0]["kind"] == "forward"


async def test_a_remote_forward_that_is_open_carries_connections_back(sshd: Sshd, tmp_path: Path, echo: int):
    port = free_port()
    async with open_gate(tmp_path / "gate", sshd, remote_forward=f"localhost:{port}") as gate:
        line = gate.line("-N", "-R", f"localhost:{port}:127.0.0.1:{echo}", ExitOnForwardFailure="yes")
        async with gate.client(line):
            assert await talk(port, b"back") == b"BACK"
        door = await gate.sealed()
        assert {"type": "tcpip-forward", "host": "localhost", "port": port}.items() <= door.bodies("global")[
            0
        ].items()
        shown = forwards(door)
        assert {"direction": "listen", "host": "localhost", "port": port, "ok": True} in shown
        assert any(each["direction"] == "remote" and each["bytes_upstream"] == 4 for each in shown)


async def test_the_agent_is_not_forwarded(gate: Gate):
    done = await gate.ssh("echo agent: $SSH_AUTH_SOCK", options=("-A",))

    assert done.stdout == b"agent:\n"
    # Without an agent of its own, the client does not ask; here the asking is done for it.
    async with running_agent(gate) as env:
        line = [*gate.line("-A"), "echo agent: $SSH_AUTH_SOCK"]
        done = await gate.run_client(line, env=env)
    assert done.stdout == b"agent:\n"
    door = await gate.sealed(2)
    assert [body["kind"] for body in door.bodies("decision")] == ["agent"]


async def test_x11_is_not_forwarded(gate: Gate, tmp_path: Path):
    xauth = tmp_path / "xauth"
    xauth.write_text("#!/bin/sh\necho 'localhost:0 MIT-MAGIC-COOKIE-1 00112233445566778899aabbccddeeff'\n")
    xauth.chmod(0o755)
    env = {**os.environ, "DISPLAY": "localhost:0"}
    line = [*gate.line("-Y", XAuthLocation=str(xauth)), "echo display: $DISPLAY"]
    done = await gate.run_client(line, env=env)

    assert done.stdout == b"display:\n"
    assert b"X11 forwarding request failed" in done.stderr
    assert [body["kind"] for body in (await gate.sealed()).bodies("decision")] == ["x11"]


async def test_unix_sockets_and_tunnels_are_not_forwarded(gate: Gate, tmp_path: Path):
    local = tmp_path / "socket"
    async with gate.client(gate.line("-N", "-L", f"{local}:/var/run/anything")):
        await gate.until(local.exists)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(local))
            sock.settimeout(20)
            assert await trio.to_thread.run_sync(sock.recv, 1) == b""
    notes = [body["text"] for body in (await gate.sealed()).bodies("note")]
    assert notes == ["refused channel type direct-streamlocal@openssh.com of the client"]


@contextlib.asynccontextmanager
async def running_agent(gate: Gate) -> AsyncIterator[dict[str, str]]:
    """An ssh-agent for the length of a block; gives the environment that points to it."""
    path = gate.directory / "agent"
    async with gate.client(["ssh-agent", "-D", "-a", str(path)]):
        await gate.until(path.exists)
        yield {**os.environ, "SSH_AUTH_SOCK": str(path)}
