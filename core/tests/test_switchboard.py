"""A relay's asks meet the door: TLS towards both sides, and each no in the relay's words."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trio

from recgate.certificates import ServerCertificate
from recgate.errors import AccessDenied, RecgateError, RecordingFailed, UpstreamFailed, VaultFailed
from recgate.keys import GatewayKeys
from recgate.model import TargetInfo
from recgate.pump import Pump
from recgate.sansio.asks import Denied
from recgate.testing.fakes import FakeDoor
from recgate.testing.lineproto import LineRelay, LineTarget
from recgate.wire import Wire

PATIENCE = 10.0


class TlsDoor(FakeDoor):
    """A door with a gateway's certificate."""

    def __init__(self, target: TargetInfo, certificate: ServerCertificate) -> None:
        super().__init__(target)
        self.certificate = certificate

    def server_tls(self, alpn: tuple[str, ...], *, ask_certificate: bool = False) -> ssl.SSLContext:
        return self.certificate.context(alpn)

    def server_binding(self) -> bytes:
        return self.certificate.binding


class FailingDoor(FakeDoor):
    """A door at which one step fails."""

    def __init__(self, step: str, error: RecgateError) -> None:
        super().__init__(TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget()))
        self.step, self.error = step, error

    async def open(self, who, details, tell=None):
        if self.step == "open":
            raise self.error
        return await super().open(who, details)

    async def dial(self) -> socket.socket:
        if self.step == "dial":
            raise self.error
        return await super().dial()


async def run(door: FakeDoor, near: socket.socket) -> str:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.readiness.run)
        with trio.CancelScope() as deadline:
            pump = Pump(LineRelay(), Wire(near), door, deadline)  # pyright: ignore[reportArgumentType]
            await pump.run()
            for wire in pump.wires.values():
                wire.close()
        nursery.cancel_scope.cancel()
    return pump.reason


async def read(stream, ending: bytes) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        while not data.endswith(ending):
            more = await stream.receive_some()
            if not more:
                return data
            data += more
    return data


async def test_tls_to_the_client_comes_before_the_login(tmp_path: Path) -> None:
    keys = GatewayKeys(tmp_path, "gate")
    keys.prepare()
    door = TlsDoor(TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget()), ServerCertificate(keys))
    client, near = socket.socketpair()
    client.setblocking(False)
    door.far.setblocking(False)
    plain = trio.SocketStream(trio.socket.from_stdlib_socket(client))
    far = trio.SocketStream(trio.socket.from_stdlib_socket(door.far))
    reasons: list[str] = []
    async with trio.open_nursery() as nursery:

        async def pump() -> None:
            reasons.append(await run(door, near))

        nursery.start_soon(pump)
        await plain.send_all(b"TLS\n")
        assert await read(plain, b"\n") == b"GO\n"
        context = ssl.create_default_context(cafile=keys.ca_file)
        stream = trio.SSLStream(plain, context, server_hostname="localhost")
        await stream.send_all(b"HELLO prod secret\n")
        assert await read(far, b"\n") == b"HELLO app secret\n"
        await far.send_all(b"OK\n")
        assert await read(stream, b"\n") == b"OK\n"
        await stream.send_all(b"plain\n")
        assert await read(far, b"\n") == b"plain\n"
        assert door.connection.tls is True
        await far.aclose()
        await plain.aclose()
    assert reasons[0] in ("upstream-closed", "client-closed")


@pytest.mark.parametrize(
    ("step", "error", "word", "reason"),
    [
        ("open", AccessDenied("not yours"), b"BYE access: not yours", "access: not yours"),
        ("open", VaultFailed("vault away"), b"BYE vault: no credential could be had", "vault: vault away"),
        (
            "open",
            RecordingFailed("disk full at /x"),
            b"BYE recording: the session cannot be recorded",
            "recording: ",
        ),
        ("dial", UpstreamFailed("no answer"), b"BYE upstream: no answer", "upstream: no answer"),
    ],
)
async def test_each_no_is_said_and_nothing_is_dialled(step, error, word, reason) -> None:
    door = FailingDoor(step, error)
    client, near = socket.socketpair()
    client.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
    await stream.send_all(b"HELLO prod secret\n")
    assert (await run(door, near)).startswith(reason)
    said = await read(stream, b"never")
    assert said.startswith(word)
    assert b"/x" not in said, "where the gateway keeps things is not the client's to know"
    await stream.aclose()
    door.close()


async def test_a_session_can_be_ended_while_its_target_is_dialled() -> None:
    class Hanging(FakeDoor):
        async def dial(self) -> socket.socket:
            assert self.session is not None
            self.session.end(Denied("enough", "killed"))
            await trio.sleep_forever()
            raise AssertionError

    door = Hanging(TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget()))
    client, near = socket.socketpair()
    client.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
    await stream.send_all(b"HELLO prod secret\n")
    with trio.fail_after(PATIENCE):
        assert await run(door, near) == "killed"
    assert (await read(stream, b"never")).startswith(b"BYE killed: enough")
    await stream.aclose()
    door.close()
