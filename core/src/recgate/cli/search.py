"""`recgate search`: who said or did what, over all recordings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from recgate.cli.context import json_option, print_json
from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.offline import IndexedRecordings, open_recordings
from recgate.cli.recordings import NOTHING, Recordings, warn
from recgate.providers import SearchHit, SearchQuery
from recgate.transcript.columns import aligned, clipped
from recgate.transcript.moments import show_moment
from recgate.transcript.neutral import neutralise
from recgate.transcript.query import parse_query
from recgate.transcript.showing import clock

__all__ = ["search"]

MAX_TEXT: Final = 100  # cells of a hit's text; `recgate show SESSION --entry N` has it whole
BEFORE: Final = 30  # characters that are shown in front of what was found


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("query", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1_000_000), metavar="N")
@click.option(
    "--index",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Search what `recgate index` made; nothing else is read.",
)
@json_option
@elsewhere_options
def search(
    query: tuple[str, ...], limit: int, index: Path | None, as_json: bool, elsewhere: Elsewhere
) -> None:
    """Search over all recordings, newest session first. Exit status 1 if nothing is found.

    \b
    DROP DATABASE                  entries with both words, in any order and case
    '"drop database"'              the phrase
    cust*                          words that begin so
    verb:drop object:database      what is known of an entry: verb, object, table,
                                   column, file, secret, rule, decision, kind, …
    user:alice target:prod-*       what is known of its session
    since:30d until:2026-11-24     when it happened
    '/drop\\s+table/i'              a pattern (RE2); i: without regard to case
    """
    parsed = parse_query(" ".join(query), time.time(), limit)
    recordings = IndexedRecordings(index) if index is not None else open_recordings(elsewhere)
    recordings.searched("search", " ".join(query))
    found, session = 0, ""
    for hit in recordings.search.find(parsed):
        found += 1
        if as_json:
            print_json(_as_json(hit))
            continue
        if hit.session != session:
            session = hit.session
            click.echo(_heading(recordings, hit))
        click.echo(_line(hit, parsed))
    if found == limit and not as_json:
        warn(f"the first {limit} are shown; narrow the search with user:, target:, since:, or raise --limit")
    if not found:
        raise click.exceptions.Exit(NOTHING)


def _as_json(hit: SearchHit) -> dict[str, object]:
    return {
        "session": hit.session,
        "entry": hit.entry,
        "t": hit.t,
        "user": hit.user,
        "target": hit.target,
        "kind": hit.kind,
        "text": hit.text,
        "part": hit.part,
    }


def _heading(recordings: Recordings, hit: SearchHit) -> str:
    row = recordings.catalog.get(hit.session)
    started = show_moment(row.started) if row is not None else ""
    (line,) = aligned([[hit.session, f"{hit.user} → {hit.target}", started]])
    return line


def _line(hit: SearchHit, query: SearchQuery) -> str:
    text = clipped(neutralise(_around(hit.text, query)), MAX_TEXT)
    number = f"{hit.entry}.{hit.part}" if hit.part else str(hit.entry)
    return f"  {clock(hit.t):>10}  {number:>6}  {neutralise(hit.kind):<8}  {text}".rstrip()


def _around(text: str, query: SearchQuery) -> str:
    """Cut a long text to where the first of the words stands, and put it into one line."""
    flat = " ".join(text.split())
    if len(flat) <= MAX_TEXT:
        return flat
    folded = flat.casefold()
    words = [word.rstrip("*").casefold() for word in (*query.phrases, *query.terms)]
    places = [place for word in words if word and (place := folded.find(word)) > BEFORE]
    if not places or any(word and 0 <= folded.find(word) <= BEFORE for word in words):
        return flat
    return "…" + flat[min(places) - BEFORE :]
