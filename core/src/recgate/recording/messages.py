"""What the gateway and its sealing worker say to each other: CBOR maps over two pipes, each with its length."""

from __future__ import annotations

import os
from typing import Final, cast

import cbor2
import trio

__all__ = ["MAX_MESSAGE", "pack_message", "read_message", "receive_message"]

# The largest is the first, which carries the configuration.
MAX_MESSAGE: Final = 16 << 20
_LENGTH: Final = 4

Message = dict[str, object]


def pack_message(message: Message) -> bytes:
    """Encode a message with its length in front."""
    body = cbor2.dumps(message)
    return len(body).to_bytes(_LENGTH, "big") + body


def read_message(descriptor: int) -> Message | None:
    """Read one message, blocking; None at the end of the pipe."""
    head = _read_exactly(descriptor, _LENGTH)
    if head is None:
        return None
    body = _read_exactly(descriptor, min(int.from_bytes(head, "big"), MAX_MESSAGE))
    return None if body is None else cast("Message", cbor2.loads(body))


def _read_exactly(descriptor: int, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        more = os.read(descriptor, count - len(data))
        if not more:
            return None
        data += more
    return bytes(data)


async def receive_message(stream: trio.abc.ReceiveStream, buffer: bytearray) -> Message | None:
    """Receive one message; None at the end of the stream. `buffer` keeps what came beyond it."""
    while True:
        size = int.from_bytes(buffer[:_LENGTH], "big") if len(buffer) >= _LENGTH else MAX_MESSAGE
        if size > MAX_MESSAGE:
            return None
        if len(buffer) >= _LENGTH + size:
            body = bytes(buffer[_LENGTH : _LENGTH + size])
            del buffer[: _LENGTH + size]
            return cast("Message", cbor2.loads(body))
        more = await stream.receive_some()
        if not more:
            return None
        buffer += more
