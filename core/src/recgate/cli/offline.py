"""Recordings in a directory, without the gateway that made them: no configuration, catalog or index is needed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from recgate.cli.context import unbound_registry
from recgate.cli.elsewhere import HERE, Elsewhere
from recgate.cli.recordings import MAX_NAMED, MIN_PREFIX, Recordings, nothing, warn
from recgate.config.reading import read_configuration
from recgate.errors import PluginError, RecgateError, RecordingDamaged, RecordingSealed
from recgate.providers import SessionRow
from recgate.recording.directory import RecordingDirectory
from recgate.recording.reader import Archive
from recgate.transcript.indexing import Indexer, row_of

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.plugins import Registry
    from recgate.providers import Catalog, SearchIndex
    from recgate.recording.frames import RecordedFrame

__all__ = ["MAX_INDEX", "IndexedRecordings", "OfflineRecordings", "open_recordings"]

MAX_INDEX: Final = 4 << 30  # bytes of a temporary index
BATCH: Final = 10_000  # frames that are fed at a time
SETTLED: Final = ("sealed", "recovered")


def open_recordings(elsewhere: Elsewhere) -> Recordings:
    """Give the recordings that a command was told to read. Raises `RecgateError`."""
    if elsewhere.store is None:
        return Recordings(elsewhere)
    return OfflineRecordings(elsewhere, elsewhere.store)


class OfflineRecordings(Recordings):
    """Recordings of a directory. Catalog and search index are made when they are first asked for.

    Args:
        elsewhere: which keys read them.
        store: the directory.
        index: where an index is, or is made and kept; without it in a temporary directory, gone when the command ends.
        values: bind values and result rows are indexed as well.
    """

    def __init__(
        self, elsewhere: Elsewhere, store: Path, *, index: Path | None = None, values: bool = False
    ) -> None:
        self._elsewhere = elsewhere
        self._store = store
        self._index = index
        self._values = values
        click.get_current_context().call_on_close(self.close)

    @cached_property
    def config(self) -> Configuration:
        """The embedded defaults, with the index's directory as the gateway's."""
        self._registry = unbound_registry().alone()
        text = f"gateway: {{data_dir: {json.dumps(str(self.place))}}}"
        config = read_configuration(text, "(no configuration)", Path.cwd(), self._registry, None)
        for name in self._registry.candidates:
            try:
                self._registry.load([name])
            except PluginError:
                continue  # what it recorded is shown as it is stored
        self._registry.bind(config)
        return config

    @cached_property
    def registry(self) -> Registry:
        """Every plugin that is installed: any of them may have recorded here."""
        _ = self.config
        return self._registry

    @cached_property
    def place(self) -> Path:
        """Where the index is."""
        if self._index is not None:
            return self._index
        place = Path(tempfile.mkdtemp(prefix="recgate-index-"))  # mode 0700
        click.get_current_context().call_on_close(lambda: shutil.rmtree(place, ignore_errors=True))
        return place

    @cached_property
    def archive(self) -> Archive:
        """The directory, read with the identities given."""
        return Archive(RecordingDirectory(self._store), keyring=self._elsewhere.keyring())

    @cached_property
    def catalog(self) -> Catalog:
        """A catalog of what is there, from what each recording says of itself."""
        catalog = self.registry.catalog
        for session in self.archive.sessions():
            if catalog.get(session) is None and (row := self._readable(session)) is not None:
                catalog.put(row)
        return catalog

    @cached_property
    def search(self) -> SearchIndex:
        """A search index of what is there."""
        self.index("text")
        return self.registry.search

    @cached_property
    def served(self) -> bool:
        """No gateway is asked."""
        return False

    def looked(self, what: str, session: str) -> None:
        """Put nothing on record: who has a copy needs no gateway, and there is no ledger of theirs."""

    def taken(self, what: str, session: str) -> None:
        """Put nothing on record, as for `looked`."""

    def searched(self, how: str, query: str) -> None:
        """Put nothing on record, as for `looked`."""

    def session(self, name: str) -> str:
        """Give the id that `name` is or abbreviates. Ends with status 1 if there is none, or more than one."""
        wanted = name.strip().upper()
        found = sorted({each for each in self.archive.sessions() if each.startswith(wanted)})
        if wanted in found:
            return wanted
        if len(wanted) < MIN_PREFIX or not found:
            nothing(f"no session in {self._store} begins with {name[:64]}")
        if len(found) > 1:
            nothing(f"several sessions begin with {name[:64]}: {', '.join(found[:MAX_NAMED])}")
        return found[0]

    def row(self, session: str) -> SessionRow:
        """Give the session's row as the recording has it."""
        row = replace(row_of({"session": session, **self.opened(session)}), status="unsealed")
        names = self.archive.segments(session)
        seal = self.archive.segment(session, names[-1]).seal if names else None
        if seal is None or seal.end is None:
            return row
        status = "recovered" if seal.recovered is not None else "sealed"
        return replace(row, status=status, ended=row.started + seal.mono / 1e6, reason=seal.end.reason)

    def index(self, level: Literal["text", "facts"]) -> int:
        """Index what is there and was not yet, session by session; gives how many sessions could be.

        Raises:
            RecgateError: the temporary index has become too large.
        """
        indexer = Indexer(
            self.registry.protocols,
            self.registry.catalog,
            self.registry.search,
            level=level,
            values=self._values,
        )
        done = 0
        for session in self.archive.sessions():
            row = self.registry.catalog.get(session)
            if self._index is not None and row is not None and row.status in SETTLED:
                done += 1
                continue
            done += self._index_one(indexer, session)
            if self._index is None and _size(self.place) > MAX_INDEX:
                raise RecgateError(
                    f"an index of {self._store} takes more than {MAX_INDEX >> 30} GiB; make one that stays: "
                    "recgate index -o DIR, and search with --index DIR"
                )
        return done

    def _index_one(self, indexer: Indexer, session: str) -> bool:
        row = self._readable(session)
        if row is None:
            return False
        opened = self.opened(session)
        indexer.restore(session, {"session": session, **opened}, None)
        reason = row.reason
        try:
            for frames in _batches(self.archive, session):
                indexer.feed(session, opened, frames)
                indexer.save(session)
        except (RecordingDamaged, RecordingSealed) as exc:
            warn(f"{exc}; what comes behind it is not indexed")
        end: Mapping[str, object] = {"ended": int((row.ended or row.started) * 1e9), "reason": reason}
        indexer.finish(session, end, row.status)
        return True

    def _readable(self, session: str) -> SessionRow | None:
        try:
            return self.row(session)
        except (RecordingDamaged, RecordingSealed) as exc:
            warn(f"{exc}; left out")
            return None


def _batches(archive: Archive, session: str) -> Iterator[list[RecordedFrame]]:
    batch: list[RecordedFrame] = []
    for frame in archive.frames(session):
        batch.append(frame)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _size(place: Path) -> int:
    return sum(each.stat().st_size for each in place.iterdir())


class IndexedRecordings(OfflineRecordings):
    """An index that `recgate index` made, and nothing besides."""

    def __init__(self, index: Path) -> None:
        super().__init__(HERE, index, index=index)

    @cached_property
    def catalog(self) -> Catalog:
        """The sessions that were indexed."""
        return self.registry.catalog

    @cached_property
    def search(self) -> SearchIndex:
        """What was indexed."""
        return self.registry.search
