"""Bytes between a stream and a WebSocket: whole, in both directions, with the end of each direction told."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import pytest
import trio

from recgate.carrying import CHUNK, MAX_CLOSE_REASON, AcceptedMessages, Parted, inward, outward


@dataclass
class Scripted:
    """A WebSocket whose messages the test wrote."""

    coming: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.coming:
            raise Parted(1000)
        return self.coming.pop(0)

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(data)


def pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    near, far = socket.socketpair()
    streams = [trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in (near, far)]
    return streams[0], streams[1]


async def test_what_a_stream_says_is_sent_and_its_end_too() -> None:
    near, far = pair()
    messages = Scripted()
    data = bytes(range(256)) * 1024
    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(outward, near, messages)
        await far.send_all(data)
        await far.send_eof()
    assert b"".join(messages.sent) == data
    assert messages.sent[-1] == b""
    assert max(map(len, messages.sent)) <= CHUNK


async def test_what_comes_is_given_and_its_end_too() -> None:
    near, far = pair()
    async with near, far:
        await inward(near, Scripted([b"one ", b"two", b"", b"never"]))
        said = b""
        while more := await far.receive_some():
            said += more
        assert said == b"one two"


async def test_a_stream_that_broke_has_ended() -> None:
    near, far = pair()
    messages = Scripted([b"x", b"y", b""])
    async with near:
        await far.aclose()
        await outward(near, messages)
        await inward(near, messages)
    assert messages.sent == [b""]
    assert messages.coming == []


async def test_a_websocket_that_is_gone_is_said_so() -> None:
    near, far = pair()
    async with near, far:
        with pytest.raises(Parted, match="the tunnel was closed"):
            await inward(near, Scripted([b"x"]))


async def test_the_accepting_end_takes_bytes_alone() -> None:
    coming: list[dict[str, object]] = [
        {"type": "websocket.receive", "bytes": b"ok"},
        {"type": "websocket.receive", "bytes": None, "text": "no"},
        {"type": "websocket.disconnect", "code": 1001},
    ]
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        return coming.pop(0)

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    messages = AcceptedMessages(receive, send)  # type: ignore[arg-type]
    assert await messages.receive() == b"ok"
    with pytest.raises(Parted, match="binary"):
        await messages.receive()
    with pytest.raises(Parted) as gone:
        await messages.receive()
    assert gone.value.code == 1001
    await messages.send(b"out")
    await messages.close(1008, "é" * MAX_CLOSE_REASON)
    assert sent[0] == {"type": "websocket.send", "bytes": b"out"}
    assert len(str(sent[1]["reason"]).encode()) <= MAX_CLOSE_REASON
