"""Stand-ins for what surrounds a relay, for tests without a gateway: a recorder in memory and a door that opens."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from recgate.decisions import Decision
from recgate.dispatch import allow_all
from recgate.errors import RecordingFailed
from recgate.ids import new_session_id
from recgate.model import ConnectionInfo, Credential, Evidence, Principal, ScramKeys, Secret, TargetInfo
from recgate.providers import PolicyRequest, Stage
from recgate.readiness import Readiness
from recgate.sansio.asks import LoggedIn
from recgate.sansio.frames import Frame
from recgate.session import Session

__all__ = ["Disk", "FakeDoor", "MemoryRecorder", "Recorded"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A frame as the memory recorder keeps it."""

    side: int
    kind: str
    data: bytes
    channel: int = 0


class Disk:
    """What a memory recorder waits for when durability does: once `set`, all that it keeps counts as on disk."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._calls: list[Callable[[], None]] = []

    def set(self) -> None:
        """Let everybody go on who waits."""
        self._event.set()
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()

    def then(self, call: Callable[[], None]) -> None:
        """Call `call` when it is set, and never from in here: soon, if it is already."""
        if self._event.is_set():
            trio.lowlevel.current_trio_token().run_sync_soon(call)
        else:
            self._calls.append(call)


class MemoryRecorder:
    """A recorder that keeps frames in a list, and can be told to break, to be full, or to be slow to disk."""

    def __init__(self) -> None:
        self.session_id = ""
        self.frames: list[Recorded] = []
        self.waits = False
        self.full = False
        self.broken = False
        self.emptied = trio.Event()
        self.on_disk = Disk()
        self.journal = self  # what a recorder's journal is asked for, this one answers itself
        self.elapsed = 0
        self.failure = ""
        self.closed_with: Mapping[str, object] | None = None

    @property
    def next_seq(self) -> int:
        """The number of the next frame."""
        return len(self.frames)

    def append(self, side: int, kind: str, data: bytes, channel: int = 0) -> None:
        """Keep a frame, or raise when told to be broken."""
        if self.broken:
            raise RecordingFailed("the memory recorder was told to break")
        self.frames.append(Recorded(int(side), kind, bytes(data), channel))

    def append_all(self, frames: Sequence[Frame]) -> None:
        """Keep several frames."""
        for frame in frames:
            self.append(frame.side, frame.kind, frame.data, frame.channel)

    async def durable(self) -> None:
        """Wait until `on_disk` is set, when durability waits."""
        if self.waits:
            await self.on_disk.wait()

    def when_durable(self, call: Callable[[], None]) -> None:
        """Call back when `on_disk` is set."""
        self.on_disk.then(call)

    async def room(self) -> None:
        """Wait until `emptied` is set."""
        await self.emptied.wait()

    async def close(self, end: Mapping[str, object]) -> None:
        """Keep the end. Checkpoints, so that an unshielded caller would be caught."""
        await trio.lowlevel.checkpoint()
        self.closed_with = end

    def wire(self, side: int) -> bytes:
        """Everything recorded of a side's protocol bytes (gateway frames have other sides)."""
        return b"".join(frame.data for frame in self.frames if frame.side == side)


class FakeDoor:
    """A door that knows one principal and one target, whose far end is a socket of the test's."""

    def __init__(
        self,
        target: TargetInfo,
        *,
        decide: Callable[[PolicyRequest], Decision] = allow_all,
        stage: Stage | None = None,
        secret: str = "secret",  # noqa: S107
    ) -> None:
        self.target = target
        self.recorder = MemoryRecorder()
        self.readiness = Readiness()
        self.connection = ConnectionInfo(target.protocol, "127.0.0.1:1", "127.0.0.1:2", loopback=True)
        self.session: Session | None = None
        self.far, self.near = socket.socketpair()
        self._decide, self._stage, self._secret = decide, stage, secret
        self.finished_with = ""

    async def login(self, name: str, evidence: Evidence) -> LoggedIn:
        """Everybody is alice."""
        await trio.lowlevel.checkpoint()
        return LoggedIn(Principal("fake", "1", "alice", frozenset({"dba"})), self.target.name)

    async def recognises(self, name: str, evidence: Evidence) -> bool:
        """Every key is worth a signature."""
        await trio.lowlevel.checkpoint()
        return True

    async def scram_keys(self, name: str) -> ScramKeys:
        """Keys that match nothing."""
        await trio.lowlevel.checkpoint()
        return ScramKeys(b"0123456789abcdef", 4096, "nonce")

    async def open(
        self, who: LoggedIn, details: Mapping[str, str], tell: Callable[[str], None] | None = None
    ) -> Session:
        """Open a session on the memory recorder."""
        await trio.lowlevel.checkpoint()
        self.session = Session(
            id=new_session_id(),
            principal=who.principal,
            target=self.target,
            connection=self.connection,
            recorder=self.recorder,  # pyright: ignore[reportArgumentType] - has the methods that sessions use
            decide=self._decide,
        )
        self.session.credential = Credential("app", Secret(self._secret))
        self.session.stages = self._stage
        return self.session

    async def dial(self) -> socket.socket:
        """Give the near end of the pair; the test plays the target on `far`."""
        await trio.lowlevel.checkpoint()
        return self.near

    async def finish(self, reason: str, **facts: object) -> None:
        """Close the recorder, shielded as the real door does."""
        with trio.CancelScope(shield=True):
            self.finished_with = reason
            await self.recorder.close({"reason": reason, **facts})

    def close(self) -> None:
        """Close both ends."""
        self.far.close()
        self.near.close()
