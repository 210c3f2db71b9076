"""The little loop that asyncssh runs on: its order, its errors, its end, and how trio's side and asyncio's cross."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from recgate_ssh.wire.loop import Loop, settled


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Loop, list[dict[str, Any]]]]:
    faults: list[dict[str, Any]] = []
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery.start_soon, faults.append)
        nursery.start_soon(loop.run)
        yield loop, faults
        nursery.cancel_scope.cancel()
    loop.close()


async def test_callbacks_run_in_their_order_and_not_at_once():
    seen: list[int] = []
    async with running() as (loop, _):
        loop.call_soon(lambda: (seen.append(1), loop.call_soon(seen.append, 3)))
        loop.call_soon(seen.append, 2)
        loop.call_soon(seen.append, 0).cancel()
        assert seen == []
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [1, 2, 3]


async def test_what_is_ready_can_be_run_without_waiting():
    seen: list[int] = []
    async with running() as (loop, _):
        loop.call_soon(lambda: loop.call_soon(seen.append, 1))
        loop.run_ready()
        assert seen == [1]


async def test_a_callback_that_fails_is_told_and_keeps_no_other_from_running():
    seen: list[int] = []
    async with running() as (loop, faults):
        loop.call_soon(lambda: 1 // 0)
        loop.call_soon(seen.append, 1)
        loop.run_ready()
    assert seen == [1]
    assert [type(fault["exception"]) for fault in faults] == [ZeroDivisionError]


async def test_a_chain_of_callbacks_without_end_keeps_nobody_waiting():
    """Law 6: a session's own loop slows that session alone."""
    async with running() as (loop, _):

        def again() -> None:
            loop.call_soon(again)

        again()
        with trio.fail_after(10):
            for _ in range(100):
                await trio.lowlevel.checkpoint()


async def test_timers_fire_in_time_unless_cancelled(autojump_clock: trio.testing.MockClock):
    seen: list[float] = []
    async with running() as (loop, _):
        started = trio.current_time()
        loop.call_later(2, lambda: seen.append(trio.current_time() - started))
        loop.call_later(1, seen.append, -1.0).cancel()
        loop.call_later(60, seen.append, -2.0)
        over = trio.Event()
        loop.call_later(10, over.set)
        await over.wait()
    assert seen == [pytest.approx(2)]


async def double(number: int) -> int:
    await trio.lowlevel.checkpoint()
    if number < 0:
        raise ValueError(number)
    return 2 * number


async def test_a_task_awaits_what_trio_does():
    async with running() as (loop, faults):

        async def ask() -> int:
            with pytest.raises(ValueError, match="-1"):
                await loop.trio_as_future(double, -1)
            in_a_thread = await loop.run_in_executor(None, int, "1")
            return await loop.trio_as_future(double, 20) + in_a_thread

        assert await settled(loop.create_task(ask())) == 41
    assert faults == []


async def test_cancelling_a_task_cancels_what_it_waits_for_in_trio():
    ended = trio.Event()

    async def forever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with running() as (loop, _):

        async def ask() -> None:
            await loop.trio_as_future(forever)

        task = loop.create_task(ask())
        await trio.testing.wait_all_tasks_blocked()
        task.cancel()
        with trio.fail_after(10):
            await ended.wait()
        with pytest.raises(asyncio.CancelledError):
            await settled(task)


async def test_whoever_stops_waiting_for_a_future_cancels_it():
    async with running() as (loop, _):
        future = loop.create_future()
        with trio.move_on_after(0.01):
            await settled(future)
        assert future.cancelled()


async def test_the_end_ends_the_tasks_that_are_left():
    ended: list[str] = []

    async with running() as (loop, faults):

        async def wait() -> None:
            try:
                await loop.create_future()
            finally:
                ended.append("task")

        loop.create_task(wait())
        await trio.testing.wait_all_tasks_blocked()
        loop.call_soon(ended.append, "callback")
    assert sorted(ended) == ["callback", "task"]
    assert faults == []
    assert loop.is_closed()


async def test_each_session_has_its_own():
    async with running() as (one, ones), running() as (two, twos):
        one.call_soon(lambda: 1 // 0)
        two.call_soon(lambda: None)
        await trio.testing.wait_all_tasks_blocked()
    assert (len(ones), len(twos)) == (1, 0)
