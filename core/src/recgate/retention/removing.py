"""Remove a recording so that it can be seen: the words first, then the ledger's leaf, and only then the bytes.

A crash between two of these leaves a removal that is not `done`; the next one finishes it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from recgate.errors import RecordingDamaged, RecordingFailed
from recgate.ids import session_bytes
from recgate.providers import Catalog, RecordingStore, SearchIndex, SessionRow
from recgate.recording.segment import read_segment
from recgate.retention.book import Removal, RemovalKind, RetentionBook, RetentionFailed
from recgate.retention.rules import RetentionRules

__all__ = ["Deleting", "Due", "Purging", "Remover", "due"]

ENDED: Final = frozenset({"sealed", "recovered"})
KEEPER: Final = "retention"  # who removes by rule


@runtime_checkable
class Deleting(Protocol):
    """A store that can give up a recording."""

    def delete(self, session: str) -> None:
        """Remove every object of a session, durably. Idempotent. Raises `RecordingFailed`."""
        ...


@runtime_checkable
class Purging(Protocol):
    """A catalog that can forget a session."""

    def purge(self, session: str) -> None:
        """Remove the row of a session. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """A recording whose time is over: when it ended and how long it was kept, in seconds."""

    session: str
    ended: float
    kept: float


@dataclass(frozen=True, slots=True)
class Remover:
    """Takes recordings away. `leaf` writes a line of the ledger, durably, before anything is gone."""

    book: RetentionBook
    store: RecordingStore
    catalog: Catalog
    index: SearchIndex
    journal: Path
    leaf: Callable[[Removal], None]
    destroy_key: Callable[[str], None]

    def remove(self, session: str, kind: RemovalKind, who: str, why: str, *, keep: bool = False) -> Removal:
        """Remove one recording: objects, index, row and key; with `keep` all but the objects.

        Raises:
            RetentionFailed: it is held, live, or the store cannot delete; nothing was removed.
            RecgateError: something could not be written; the removal is finished by the next `finish`.
        """
        if not keep and not isinstance(self.store, Deleting):
            raise RetentionFailed(f"the store {self.store.name} cannot delete: remove nothing by rules there")
        if os.path.isdir(self.journal / session):
            raise RetentionFailed(f"{session} is live, or not sealed yet: end it first")
        removal = self.book.intend(session, kind, who, why, keep=keep)
        self.leaf(removal)
        self._take_away(removal)
        return removal

    def finish(self) -> list[Removal]:
        """Finish what was begun before a crash; gives what it was."""
        left = self.book.removals(done=False)
        for removal in left:
            # The leaf may be there or not, and two say no more than one.
            self.leaf(removal)
            self._take_away(removal)
        return left

    def _take_away(self, removal: Removal) -> None:
        session = removal.session
        self.index.purge(session)
        if isinstance(self.catalog, Purging):
            self.catalog.purge(session)
        self.destroy_key(session)
        if isinstance(self.store, Deleting) and not removal.keep:
            self.store.delete(session)
        self.book.done(session, removal.kind)


def due(
    rules: RetentionRules,
    store: RecordingStore,
    row: Callable[[str], SessionRow | None],
    labels: Callable[[str], Mapping[str, str] | None],
    held: Iterable[str],
    clock: Callable[[], float] = time.time,
) -> Iterator[Due]:
    """Find the recordings whose time is over, oldest first. `labels` gives those of a target, None if unknown."""
    shortest, now, keeps = rules.shortest, clock(), frozenset(held)
    if shortest is None:
        return
    for session in store.sessions():
        # The id begins with the milliseconds of its opening: later ones are later, and none ended before it opened.
        if _opened(session) + shortest > now:
            return
        if session in keeps:
            continue
        known = row(session)
        if known is not None and known.status not in ENDED:
            continue
        kept = rules.kept(labels(known.target) if known is not None else None)
        ended = known.ended if known is not None and known.ended else _last_seal(store, session)
        if kept is not None and ended is not None and ended + kept <= now:
            yield Due(session, ended, kept)


def _opened(session: str) -> float:
    return int.from_bytes(session_bytes(session)[:6]) / 1000


def _last_seal(store: RecordingStore, session: str) -> float | None:
    """Say when the last segment was sealed, for a recording that no row tells of; None when nobody can."""
    segments = [name for name in store.objects(session) if name.endswith(".seg")]
    try:
        return read_segment(store.get(session, segments[-1])).seal.wall / 1e9 if segments else None
    except (RecordingDamaged, RecordingFailed, KeyError):
        return None
