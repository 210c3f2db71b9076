"""Messages between gateway and worker, however the pipe cuts them."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing

from recgate.recording.messages import MAX_MESSAGE, pack_message, read_message, receive_message

MESSAGES = [{"id": 1, "do": "seal"}, {}, {"argument": b"x" * 70_000}]


async def test_messages_arrive_whole_at_any_cut():
    data = b"".join(map(pack_message, MESSAGES))
    for step in (1, 7, 4096, len(data)):
        send, receive = trio.testing.memory_stream_one_way_pair()
        buffer = bytearray()
        got = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_in_steps, send, data, step)
            while (message := await receive_message(receive, buffer)) is not None:
                got.append(message)
        assert got == MESSAGES


async def send_in_steps(stream, data, step):
    for start in range(0, len(data), step):
        await stream.send_all(data[start : start + step])
    await stream.aclose()


@pytest.mark.parametrize("cut", [1, 5])
async def test_half_a_message_is_the_end(cut):
    send, receive = trio.testing.memory_stream_one_way_pair()
    await send.send_all(pack_message(MESSAGES[0])[:-cut])
    await send.aclose()
    assert await receive_message(receive, bytearray()) is None


async def test_a_message_above_the_limit_is_the_end():
    send, receive = trio.testing.memory_stream_one_way_pair()
    await send.send_all((MAX_MESSAGE + 1).to_bytes(4, "big"))
    assert await receive_message(receive, bytearray()) is None


def test_messages_are_read_from_a_pipe():
    reading, writing = os.pipe()
    os.write(writing, pack_message(MESSAGES[0]) + pack_message(MESSAGES[1]) + b"\0\0")
    os.close(writing)
    assert [read_message(reading), read_message(reading), read_message(reading)] == [*MESSAGES[:2], None]
    os.close(reading)
