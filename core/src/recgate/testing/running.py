"""A relay under the core's real pump, with sockets at both ends and a recorder in memory."""

from __future__ import annotations

import array
import fcntl
import socket
import termios
from collections.abc import Sequence
from types import TracebackType
from typing import ClassVar, Protocol, cast

import trio
import trio.testing

from recgate.decisions import ALLOW, Decision
from recgate.dispatch import allow_all
from recgate.model import TargetInfo
from recgate.providers import PolicyRequest, Stage
from recgate.pump import Pump
from recgate.sansio.frames import CLIENT, UPSTREAM, Side
from recgate.sansio.relay import Relay
from recgate.testing.fakes import Disk, FakeDoor
from recgate.testing.playbook import Say
from recgate.wire import Wire

__all__ = ["RunningRelay"]

PATIENCE = 20.0  # seconds a test waits for bytes before it fails


class _Script(Protocol):
    opening: ClassVar[Sequence[Say]]

    def make_relay(self) -> Relay: ...
    def target(self) -> TargetInfo: ...


class RunningRelay:
    """An open session under the pump: `say` plays either end, `received` gives what that end got."""

    def __init__(
        self, script: _Script, *, waits: bool = False, stage: object = None, decision: Decision | None = None
    ) -> None:
        def decide(request: PolicyRequest) -> Decision:
            return decision or ALLOW

        self._script = script
        self.door = FakeDoor(
            script.target(),
            decide=allow_all if decision is None else decide,
            stage=cast("Stage | None", stage),
        )
        self._client, near = socket.socketpair()
        self._near = near
        # Before the session opens: whoever carries its bytes may ask only once whether they have to wait.
        self.door.recorder.waits = waits
        self.door.recorder.on_disk.set()
        self._wire = Wire(near)
        self._ends = {CLIENT: self._client, UPSTREAM: self.door.far}
        for end in self._ends.values():
            end.setblocking(False)
        self._got = {CLIENT: bytearray(), UPSTREAM: bytearray()}
        self._scope = trio.CancelScope()
        self.ended = trio.Event()
        self.reason = ""
        self._nursery_manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> RunningRelay:
        self._nursery = await self._nursery_manager.__aenter__()
        self._nursery.start_soon(self.door.readiness.run)
        self._nursery.start_soon(self._run)
        for say in self._script.opening:
            await self.say(say)
            await trio.testing.wait_all_tasks_blocked()
        for side in (CLIENT, UPSTREAM):
            self._take(side)
            self._got[side].clear()
        self.door.recorder.on_disk = Disk()  # from here on, if it waits, the test says when
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._scope.cancel()
        assert self._nursery is not None
        try:
            self._nursery.start_soon(self._finish)
            await self._nursery_manager.__aexit__(kind, exc, tb)
        finally:
            # Also when the relay broke: what it left open would be another test's warning.
            for end in (*self._ends.values(), self._near):
                end.close()
            self.door.close()

    async def _finish(self) -> None:
        """Let the session end in its own time, and then what served it."""
        assert self._nursery is not None
        await self.ended.wait()
        self._nursery.cancel_scope.cancel()

    async def _run(self) -> None:
        try:
            with self._scope, trio.CancelScope() as deadline:
                await self._session(deadline)
        finally:
            self.ended.set()

    async def _session(self, deadline: trio.CancelScope) -> None:
        pump = Pump(self._script.make_relay(), self._wire, self.door, deadline)  # pyright: ignore[reportArgumentType]
        try:
            await pump.run()
        finally:
            for wire in pump.wires.values():
                wire.close()
            self.reason = pump.reason
            await self.door.finish(pump.reason)

    def cancel(self) -> None:
        """Cancel the session from outside."""
        self._scope.cancel()

    async def say(self, say: Say) -> None:
        """Send bytes from one end."""
        end = self._ends[say.side]
        if not say.data:
            end.shutdown(socket.SHUT_WR)
        data = memoryview(say.data)
        while data:
            try:
                data = data[end.send(data) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(end)
        await trio.lowlevel.checkpoint()

    def _take(self, side: Side) -> None:
        while True:
            try:
                data = self._ends[side].recv(65536)
            except (BlockingIOError, ConnectionResetError):
                return
            if not data:
                return
            self._got[side] += data

    def received(self, side: Side) -> bytes:
        """What that end has got since the session opened."""
        self._take(side)
        return bytes(self._got[side])

    async def until(self, side: Side, count: int) -> bytes:
        """Wait until that end has got at least `count` bytes."""
        with trio.fail_after(PATIENCE):
            while len(self.received(side)) < count:
                await trio.lowlevel.wait_readable(self._ends[side])
        return bytes(self._got[side])

    async def until_contains(self, side: Side, part: bytes) -> None:
        """Wait until that end has got `part`."""
        with trio.fail_after(PATIENCE):
            while part not in self.received(side):
                await trio.lowlevel.wait_readable(self._ends[side])

    def unread(self, side: Side) -> int:
        """Bytes from that end that the gateway has left with the kernel."""
        sock = self._near if side is CLIENT else self.door.near
        count = array.array("i", [0])
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
        return count[0]
