"""`recgate show`: the transcript of a session, one entry after the other as they are read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

import click

from recgate.cli.admission import admit
from recgate.cli.context import json_option
from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.entrynumber import EntryNumber, EntryNumberType
from recgate.cli.offline import open_recordings
from recgate.cli.recordings import nothing
from recgate.cli.resultcsv import write_result
from recgate.providers import SessionRow
from recgate.transcript.columns import aligned
from recgate.transcript.moments import show_duration, show_moment
from recgate.transcript.reading import as_json as entry_as_json
from recgate.transcript.reading import json_line
from recgate.transcript.showing import arranged, commands_first, entry_lines, joined, withheld

__all__ = ["show"]

FORMATS: Final = ("text", "json", "csv")


@click.command()
@click.argument("session")
@click.option("--entry", type=EntryNumberType(), help="Only this entry (N.P: the P-th that begins at N).")
@click.option("--rows", is_flag=True, help="With the rows that statements returned.")
@click.option("--keys", is_flag=True, help="With every key that was typed into a terminal, echoed ones too.")
@click.option(
    "--secrets", is_flag=True, help="Password literals too, instead of •••. Goes into the audit trail."
)
@click.option("--format", "shape", type=click.Choice(FORMATS), default="text", show_default=True)
@json_option
@elsewhere_options
def show(
    session: str,
    entry: EntryNumber | None,
    rows: bool,
    keys: bool,
    secrets: bool,
    shape: str,
    as_json: bool,
    elsewhere: Elsewhere,
) -> None:
    """Show a session's transcript: statements, rows, commands, files, decisions.

    SESSION may be abbreviated. `--format csv` gives the rows of one result; name it with --entry.
    """
    shape = "json" if as_json else shape
    recordings = open_recordings(elsewhere)
    found = recordings.session(session)
    what = "show" if entry is None else f"show entry {entry}"
    recordings.looked(f"{what} with secrets" if secrets else what, found)
    if shape == "csv":
        write_result(recordings, found, entry, sys.stdout)
        return
    entries = recordings.entries(found, rows=rows)
    if secrets:
        admit(recordings, "recording.secrets-shown", session=found, entry=str(entry or "all"))
    else:
        entries = map(withheld, entries)
    if entry is not None:
        entries = filter(entry.names, entries)
    elif shape == "text":
        entries = commands_first(arranged(joined(entries, keys=keys)))
        for line in _summary(recordings.row(found)):
            click.echo(line)
    shown, out = False, sys.stdout
    for each in entries:
        shown = True
        if shape == "json":
            out.write(json_line(entry_as_json(each)))
        else:
            # Not click.echo, which searches every line for colours to take away; there are none.
            out.write("".join(f"{line}\n" for line in entry_lines(each)))
    if entry is not None and not shown:
        nothing(f"session {found} has no entry {entry}; see `recgate show {found}`")


def _summary(row: SessionRow) -> Iterator[str]:
    until = f", {show_duration(row.ended - row.started)}" if row.ended is not None else ""
    reason = f" ({row.reason})" if row.reason else ""
    yield from aligned([[row.id, f"{row.user} → {row.target} ({row.protocol}) from {row.source}"]])
    yield from aligned([[f"{show_moment(row.started)}{until}, {row.status}{reason}"]])
    yield ""
