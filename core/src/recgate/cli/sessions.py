"""`recgate sessions`: who was where, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import click

from recgate.cli.context import json_option, print_json
from recgate.cli.livesocket import live_sessions
from recgate.cli.recordings import NOTHING, Recordings, warn
from recgate.providers import SessionFilter, SessionRow
from recgate.transcript.columns import aligned
from recgate.transcript.moments import parse_moment, show_duration, show_moment
from recgate.transcript.neutral import neutralise

if TYPE_CHECKING:
    from click import Context, Parameter

__all__ = ["Moment", "sessions"]

HEADINGS: Final = (
    "SESSION", "USER", "TARGET", "PROTOCOL", "STARTED", "LENGTH", "STATUS", "REQUESTS", "ROWS", "DENIED", "APPROVED",
    "SOURCE",
)  # fmt: skip
PAGE: Final = 1_000  # rows that are asked for at a time
RIGHT: Final = frozenset({5, 7, 8, 9})


class Moment(click.ParamType[float]):
    """A time as people write it; see `parse_moment`. With `end` a day means its end."""

    name = "time"

    def __init__(self, *, end: bool = False) -> None:
        self.end = end

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> float:
        """Give wall-clock seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return parse_moment(str(value), time.time(), end=self.end)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


@click.command()
@click.option("--user", default="", metavar="NAME", help="Only of this user.")
@click.option("--target", default="", metavar="NAME", help="Only to this target.")
@click.option("--since", type=Moment(), help="Connected at this time or later: 30d, 2026-11-24, 09:30.")
@click.option(
    "--until", type=Moment(end=True), help="Begun before this time; a day has all of that day in it."
)
@click.option("--live", is_flag=True, help="Only those that are connected now.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1_000_000), metavar="N")
@json_option
def sessions(
    user: str, target: str, since: float | None, until: float | None, live: bool, limit: int, as_json: bool
) -> None:
    """List sessions, newest first. Exit status 1 if there is none."""
    recordings = Recordings()
    query = SessionFilter(user=user, target=target, since=since, until=until, live=live, limit=limit)
    found = _all(recordings, query)
    if as_json:
        shown = False
        for row in found:
            shown = True
            print_json(_as_json(row))
    else:
        rows = list(found)
        shown = bool(rows)
        for line in aligned([HEADINGS, *map(_cells, rows)], right=RIGHT) if rows else ():
            click.echo(line)
        if len(rows) == limit:
            warn(f"the newest {limit} are shown; narrow with --user, --target, --since, or raise --limit")
    if not shown:
        raise click.exceptions.Exit(NOTHING)


def _all(recordings: Recordings, query: SessionFilter) -> Iterator[SessionRow]:
    """Give what `query` finds, a page of the catalog at a time, at most its limit."""
    live = live_sessions(recordings.config.data_dir)
    if live is None and query.live:
        return  # the catalog may say so of those that were when their gateway was killed
    fresh = _just_opened(recordings, query, live or [])[: query.limit]
    yield from fresh
    left, before = query.limit - len(fresh), ""
    known = {row.id for row in fresh}
    while left > 0:
        page = recordings.catalog.find(replace(query, limit=min(left, PAGE), before=before))
        if not page:
            return
        before, left = page[-1].id, left - len(page)
        page = [row for row in page if row.id not in known]  # the catalog may have caught up meanwhile
        yield from map(recordings.truthful, page) if live is None else page


def _just_opened(
    recordings: Recordings, query: SessionFilter, live: Sequence[SessionRow]
) -> list[SessionRow]:
    """Give live sessions that the catalog does not list yet: it learns of them from their first frames."""
    fresh: list[SessionRow] = []
    for row in live:
        if query.user not in ("", row.user) or query.target not in ("", row.target):
            continue
        if query.until is not None and row.started >= query.until:
            continue
        if recordings.catalog.get(row.id) is None:
            fresh.append(row)
    return sorted(fresh, key=lambda row: row.started, reverse=True)


def _as_json(row: SessionRow) -> dict[str, object]:
    shown: dict[str, object] = {**asdict(row), "groups": list(row.groups), "approved": list(row.approved)}
    return shown


def _cells(row: SessionRow) -> Sequence[str]:
    until = row.ended if row.ended is not None else time.time() if row.status == "live" else row.started
    return (
        row.id,
        row.user,
        row.target,
        row.protocol,
        show_moment(row.started),
        show_duration(until - row.started),
        row.status,
        str(row.requests),
        str(row.rows),
        str(row.denied or ""),
        neutralise(", ".join(row.approved)),
        row.source,
    )
