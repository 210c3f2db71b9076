"""What sealing asks of the transcript: entries, catalog and search index, derived before a segment is sealed.

The recording must not depend on it: an indexer that raises is logged, is not called again for that session except
for `finish`, and the session's row says so. The segment is sealed all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from recgate.keys.keeping import KeyKeeper
from recgate.providers import RecordingStore
from recgate.recording.frames import RecordedFrame

__all__ = ["Backend", "Indexer", "NoIndexer"]


class Indexer(Protocol):
    """Turns frames into catalog rows and search entries. Synchronous: lives in the sealing worker.

    For every session: `restore` once, then `feed` and `save` for each segment in order, then `finish`. After a crash
    it begins again with `restore` from the last saved state, and frames that were fed since may come again.
    """

    def restore(self, session: str, opened: Mapping[str, object], state: bytes | None) -> None:
        """Take up a session: a new one (`state` None; its row is `live` from now on), or one from saved state."""
        ...

    def feed(self, session: str, opened: Mapping[str, object], frames: Sequence[RecordedFrame]) -> None:
        """Take the next frames, in order and without gaps; index the entries that they complete."""
        ...

    def save(self, session: str) -> bytes:
        """Serialise what is needed to go on behind the frames fed so far, at most 1 MiB."""
        ...

    def finish(self, session: str, end: Mapping[str, object], status: str) -> None:
        """The recording ends: complete its row and forget it. May come again after a crash.

        `status` is `sealed`, `recovered`, or `unsealed` when the journal cannot be read (then perhaps without any
        `restore` before). `end` has `reason`, `counters`, `ended` (wall clock in ns), perhaps
        `exit`, and `index_problem` when the index of this session is incomplete.
        """
        ...


class NoIndexer:
    """Index nothing."""

    def restore(self, session: str, opened: Mapping[str, object], state: bytes | None) -> None:
        """Nothing to take up."""

    def feed(self, session: str, opened: Mapping[str, object], frames: Sequence[RecordedFrame]) -> None:
        """Nothing to index."""

    def save(self, session: str) -> bytes:
        """No state."""
        return b""

    def finish(self, session: str, end: Mapping[str, object], status: str) -> None:
        """No row."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What the sealing worker seals into and indexes with; made in the worker (`RecordingPlan.backend`).

    `keeper` is what keeps the gateway's keys, where they are no files.
    """

    store: RecordingStore
    indexer: Indexer
    keeper: KeyKeeper | None = None
