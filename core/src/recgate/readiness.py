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

__all__ = ["Held", "Later", "Readiness"]

MAX_EVENTS: Final = 256  # sockets served between two rounds of trio's own loop
EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
CLOSING: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
# While answers keep coming, looking again is cheaper than a round of trio's loop (a tenth of a busy gateway's CPU).
ROUNDS: Final = 8
MAX_LATER: Final = 32  # sends that wait for each other: the first of them waits for some hundred microseconds
INLINE: Final = 16  # reads that a task does in one go before others get their turn

Call = Callable[[], None]
Step = Callable[[bytes], object]
_READ_ON: Final = object()  # wakes a task that only has to read on


class Held:
    """What a step gives when its read is finished by a plain call, some time: meanwhile task and wire are left alone.

    `arrange` has the call that it is given, which does not raise, called once: when `finish` may be, and never from
    within. `finish` does what was left to do, without waiting, and gives what a step gives.
    """

    __slots__ = ("arrange", "finish")

    def __init__(self, arrange: Callable[[Call], None], finish: Callable[[], object]) -> None:
        self.arrange = arrange
        self.finish = finish


class Later:
    """What a step gives instead of None when something is left to be sent: `now` does it, and gives as a step does.

    It is called soon, before any task runs, but other steps may come before it.
    """

    __slots__ = ("now",)

    def __init__(self, now: Callable[[], object]) -> None:
        self.now = now


class _Parked:
    """A task waiting for a wire, and what to do with what is read meanwhile."""

    __slots__ = ("gone", "step", "task", "wire")

    def __init__(self, task: trio.lowlevel.Task, wire: Wire, step: Step) -> None:
        self.task = task
        self.wire = wire
        self.step = step
        self.gone = False  # cancelled: whatever is finished later is none of its business


class Readiness:
    """One a process. `run` serves until cancelled; `read` is what pumps call."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._parked: dict[int, _Parked] = {}
        self._again: dict[int, int] = {}
        self._watched: dict[int, Call] = {}
        self._held_for: dict[int, int] = {}  # what was heard of a wire whose read is held
        self._passing = False
        self._after: list[Call] = []

    def watch(self, descriptor: int, call: Call) -> None:
        """Have `call`, which neither raises nor waits, called for as long as there is something to read."""
        self._watched[descriptor] = call
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Forget a descriptor, before it is closed."""
        del self._watched[descriptor]
        if not self._epoll.closed:
            self._epoll.unregister(descriptor)

    def after(self, call: Call) -> None:
        """Have `call`, which neither raises nor waits, called once what is ready now is served; never from in here."""
        if self._passing:
            self._after.append(call)
        else:
            trio.lowlevel.current_trio_token().run_sync_soon(call)

    async def run(self) -> None:
        """Serve parked wires until cancelled."""
        with self._epoll as epoll:
            while True:
                if self._again or self._after:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(epoll.fileno())
                for _ in range(ROUNDS):
                    if not self._pass():
                        break

    def _pass(self) -> bool:
        """Serve whatever is ready, then do what was put off until then; say whether there is more to do."""
        self._passing = True
        served = self._serve()
        if self._after:
            calls, self._after = self._after, []
            for call in calls:
                call()  # what this puts off comes after the next look at the sockets
        self._passing = False
        return served or bool(self._after)

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
                self._heard(fd, events)
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
                if isinstance(rest, Held):
                    del parked[fd]
                    self._hold(fd, entry, rest, events & CLOSING)
                else:
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

    def _heard(self, fd: int, events: int) -> None:
        """Note what came of a wire whose read is held, or serve what is no wire."""
        if fd in self._held_for:
            self._held_for[fd] |= events
        elif fd in self._watched:
            self._watched[fd]()

    def _hold(self, fd: int, entry: _Parked, held: Held, heard: int) -> None:
        """Finish a read when its time has come, and the next if there is one; then park again, or wake the task."""
        wire, heard_of = entry.wire, self._held_for

        def go_on() -> None:
            if entry.gone:
                return
            events = heard_of.pop(fd)
            try:
                rest = held.finish()
                if rest is None and (events or wire.more) and (data := wire.receive_now()) is not None:
                    rest = entry.step(data)
                    if isinstance(rest, Later):
                        rest = rest.now()
                    rest = rest or _READ_ON
            except Exception as exc:  # noqa: BLE001 - raised in the session's own task, at its own boundary
                trio.lowlevel.reschedule(entry.task, outcome.Error(exc))
                return
            if rest is None:
                self._parked[fd] = entry
            elif isinstance(rest, Held):
                self._hold(fd, entry, rest, events & CLOSING)
            else:
                trio.lowlevel.reschedule(entry.task, outcome.Value(rest))

        heard_of[fd] = heard
        held.arrange(go_on)

    async def read(self, wire: Wire, step: Step) -> object:
        """Read `wire` and give each read to `step`, until `step` gives something: give that.

        `step` is called from this task or from `run`; it must not wait. It raises here. Cancelled, what was
        read has been given to `step`, and nothing is lost.
        """
        reads = 0
        while True:
            data = wire.receive_now()
            if data is None:
                rest = await self._park(wire, step)
            else:
                rest = step(data)
                if isinstance(rest, Later):
                    rest = rest.now()
                elif isinstance(rest, Held):
                    rest = await self._park(wire, step, rest)
                if rest is None:
                    reads += 1
                    if reads % INLINE == 0:
                        await trio.lowlevel.checkpoint()
                    continue
            if rest is not _READ_ON:
                return rest

    async def _park(self, wire: Wire, step: Step, held: Held | None = None) -> object:
        fd = wire.socket.fileno()
        if not wire.registered:
            self._epoll.register(fd, EVENTS)  # what is there already counts as an edge
            wire.registered = True
        entry = _Parked(trio.lowlevel.current_task(), wire, step)
        if held is None:
            self._parked[fd] = entry
        else:
            self._hold(fd, entry, held, EVENTS)  # whatever came while the task was busy was not heard

        def abort(_: object) -> trio.lowlevel.Abort:
            entry.gone = True
            self._parked.pop(fd, None)
            self._held_for.pop(fd, None)
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abort)
