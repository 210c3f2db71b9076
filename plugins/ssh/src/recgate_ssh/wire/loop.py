"""What asyncssh needs of an event loop, run by one trio task of the session: callbacks, futures, tasks, timers.

It asks for no more than that: its sockets are read and written by trio (`transport`). A whole asyncio loop on trio
would cost a quarter of a session's set-up and several trio tasks more. One loop a session, with its own handler for
what goes wrong in it, since an error in the background must end that session and no other (law 7).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, TypeVar, TypeVarTuple

import trio

__all__ = ["Loop", "Spawn", "settled"]

ROUNDS: Final = 16  # rounds of callbacks, each caused by the one before, until other sessions get their turn

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
Fault = Callable[[dict[str, Any]], None]


class Loop(asyncio.AbstractEventLoop):
    """One session's. `spawn` starts a task in the session's nursery, `fault` hears of errors that nobody caught.

    Not for other threads. Callbacks run in `run`, and in `run_ready` for whoever does not want to wait.
    """

    def __init__(self, spawn: Spawn, fault: Fault) -> None:
        self._spawn = spawn
        self._fault = fault
        self._ready: deque[asyncio.Handle] = deque()
        self._runner: trio.lowlevel.Task | None = None  # while it waits for callbacks
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: dict[asyncio.TimerHandle, trio.CancelScope] = {}
        self._closed = False

    # -- running ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run callbacks until cancelled."""
        while True:
            if self._ready:
                self.run_ready()
                await trio.lowlevel.checkpoint()
            else:
                self._runner = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)

    def _stop_waiting(self, _: object) -> trio.lowlevel.Abort:
        self._runner = None
        return trio.lowlevel.Abort.SUCCEEDED

    def run_ready(self) -> None:
        """Run what is ready now, and what that causes. Not from within a callback."""
        ready = self._ready
        for _ in range(ROUNDS):
            if not ready:
                return
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()

    def close(self) -> None:
        """Cancel the tasks that are left and let them end. Called when nothing else of the session runs any more."""
        self.run_ready()
        for task in tuple(self._tasks):
            task.cancel()
        self.run_ready()
        self._closed = True

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def is_running(self) -> bool:
        """Whether callbacks are run."""
        return not self._closed

    def get_debug(self) -> bool:
        """Never: asyncio would look at every callback."""
        return False

    def time(self) -> float:
        """Give trio's clock, in seconds."""
        return trio.current_time()

    # -- callbacks -------------------------------------------------------------------------------------

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Call in the next round."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if self._runner is not None:
            trio.lowlevel.reschedule(self._runner)
            self._runner = None
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call after `delay` seconds, unless the handle is cancelled or the session ends before."""
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        scope = self._timers[handle] = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep_until(handle.when())
                self.call_soon(handle._run)
            self._timers.pop(handle, None)

        self._spawn(wait)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        scope = self._timers.pop(handle, None)
        if scope is not None:
            scope.cancel()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Hear of an error that nobody caught."""
        self._fault(context)

    # -- futures and tasks -------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Run an asyncio coroutine; its first step is a callback like any other."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def trio_as_future(self, step: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> asyncio.Future[T]:
        """Run a trio function in the session's nursery; gives the future of its result, whose cancelling cancels it."""
        future: asyncio.Future[T] = self.create_future()
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                try:
                    result = await step(*args)
                except Exception as exc:  # noqa: BLE001 - raised where the future is awaited
                    if not future.done():
                        future.set_exception(exc)
                    return
                if not future.done():
                    future.set_result(result)

        def done(_: object) -> None:
            if future.cancelled():
                scope.cancel()

        future.add_done_callback(done)
        self._spawn(run)
        return future

    def run_in_executor(  # type: ignore[override] - a future is all that is awaited of it
        self, executor: None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call a function in one of trio's threads."""
        return self.trio_as_future(trio.to_thread.run_sync, func, *args)


async def settled(future: asyncio.Future[T]) -> T:
    """Wait for an asyncio future in a trio task; gives or raises its outcome. Cancelled, the future is cancelled."""
    done = trio.Event()
    future.add_done_callback(lambda _: done.set())
    try:
        await done.wait()
    finally:
        future.cancel()  # nothing, if it is done
    return future.result()
