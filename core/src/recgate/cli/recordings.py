"""What the commands that read recordings share: find a session, read its frames and entries, say what is not there."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NoReturn

import click

from recgate.cli.acting import acted, acts_of, caller, us
from recgate.cli.admission import trail_files, write_line
from recgate.cli.context import configuration, registry
from recgate.cli.elsewhere import HERE, Elsewhere
from recgate.cli.livesocket import live_sessions
from recgate.errors import RecgateError
from recgate.providers import SessionFilter
from recgate.recording.reader import open_archive
from recgate.transcript.gatewayframes import gateway_body
from recgate.transcript.indexing import row_of
from recgate.transcript.neutral import neutralise
from recgate.transcript.reading import read_entries

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.plugins import Registry
    from recgate.providers import Catalog, SearchIndex, SessionRow
    from recgate.recording.frames import RecordedFrame
    from recgate.recording.reader import Archive
    from recgate.transcript.entries import Entry

__all__ = ["MAX_NAMED", "MIN_PREFIX", "NOTHING", "Recordings", "nothing", "warn"]

NOTHING: Final = 1  # exit status: the answer is no, or nothing was found
MIN_PREFIX: Final = 4  # characters of an abbreviated id
MAX_NAMED: Final = 5  # sessions named when an abbreviation fits several


def nothing(message: str) -> NoReturn:
    """Say that there is nothing of what was asked for, and end with status 1."""
    click.echo(neutralise(message, lines=True), err=True)
    raise click.exceptions.Exit(NOTHING)


def warn(message: str) -> None:
    """Say something beside the output."""
    click.echo(neutralise(message, lines=True), err=True)


@contextmanager
def _on_record() -> Generator[None]:
    try:
        yield
    except RecgateError as exc:
        raise RecgateError(
            f"{exc} Nothing is shown that is not on record. A copy is read with --store DIR, which needs no gateway."
        ) from exc


class Recordings:
    """The recordings of the configuration in force. Nothing is opened before it is used."""

    def __init__(self, elsewhere: Elsewhere = HERE) -> None:
        self._elsewhere = elsewhere
        if not self.config.data_dir.is_dir():
            # Opening the catalog would make it, and then an empty list would look like an answer.
            raise RecgateError(
                f"{self.config.data_dir} does not exist, so nothing was recorded there. "
                "Name the gateway's configuration with --config."
            )
        click.get_current_context().call_on_close(self.close)

    @cached_property
    def config(self) -> Configuration:
        """The configuration in force."""
        return configuration()

    @cached_property
    def registry(self) -> Registry:
        """Its plugins."""
        return registry()

    @cached_property
    def catalog(self) -> Catalog:
        """The index of sessions."""
        return self.registry.catalog

    @cached_property
    def search(self) -> SearchIndex:
        """The search index."""
        return self.registry.search

    def close(self) -> None:
        """Close what was opened."""
        for opened in ("catalog", "search"):
            if opened in vars(self):
                vars(self)[opened].close()

    @cached_property
    def archive(self) -> Archive:
        """Store and journal as one."""
        return open_archive(self.config, self.registry, self._elsewhere.keyring(self.config.data_dir))

    def session(self, name: str) -> str:
        """Give the id that `name` is or abbreviates. Ends with status 1 if there is none, or more than one."""
        wanted = name.strip().upper()
        found = [row.id for row in self.catalog.find(SessionFilter(ids=(wanted,), limit=1))]
        if not found and len(wanted) >= MIN_PREFIX:
            found = [row.id for row in self.catalog.find(SessionFilter(prefix=wanted, limit=MAX_NAMED + 1))]
        if not found and len(wanted) >= MIN_PREFIX:
            # The catalog is an index: a recording that it does not know is a recording all the same.
            found = sorted({each for each in self.archive.sessions() if each.startswith(wanted)})
        if len(found) == 1:
            return found[0]
        if not found:
            nothing(f"no session begins with {name[:64]}; see `recgate sessions`")
        more = ", …" if len(found) > MAX_NAMED else ""
        nothing(f"several sessions begin with {name[:64]}: {', '.join(found[:MAX_NAMED])}{more}")

    def frames(self, session: str) -> Iterator[RecordedFrame]:
        """Read the frames of a session, sealed and live, in order. Raises `RecordingDamaged` where they break off."""
        return self.archive.frames(session)

    def opened(self, session: str) -> Mapping[str, object]:
        """Give what the first frame says."""
        for frame in self.frames(session):
            return gateway_body(frame)
        return {}

    def entries(self, session: str, *, rows: bool = False) -> Iterator[Entry]:
        """Read the entries of a session."""
        return read_entries(self.frames(session), self.registry.protocols, rows=rows)

    def row(self, session: str) -> SessionRow:
        """Give the session's row, if need be from the recording itself."""
        row = self.catalog.get(session)
        if row is None:
            row = replace(row_of({"session": session, **self.opened(session)}), status="unlisted")
        return self.truthful(row)

    def truthful(self, row: SessionRow) -> SessionRow:
        """Give the row as things are: nothing is live without a gateway, whatever its last one could still write."""
        if row.status == "live" and not self.served:
            return replace(row, status="unsealed")
        return row

    def looked(self, what: str, session: str) -> None:
        """Put on record that a recording is looked at, and how. Before any of it is shown.

        Raises:
            RecgateError: it cannot be put on record.
        """
        with _on_record():
            entry = acts_of(self.config).viewed(session, what, us())
            files = trail_files(self.config)
            write_line(files, "recording.viewed", by=caller(), session=session, what=what, entry=entry)

    def taken(self, what: str, session: str) -> None:
        """Put on record that a recording, or a part of it, is taken away, and in which form. Before it is.

        Raises:
            RecgateError: it cannot be put on record.
        """
        with _on_record():
            entry = acts_of(self.config).exported(session, what, us())
            files = trail_files(self.config)
            write_line(files, "recording.exported", by=caller(), session=session, what=what, entry=entry)

    def searched(self, how: str, query: str) -> None:
        """Put on record that all recordings are looked through, and for what. Raises as `looked`."""
        with _on_record():
            acted("recordings.searched", how=how, query=query)

    @cached_property
    def served(self) -> bool:
        """Whether a gateway runs on the data directory."""
        return live_sessions(self.config.data_dir) is not None

    def view(self, session: str) -> str:
        """Say how the session's protocol is looked at: `terminal`, or the empty string for text."""
        provider = self.registry.protocols.get(self.row(session).protocol)
        return provider.view if provider is not None else ""
