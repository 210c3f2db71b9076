"""Wake sessions when their sockets have something: one epoll for all wires, registered once each.

trio registers a socket anew for every wait and switches to the task that waits. Here a wire is registered once,
edge-triggered, and while its task is parked the reads that need no waiting are done by a plain call from one
task for all sessions. What needs waiting, and whatever goes wrong, is given to the parked task: each session keeps
its own cancel scope and its own error boundary.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final

import outcome
import trio

from recgate.wire import Wire

__all__ = ["Readiness"]

MAX_EVENTS: Final = 256  # sockets served between two rounds of trio's own loop
EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
CLOSING: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
# While answers keep coming, looking again is cheaper than a round of trio's loop (a tenth of a busy gateway's CPU).
ROUNDS: Final = 8
INLINE: Final = 16  # reads that a task does in one go before others get their turn

Step = Callable[[bytes], object]


class _Parked:
    """A task waiting for a wire, and what to do with what is read meanwhile."""

    __slots__ = ("step", "task", "wire")

    def __init__(self, task: trio.lowlevel.Task, wire: Wire, step: Step) -> None:
        self.task = task
        self.wire = wire
        self.step = step


class Readiness:
    """One a process. `run` serves until cancelled; `read` is what pumps call."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._parked: dict[int, _Parked] = {}
        self._again: dict[int, int] = {}

    async def run(self) -> None:
        """Serve parked wires until cancelled."""
        with self._epoll as epoll:
            while True:
                if self._again:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(epoll.fileno())
                for _ in range(ROUNDS):
                    if not self._serve():
                        break

    def _serve(self) -> bool:
        """Serve whatever is ready; say whether anything was."""
        ready = self._epoll.poll(0, MAX_EVENTS)
        if self._again:
            ready += self._again.items()
            self._again = {}
        parked = self._parked
        for fd, events in ready:
            entry = parked.get(fd)
            if entry is None:  # its task is busy, and reads until nothing is there before it parks
                continue
            wire = entry.wire
            try:
                data = wire.receive_now()
                if data is None:
                    continue
                rest = entry.step(data)
            except Exception as exc:  # noqa: BLE001 - raised in the session's own task, at its own boundary
                del parked[fd]
                trio.lowlevel.reschedule(entry.task, outcome.Error(exc))
                continue
            if rest is not None:
                del parked[fd]
                trio.lowlevel.reschedule(entry.task, outcome.Value(rest))
            elif wire.more or events & CLOSING:
                # A full buffer or an end behind the data brings no further edge: come back without one.
                self._again[fd] = events
        return bool(ready)

    async def read(self, wire: Wire, step: Step) -> object:
        """Read `wire` and give each read to `step`, until `step` gives something: give that.

        `step` is called from this task or from `run`; it must not wait. It raises here. Cancelled, what was
        read has been given to `step`, and nothing is lost.
        """
        reads = 0
        while (data := wire.receive_now()) is not None:
            rest = step(data)
            if rest is not None:
                return rest
            reads += 1
            if reads % INLINE == 0:
                await trio.lowlevel.checkpoint()
        return await self._park(wire, step)

    async def _park(self, wire: Wire, step: Step) -> object:
        fd = wire.socket.fileno()
        if not wire.registered:
            self._epoll.register(fd, EVENTS)  # what is there already counts as an edge
            wire.registered = True
        self._parked[fd] = _Parked(trio.lowlevel.current_task(), wire, step)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._parked.pop(fd, None)
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abort)
