"""One live session's way into its recording: append before forwarding, seal at the end."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cbor2
import trio

from recgate.errors import RecordingFailed
from recgate.recording.journal import Journal, Part
from recgate.recording.limits import BATCH_BYTES, CLOSE_LIMIT
from recgate.sansio.frames import GATEWAY, Frame

__all__ = ["Recorder", "Sealing", "Unsealed"]


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A part that waits for its seal."""

    part: Part
    final: bool = False
    preallocated: bool = False


class Append(Protocol):
    """Record one frame."""

    def __call__(self, side: int, kind: str, data: bytes, channel: int = 0) -> None:
        """Return when the frame is in the journal. Raises `RecordingFailed`: do not forward it."""
        ...


class AppendAll(Protocol):
    """Record several frames with one write."""

    def __call__(self, frames: Sequence[Frame]) -> None:
        """Return when all are in the journal. Raises `RecordingFailed`: do not forward any of them."""
        ...


class Sealing(Protocol):
    """What a recorder needs of the service that it belongs to."""

    share: int  # bytes that one session may have waiting for the store; none while all together have too many

    def weigh(self, added: int) -> None:
        """Some more bytes wait for the store, or fewer."""
        ...

    def wanted(self, recorder: Recorder) -> None:
        """A part waits for its seal."""
        ...

    def given_up(self, recorder: Recorder) -> None:
        """The chain is lost and nobody appends any more: recover it, then call `ended`."""
        ...

    async def changed(self) -> None:
        """Wait until some backlog has become smaller, or a recorder has failed."""
        ...

    async def synced(self, journal: Journal) -> None:
        """Make what was appended durable."""
        ...

    def when_synced(self, journal: Journal, call: Callable[[], None]) -> None:
        """Call back once what was appended is durable, or the journal has failed."""
        ...

    def released(self, journal: Journal) -> None:
        """Close what the journal has put away."""
        ...


class Recorder:
    """The recorder of one session. Appends are synchronous, and not for other threads.

    `waits` is True with `durability: synced`: then `durable` must be awaited before a frame is forwarded.
    """

    def __init__(self, session_id: str, journal: Journal, sealing: Sealing, *, waits: bool) -> None:
        self.session_id = session_id
        self.waits = waits
        # Straight into the journal: a call less on the way of every byte.
        self.append: Append = journal.append
        self.append_all: AppendAll = journal.append_all
        self.journal = journal
        self.unsealed: deque[Unsealed] = deque()
        self.backlog = 0  # bytes in `unsealed`
        self.chained = False  # a segment is sealed, so the key that the worker holds for the next one matters
        self.lost = False  # that key is gone
        self.sealed = False
        self.listed = trio.Event()  # the worker has taken the session up: its row is there
        self._sealing = sealing
        self._closed = False
        self._ended = trio.Event()
        journal.on_part = self._rotated

    def _rotated(self, part: Part) -> None:
        self._queue(Unsealed(part))

    def _queue(self, unsealed: Unsealed) -> None:
        self.unsealed.append(unsealed)
        self._weigh(unsealed.part.size)
        self._sealing.wanted(self)

    def _weigh(self, added: int) -> None:
        self.backlog += added
        self._sealing.weigh(added)

    @property
    def failure(self) -> str:
        """Why nothing more is accepted, or the empty string."""
        return self.journal.failure

    @property
    def full(self) -> bool:
        """Too much waits for the store: nothing more may be read until `room` returns."""
        return self.backlog >= self._sealing.share

    async def room(self) -> None:
        """Wait while `full`. Returns as well when the recorder has failed: the next append says so."""
        while self.full and not self.journal.failure:
            await self._sealing.changed()

    async def durable(self) -> None:
        """With `durability: synced`, return once all that was appended is on disk; else at once.

        Raises:
            RecordingFailed: it could not be synced. Cancelled, it may be on disk or not.
        """
        if self.waits:
            await self._sealing.synced(self.journal)

    def when_durable(self, call: Callable[[], None]) -> None:
        """Only with `waits`: call `call` once all that was appended is on disk, or there is a `failure`.

        `call` must neither raise nor block.
        """
        self._sealing.when_synced(self.journal, call)

    def note(self, body: Mapping[str, object]) -> None:
        """Record what the gateway has to say while the session lives. A failure is what the next append says."""
        if not self.journal.failure:
            with contextlib.suppress(RecordingFailed):
                self.append(GATEWAY, "note", cbor2.dumps(dict(body), canonical=True))

    def rotate_if_due(self) -> None:
        """Hand the current part over when it is old enough. A failure is what the next append says."""
        if self.journal.due() and not self.journal.failure:
            try:
                self.journal.rotate()
            except RecordingFailed:
                return

    def fail(self, why: str) -> None:
        """The chain is lost: accept nothing more. What was accepted is sealed by recovery."""
        if self.lost:
            return
        self.lost = True
        self.journal.fail(why)
        self.unsealed.clear()
        self._weigh(-self.backlog)
        if self._closed:
            self._sealing.given_up(self)

    def next_parts(self) -> list[Unsealed]:
        """Give the parts that become the next segment: one, or several of a backlog, since a segment costs a sync."""
        parts: list[Unsealed] = []
        size = 0
        for unsealed in self.unsealed:
            size += unsealed.part.size
            if parts and size > BATCH_BYTES:
                break
            parts.append(unsealed)
        return parts

    def took(self, parts: Sequence[Unsealed]) -> None:
        """These, the first of `unsealed`, are durable."""
        for each in parts:
            self.unsealed.popleft()
            self._weigh(-each.part.size)
        if parts[-1].final:
            self.sealed = True
            self.ended()

    def ended(self) -> None:
        """Nothing is left to do: let `close` return."""
        self._ended.set()

    async def close(self, end: Mapping[str, object]) -> None:
        """Write the end and wait for the seal, at most `CLOSE_LIMIT` seconds, shielded. Idempotent.

        When this returns the recording is sealed, or it waits on disk and is sealed later: `sealed` says which.

        Raises:
            RecordingFailed: the end could not be written down; recovery will state that it is missing.
        """
        if self._closed:
            return
        self._closed = True
        try:
            part, preallocated = self.journal.close(end)
        except RecordingFailed as error:
            self.fail(str(error))
            raise
        finally:
            self.journal.release()
            self._sealing.released(self.journal)
        if self.lost:
            self._sealing.given_up(self)
        else:
            self._queue(Unsealed(part, final=True, preallocated=preallocated))
        with trio.move_on_after(CLOSE_LIMIT, shield=True):
            await self._ended.wait()
