"""Bytes of a stream as WebSocket messages, both ways: what tunnels and agents are made of.

Bytes travel in binary messages of at most `CHUNK`; an empty one says that no more follows in its direction, since a
WebSocket has no half-close of its own. Nothing is read before what was read last has been taken: one message is
buffered in each direction, and a slow end slows the other.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

import trio

from recgate.errors import RecgateError
from recgate.httpauth import Receive, Send

__all__ = ["CHUNK", "MAX_CLOSE_REASON", "AcceptedMessages", "Messages", "Parted", "inward", "outward"]

CHUNK: Final = 64 << 10  # bytes of a message
MAX_CLOSE_REASON: Final = 120  # bytes: a close frame holds 125, two of which are its code (RFC 6455 §5.5)


class Parted(RecgateError):
    """The WebSocket is closed: `code` of RFC 6455 §7.4 and the peer's words, if it had any."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason or f"the tunnel was closed ({code})")
        self.code = code
        self.reason = reason


class Messages(Protocol):
    """A WebSocket that is open, from either end."""

    async def receive(self) -> bytes:
        """Give the next binary message. Raises `Parted`."""
        ...

    async def send(self, data: bytes) -> None:
        """Send a binary message. Raises `Parted`."""
        ...


class AcceptedMessages:
    """The gateway's end, by the ASGI messages of a WebSocket that an application has accepted."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def receive(self) -> bytes:
        """Give the next message. Raises `Parted`, also for text, which no tunnel carries."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Parted(int(cast("int", message.get("code", 1005))))
        data = message.get("bytes")
        if not isinstance(data, bytes):
            raise Parted(1003, "tunnels carry binary messages")
        return data

    async def send(self, data: bytes) -> None:
        """Send a message."""
        await self._send({"type": "websocket.send", "bytes": data})

    async def close(self, code: int, reason: str) -> None:
        """Close it with a code and words for people, cut to what a close frame holds."""
        words = reason.encode()[:MAX_CLOSE_REASON].decode("utf-8", "ignore")
        await self._send({"type": "websocket.close", "code": code, "reason": words})


async def outward(stream: trio.abc.HalfCloseableStream, messages: Messages) -> None:
    """Send what the stream gives until it ends, and then say that it ended. Raises `Parted`.

    A stream that breaks has ended: its own peer knows why.
    """
    while True:
        try:
            data = bytes(await stream.receive_some(CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        await messages.send(data)
        if not data:
            return


async def inward(stream: trio.abc.HalfCloseableStream, messages: Messages) -> None:
    """Give to the stream what comes, until the other end says that no more follows. Raises `Parted`.

    What comes for a stream that takes no more is dropped, so that the end of the other direction is still heard.
    """
    taking = True
    while True:
        data = await messages.receive()
        try:
            if not data:
                await stream.send_eof()
                return
            if taking:
                await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if not data:
                return
            taking = False
