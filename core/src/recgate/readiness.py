"""Wake sessions when their sockets have something: one epoll for all wires, registered once each.

trio registers a socket anew for every wait and switches to the task that waits. Here a wire is registered once,
edge-triggered, and while its task is parked the reads that need no waiting are done by a plain call from one
task for all sessions. What needs waiting, and whatever goes wrong, is given to the parked task: each session keeps
its own cancel scope and its own error boundary.

Sending wakes the receiver, which on a busy machine takes the processor from us then and there and leaves our caches
cold. So steps may leave their sending (`Later`) until all that is ready has been read and recorded.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final

import outcome
import trio

from recgate.wire import Wire

__all__ = ["Later", "Readiness"]

MAX_EVENTS: Final = 256  # sockets served between two rounds of trio's own loop
EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
CLOSING: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
# While answers keep coming, looking again is cheaper than a round of trio's loop (a tenth of a busy gateway's CPU).
ROUNDS: Final = 8
MAX_LATER: Final = 32  # sends that wait for each other: the first of them waits for some hundred microseconds
INLINE: Final = 16  # reads that a task does in one go before others get their turn

Step = Callable[[bytes], object]


class Later:
    """What a step gives instead of None when something is left to be sent: `now` does it, and gives as a step does.

    It is called soon, before any task runs, but other steps may come before it.
    """

    __slots__ = ("now",)

    def __init__(self, now: Callable[[], object]) -> None:
        self.now = now


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
        sends: list[tuple[int, _Parked, Later]] = []
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
                self._resume(fd, entry, outcome.Error(exc))
                continue
            if isinstance(rest, Later):
                sends.append((fd, entry, rest))
                if len(sends) >= MAX_LATER:
                    self._send(sends)
                    sends = []
            elif rest is not None:
                self._resume(fd, entry, outcome.Value(rest))
                continue
            if wire.more or events & CLOSING:
                # A full buffer or an end behind the data brings no further edge: come back without one.
                self._again[fd] = events
        if sends:
            self._send(sends)
        return bool(ready)

    def _send(self, sends: list[tuple[int, _Parked, Later]]) -> None:
        """Do what steps left to be done."""
        for fd, entry, later in sends:
            try:
                rest = later.now()
            except Exception as exc:  # noqa: BLE001 - as above
                self._resume(fd, entry, outcome.Error(exc))
                continue
            if rest is not None:
                self._resume(fd, entry, outcome.Value(rest))

    def _resume(self, fd: int, entry: _Parked, result: outcome.Value[object] | outcome.Error) -> None:
        # Who was read twice in one round may be resumed already: then it sees for itself how its wires are.
        if self._parked.get(fd) is entry:
            del self._parked[fd]
            trio.lowlevel.reschedule(entry.task, result)

    async def read(self, wire: Wire, step: Step) -> object:
        """Read `wire` and give each read to `step`, until `step` gives something: give that.

        `step` is called from this task or from `run`; it must not wait. It raises here. Cancelled, what was
        read has been given to `step`, and nothing is lost.
        """
        reads = 0
        while (data := wire.receive_now()) is not None:
            rest = step(data)
            if isinstance(rest, Later):
                rest = rest.now()
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
