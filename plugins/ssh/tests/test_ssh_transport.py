"""The transport between trio's socket and asyncio's protocol: order, back-pressure, ends."""

import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from recgate_ssh.wire.transport import HIGH_WATER, MAX_UNSENT, PROMPT, Pause, SocketTransport


class Protocol:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.told: list[str] = []
        self.transport: SocketTransport | None = None

    def connection_made(self, transport: SocketTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None = None) -> None:
        self.told.append(f"lost {type(exc).__name__}")

    def data_received(self, data: memoryview) -> None:
        self.got += data

    def eof_received(self) -> None:
        self.told.append("eof")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    yield near, far
    near.close()
    far.close()


Ends = tuple[socket.socket, socket.socket]


def running(nursery: trio.Nursery, near: socket.socket) -> tuple[Protocol, SocketTransport]:
    protocol = Protocol()
    transport = SocketTransport(near, protocol, nursery.start_soon)  # pyright: ignore[reportArgumentType]
    nursery.start_soon(transport.run)
    return protocol, transport


async def test_bytes_arrive_and_then_the_end(nursery: trio.Nursery, ends: Ends):
    protocol, _ = running(nursery, ends[0])
    ends[1].send(b"one")
    await trio.testing.wait_all_tasks_blocked()
    ends[1].send(b" two")
    await trio.testing.wait_all_tasks_blocked()
    ends[1].shutdown(socket.SHUT_WR)
    await trio.testing.wait_all_tasks_blocked()

    assert bytes(protocol.got) == b"one two"
    assert protocol.told == ["eof"]


async def test_nothing_is_read_while_paused(nursery: trio.Nursery, ends: Ends):
    protocol, transport = running(nursery, ends[0])
    await trio.testing.wait_all_tasks_blocked()
    transport.pause_reading()
    ends[1].send(b"first is read, since the wait for it had begun")
    await trio.testing.wait_all_tasks_blocked()
    held = len(protocol.got)
    ends[1].send(b"second")
    await trio.testing.wait_all_tasks_blocked()
    assert len(protocol.got) == held
    transport.resume_reading()
    await trio.testing.wait_all_tasks_blocked()
    assert protocol.got.endswith(b"second")


async def test_what_the_kernel_does_not_take_is_kept_in_order_and_the_writer_told(
    nursery: trio.Nursery, ends: Ends
):
    protocol, transport = running(nursery, ends[0])
    await trio.testing.wait_all_tasks_blocked()
    data = bytes(range(256)) * 16
    count = 0
    while "pause" not in protocol.told:
        scratch = bytearray(data)
        transport.write(memoryview(scratch))
        scratch[:] = bytes(len(scratch))  # the caller may use its buffer again
        count += 1
    assert transport.get_write_buffer_size() > HIGH_WATER
    got = bytearray()
    while len(got) < count * len(data):
        await trio.lowlevel.wait_readable(ends[1])
        got += ends[1].recv(1 << 20)
    await trio.testing.wait_all_tasks_blocked()

    assert bytes(got) == data * count
    assert protocol.told == ["pause", "resume"]
    assert transport.get_write_buffer_size() == 0


async def test_a_peer_that_is_gone_is_told_once(nursery: trio.Nursery, ends: Ends):
    protocol, transport = running(nursery, ends[0])
    await trio.testing.wait_all_tasks_blocked()
    ends[1].close()
    transport.write(b"into the void")
    transport.write(b"into the void")

    assert protocol.told == ["lost BrokenPipeError"]
    assert transport.is_closing()


async def test_aborting_ends_the_task_and_drops_the_rest(ends: Ends):
    async with trio.open_nursery() as nursery:
        _, transport = running(nursery, ends[0])
        await trio.testing.wait_all_tasks_blocked()
        transport.write(bytes(8 << 20))
        assert transport.get_write_buffer_size()
        transport.abort()
        transport.abort()
        assert transport.get_write_buffer_size() == 0
    assert transport.get_extra_info("socket") is ends[0]
    assert transport.get_extra_info("nothing", 7) == 7


async def test_reading_goes_on_when_no_reason_against_it_is_left(nursery: trio.Nursery, ends: Ends):
    protocol, transport = running(nursery, ends[0])
    await trio.testing.wait_all_tasks_blocked()
    ends[1].send(b"one")
    transport.pause_reading(Pause.OTHER_LEG)
    transport.pause_reading(Pause.HELD)
    await trio.testing.wait_all_tasks_blocked()
    held = len(protocol.got)
    ends[1].send(b"two")
    transport.resume_reading(Pause.HELD)
    await trio.testing.wait_all_tasks_blocked()
    assert len(protocol.got) == held
    transport.resume_reading(Pause.OTHER_LEG)
    await trio.testing.wait_all_tasks_blocked()
    assert bytes(protocol.got) == b"onetwo"


async def test_threat_32_a_peer_that_asks_and_does_not_read_the_answers_is_not_read(
    nursery: trio.Nursery, ends: Ends, monkeypatch: pytest.MonkeyPatch
):
    protocol, transport = running(nursery, ends[0])
    monkeypatch.setattr(protocol, "data_received", lambda data: transport.write(bytes(1 << 20)))
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(64):
        ends[1].send(b"?")
        await trio.testing.wait_all_tasks_blocked()
    assert MAX_UNSENT < transport.get_write_buffer_size() <= MAX_UNSENT + (1 << 20)
    while not transport.is_reading():
        await trio.lowlevel.wait_readable(ends[1])
        ends[1].recv(1 << 20)
        await trio.testing.wait_all_tasks_blocked()
    assert transport.get_write_buffer_size() < MAX_UNSENT


class Noting(socket.socket):
    """Notes which options are set."""

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self.noted: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]
        self.noted.append((level, option, value))
        super().setsockopt(level, option, value)


async def test_what_is_said_during_set_up_is_acknowledged_at_once_and_later_by_answers(nursery: trio.Nursery):
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with far, Noting(accepted.detach()) as near:
        near.setblocking(False)
        protocol, _ = running(nursery, near)
        for number in range(PROMPT + 5):
            far.send(b"x")
            with trio.fail_after(5):
                while len(protocol.got) <= number:
                    await trio.testing.wait_all_tasks_blocked()
                    await trio.lowlevel.checkpoint()

        assert near.noted == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)] * PROMPT
        nursery.cancel_scope.cancel()
