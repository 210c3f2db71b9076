"""Wires are read when something is there, by one task for all; each session keeps its own errors and cancellation."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from recgate.readiness import MAX_LATER, Held, Later, Readiness
from recgate.wire import MAX_READ, SMALL, Wire


@asynccontextmanager
async def served() -> AsyncIterator[Readiness]:
    readiness = Readiness()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.run)
        yield readiness
        nursery.cancel_scope.cancel()


def pair() -> tuple[Wire, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return Wire(ours), theirs


def until_end(got: bytearray):
    def step(data: bytes, /) -> object:
        got.extend(data)
        return None if data else "end"

    return step


async def test_everything_arrives_in_order_and_the_end_behind_it() -> None:
    data = bytes(range(256)) * 16_000  # 4 MB: many full buffers
    wire, theirs = pair()
    got = bytearray()
    async with served() as readiness:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    view = memoryview(data)
                    while view:
                        try:
                            view = view[theirs.send(view) :]
                        except BlockingIOError:
                            await trio.lowlevel.wait_writable(theirs)
                    theirs.shutdown(socket.SHUT_WR)

                nursery.start_soon(send)
                assert await readiness.read(wire, until_end(got)) == "end"
    assert bytes(got) == data
    wire.close()
    theirs.close()


async def test_data_and_end_that_come_together_are_both_seen() -> None:
    for size in (1, MAX_READ // 2):
        wire, theirs = pair()
        got = bytearray()
        async with served() as readiness:
            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:

                    async def read(wire: Wire = wire, got: bytearray = got) -> None:
                        await readiness.read(wire, until_end(got))

                    nursery.start_soon(read)
                    await trio.testing.wait_all_tasks_blocked()
                    theirs.send(b"x" * size)
                    theirs.close()  # before the reader had its turn: one edge for both
        assert got == b"x" * len(got)
        assert got
        wire.close()


async def test_an_error_is_raised_where_the_wire_is_read_and_nowhere_else() -> None:
    one, theirs_one = pair()
    two, theirs_two = pair()

    def explode(data: bytes, /) -> object:
        raise ZeroDivisionError

    got = bytearray()
    async with served() as readiness:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:

                async def breaks() -> None:
                    with pytest.raises(ZeroDivisionError):
                        await readiness.read(one, explode)

                async def goes_on() -> None:
                    await readiness.read(two, until_end(got))

                nursery.start_soon(breaks)
                nursery.start_soon(goes_on)
                await trio.testing.wait_all_tasks_blocked()
                theirs_one.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
                theirs_two.send(b"still")
                theirs_two.close()
    assert got == b"still"
    theirs_one.close()
    one.close()
    two.close()


async def test_a_cancelled_read_gives_nothing_away() -> None:
    wire, theirs = pair()
    got = bytearray()
    async with served() as readiness:
        with trio.move_on_after(0.01):
            await readiness.read(wire, until_end(got))
        theirs.send(b"later")
        theirs.close()
        with trio.fail_after(10):
            assert await readiness.read(wire, until_end(got)) == "end"
    assert got == b"later"
    wire.close()


async def test_a_busy_wire_leaves_others_their_turn() -> None:
    wire, theirs = pair()
    turns = 0

    def busy(data: bytes, /) -> object:
        nonlocal turns
        turns += 1
        theirs.send(b"more")
        return "enough" if turns >= 100 else None

    async with served() as readiness:
        theirs.send(b"start")
        seen: list[int] = []

        async def other() -> None:
            while turns < 100:
                seen.append(turns)
                await trio.lowlevel.checkpoint()

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
                await readiness.read(wire, busy)
    assert len(set(seen)) > 2
    theirs.close()
    wire.close()


async def test_what_is_left_for_later_comes_after_everything_ready_was_read() -> None:
    done: list[str] = []

    def step(name: str):
        def send() -> object:
            done.append(f"send {name}")
            return None

        later = Later(send)

        def read(data: bytes, /) -> object:
            done.append(f"read {name}")
            return later if data else "end"

        return read

    wires = {name: pair() for name in "abc"}
    async with served() as readiness:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for name, (wire, _) in wires.items():
                    nursery.start_soon(readiness.read, wire, step(name))
                await trio.testing.wait_all_tasks_blocked()
                for _, theirs in wires.values():
                    theirs.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
                assert [each[:4] for each in done] == ["read"] * 3 + ["send"] * 3
                assert sorted(done[3:]) == ["send a", "send b", "send c"]
                for _, theirs in wires.values():
                    theirs.close()
    for wire, _ in wires.values():
        wire.close()


async def test_no_more_than_so_many_sends_wait() -> None:
    waiting = most = 0

    def sent() -> object:
        nonlocal waiting
        waiting -= 1
        return None

    def read(data: bytes, /) -> object:
        nonlocal waiting, most
        if not data:
            return "end"
        waiting += 1
        most = max(most, waiting)
        return Later(sent)

    wires = [pair() for _ in range(MAX_LATER + 10)]
    async with served() as readiness:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for wire, _ in wires:
                    nursery.start_soon(readiness.read, wire, read)
                await trio.testing.wait_all_tasks_blocked()
                for _, theirs in wires:
                    theirs.send(b"x")
                    theirs.close()
    assert (most, waiting) == (MAX_LATER, 0)
    for wire, _ in wires:
        wire.close()


async def test_what_comes_of_a_later_send_goes_to_the_task_that_reads() -> None:
    wires = {name: pair() for name in ("breaks", "waits", "goes on")}
    got: dict[str, object] = {}

    def explode() -> object:
        raise ZeroDivisionError

    outcomes = {"breaks": explode, "waits": lambda: "behind", "goes on": lambda: None}

    async def reads(readiness: Readiness, name: str) -> None:
        later = Later(outcomes[name])
        try:
            got[name] = await readiness.read(wires[name][0], lambda data: later if data else "end")
        except ZeroDivisionError as exc:
            got[name] = exc

    async with served() as readiness:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for name in wires:
                    nursery.start_soon(reads, readiness, name)
                await trio.testing.wait_all_tasks_blocked()
                for _, theirs in wires.values():
                    theirs.send(b"x")
                await trio.testing.wait_all_tasks_blocked()
                assert isinstance(got["breaks"], ZeroDivisionError)
                assert (got["waits"], "goes on" in got) == ("behind", False)
                for _, theirs in wires.values():
                    theirs.close()
    assert got["goes on"] == "end"
    for wire, _ in wires.values():
        wire.close()


async def test_what_is_there_before_the_wait_is_sent_at_once() -> None:
    wire, theirs = pair()
    theirs.send(b"x")
    async with served() as readiness:
        with trio.fail_after(10):
            assert await readiness.read(wire, lambda _: Later(lambda: "sent")) == "sent"
    theirs.close()
    wire.close()


async def test_who_was_read_twice_in_one_round_is_resumed_once() -> None:
    wire, theirs = pair()
    sizes: list[int] = []
    sends = 0

    def send() -> object:
        nonlocal sends
        sends += 1
        return "behind" if sends > 1 else None

    def read(data: bytes, /) -> object:
        sizes.append(len(data))
        if len(sizes) < 3:
            theirs.send(bytes(SMALL))  # an edge, and a full read that is come back for without one
        return Later(send)

    async with served() as readiness:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(readiness.read, wire, read)
                await trio.testing.wait_all_tasks_blocked()
                theirs.send(bytes(SMALL))
    assert (sizes, sends) == ([SMALL] * 3, 3)
    theirs.close()
    wire.close()


class Disk:
    """What a read waits for: `later` puts it off, `let` finishes what was put off."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.got: list[bytes] = []
        self._data = b""

    def later(self, data: bytes, /) -> object:
        self._data = data
        return Held(self.calls.append, self._finish)

    def _finish(self) -> object:
        self.got.append(self._data)
        if self._data == b"explode":
            raise ValueError("explode")
        return None if self._data else "end"

    def let(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()

    async def until_asked(self) -> None:
        with trio.fail_after(10):
            while not self.calls:
                await trio.testing.wait_all_tasks_blocked()


async def test_a_read_that_is_finished_later_holds_back_the_next_and_loses_nothing() -> None:
    """What comes meanwhile makes no new edge: it is read when the first is finished, the end as well."""
    wire, theirs = pair()
    disk = Disk()
    async with served() as readiness:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(readiness.read, wire, disk.later)
                await trio.testing.wait_all_tasks_blocked()
                theirs.send(b"one")
                await disk.until_asked()
                theirs.send(b"two")
                await trio.testing.wait_all_tasks_blocked()
                assert disk.got == []
                disk.let()
                await disk.until_asked()
                assert disk.got == [b"one"]
                disk.let()
                await trio.testing.wait_all_tasks_blocked()
                theirs.send(b"three")
                await disk.until_asked()
                theirs.close()
                await trio.testing.wait_all_tasks_blocked()
                disk.let()
                await disk.until_asked()
                disk.let()
    assert disk.got == [b"one", b"two", b"three", b""]
    wire.close()


async def test_data_and_end_in_one_edge_are_both_read_when_the_first_is_finished_later() -> None:
    wire, theirs = pair()
    disk = Disk()
    async with served() as readiness:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(readiness.read, wire, disk.later)
                await trio.testing.wait_all_tasks_blocked()
                theirs.send(b"last words")
                theirs.close()
                for _ in range(2):
                    await disk.until_asked()
                    disk.let()
    assert disk.got == [b"last words", b""]
    wire.close()


async def test_what_goes_wrong_later_is_raised_where_the_read_was_made() -> None:
    wire, theirs = pair()
    disk = Disk()
    async with served() as readiness:

        async def explodes() -> None:
            with pytest.raises(ValueError, match="explode"):
                await readiness.read(wire, disk.later)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(explodes)
            await trio.testing.wait_all_tasks_blocked()
            theirs.send(b"explode")
            await disk.until_asked()
            disk.let()
    theirs.close()
    wire.close()


async def test_a_cancelled_read_is_not_finished_later() -> None:
    wire, theirs = pair()
    disk = Disk()
    async with served() as readiness:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.read, wire, disk.later)
            await trio.testing.wait_all_tasks_blocked()
            theirs.send(b"in vain")
            await disk.until_asked()
            nursery.cancel_scope.cancel()
        disk.let()
        assert disk.got == []
        with trio.fail_after(10):
            got = bytearray()
            theirs.send(b"read again")
            theirs.close()
            assert await readiness.read(wire, until_end(got)) == "end"
    assert got == b"read again"
    wire.close()


async def test_a_watched_descriptor_is_served_between_wires_and_what_is_put_off_comes_after_them() -> None:
    wire, theirs = pair()
    counter = os.eventfd(0, os.EFD_NONBLOCK)
    said: list[str] = []
    async with served() as readiness:

        def counted() -> None:
            os.eventfd_read(counter)
            readiness.after(lambda: said.append("after"))
            said.append("counted")

        def step(data: bytes, /) -> object:
            readiness.after(lambda: said.append("after"))
            said.append("read")
            return None if data else "end"

        readiness.watch(counter, counted)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.read, wire, step)
            await trio.testing.wait_all_tasks_blocked()
            theirs.send(b"x")
            os.eventfd_write(counter, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(said[:2]) == ["counted", "read"]
            assert said[2:] == ["after", "after"]
            readiness.unwatch(counter)
            os.eventfd_write(counter, 1)
            theirs.close()
        assert "counted" not in said[4:]
        readiness.after(lambda: said.append("outside"))
        assert said[-1] != "outside"
        await trio.testing.wait_all_tasks_blocked()
        assert said[-1] == "outside"
    os.close(counter)
    wire.close()
