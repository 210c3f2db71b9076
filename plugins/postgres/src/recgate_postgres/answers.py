"""Which request the target's next message answers: the books of a connection whose answers are counted.

Every message that asks for something is put into a queue as it goes to the target, and what the target says settles
the oldest (55.2.3). What is not in the books is answered by something unknown, which rules take for the worst.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from recgate.policy.braking import Brake, Decided
from recgate.sansio.frames import Frame
from recgate_postgres.cutting import Cutter

__all__ = ["Answers"]

MAX_WAITING: Final = 100_000  # messages on the way; of more, no answer can be told from another

_EXECUTE, _SYNC, _QUERY, _CALL = b"ESQF"


class Answers:
    """The queue of one connection. `current` is what the next row answers."""

    __slots__ = ("_brake", "_client", "_lost", "_ops", "_unknown")

    def __init__(self, brake: Brake) -> None:
        self._brake = brake
        self._client = Cutter(b"", 0)
        self._ops: deque[tuple[int, Decided | None]] = deque()
        self._unknown = brake.unknown()
        self._lost = False

    @property
    def current(self) -> Decided:
        """The request that rows answer which come now."""
        return (self._ops[0][1] if self._ops else None) or self._unknown

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way, as far as the target's messages have been gone over."""
        return not self._ops and not self._lost

    @property
    def unsynced(self) -> bool:
        """Whether what is being answered is a series whose Sync has not been sent."""
        return bool(self._ops) and all(kind == _EXECUTE for kind, _ in self._ops)

    def asked(self, frame: Frame) -> None:
        """Take a frame that goes to the target, however it is cut. A frame asks for one thing at most."""
        decided = self._brake.next_decided(frame.request) if frame.request is not None else None
        ops = self._ops
        for kind, _, _, _ in self._client.cut(frame.data):
            if kind in (_EXECUTE, _QUERY, _CALL):
                ops.append((kind, decided or self._brake.unknown()))
                decided = None
            elif kind == _SYNC:
                ops.append((kind, None))
        if self._lost or len(ops) > MAX_WAITING:
            self._lost = True
            ops.clear()

    def ended(self) -> None:
        """One statement is done: CommandComplete, EmptyQueryResponse, PortalSuspended. Of a Query more may come."""
        if self._ops and self._ops[0][0] == _EXECUTE:
            self._ops.popleft()

    def failed(self) -> None:
        """An ErrorResponse: the rest of the series is skipped."""
        while self._ops and self._ops[0][0] == _EXECUTE:
            self._ops.popleft()

    def ready(self) -> None:
        """A ReadyForQuery: the oldest series, or Query, is over."""
        while self._ops:
            if self._ops.popleft()[0] != _EXECUTE:
                return

    def copy_in(self) -> None:
        """A CopyInResponse: a Sync right behind what began it is ignored by the target."""
        while len(self._ops) > 1 and self._ops[1][0] == _SYNC:
            del self._ops[1]
