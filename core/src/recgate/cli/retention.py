"""`recgate retention` and `recgate erase`: how long recordings stay, what keeps one longer, and what takes one away."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import track

from recgate.cli.acting import acts_of, caller, record, us
from recgate.cli.admission import trail_files, write_line
from recgate.cli.context import json_option, print_json
from recgate.cli.recordings import Recordings, nothing, warn
from recgate.errors import RecgateError, RecordingSealed
from recgate.ids import session_bytes
from recgate.ledger.acts import Words
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.retention.book import RetentionBook, RetentionFailed
from recgate.retention.configured import book_of, remover_of
from recgate.retention.keeping import due_now, why_removed
from recgate.retention.removing import KEEPER, Remover
from recgate.transcript.columns import aligned
from recgate.transcript.moments import show_moment

__all__ = ["erase", "retention"]

why_option = click.option(
    "--reason", "why", required=True, metavar="WORDS", help="What an auditor will read."
)


@click.group()
def retention() -> None:
    """How long recordings are kept (`recording: {retention: …}`), and what keeps one longer."""


@retention.command()
@click.option("--removed", is_flag=True, help="What was removed, by whom and why.")
@json_option
def ls(removed: bool, as_json: bool) -> None:
    """List legal holds, and what the next round removes; or what was removed."""
    recordings = Recordings()
    remover = _remover(recordings)
    rows = _removed(remover.book) if removed else _kept(recordings, remover)
    found = False
    for row in _shown(rows, as_json=as_json):
        found = True
        click.echo(row)
    if not found and not as_json:
        nothing("nothing was removed" if removed else "nothing is held, and nothing is due")


@retention.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@json_option
def run(dry_run: bool, as_json: bool) -> None:
    """Remove what is due now. A running gateway does so by itself, every hour."""
    recordings = Recordings()
    remover = _remover(recordings)
    if not dry_run:
        for left in remover.finish():
            _say({"session": left.session, "why": left.why, "finished": True}, as_json=as_json)
    console = Console(stderr=True)
    found = list(due_now(recordings.config, remover))
    done = 0
    bar = console.is_terminal and len(found) > 1 and not dry_run
    for each in track(found, "removing", console=console, transient=True) if bar else found:
        why = why_removed(each)
        if not dry_run:
            try:
                removal = remover.remove(each.session, "retention", KEEPER, why)
            except RetentionFailed as exc:
                warn(str(exc))
                continue
            write_line(trail_files(recordings.config), removal.words.event, **removal.words.fields)
        done += 1
        _say({"session": each.session, "why": why}, as_json=as_json)
    if not as_json:
        click.echo(f"{done} {'to remove' if dry_run else 'removed'}")


@retention.command()
@click.argument("session")
@why_option
def hold(session: str, why: str) -> None:
    """Put a recording on legal hold: neither rule nor `recgate erase` removes it until that is lifted."""
    recordings = Recordings()
    found = recordings.session(session)
    made = book_of(recordings.config).hold(found, caller(), why)
    words = Words.of("recording.held", session=found, by=made.who, reason=made.why)
    try:
        record(recordings.config, words, acts_of(recordings.config).held(found, words, us(), on=True))
    except RecgateError as exc:
        warn(f"it is held, and not on record: {exc}")
    click.echo(f"{found} is held")


@retention.command()
@click.argument("session")
@why_option
def lift(session: str, why: str) -> None:
    """Lift a legal hold: from then on the rules count again, from the session's end on."""
    recordings = Recordings()
    found = recordings.session(session)
    book = book_of(recordings.config)
    if book.held(found) is None:
        nothing(f"{found} is not held")
    words = Words.of("recording.released", session=found, by=caller(), reason=why)
    record(recordings.config, words, acts_of(recordings.config).held(found, words, us(), on=False))
    book.lift(found)
    click.echo(f"{found} is no longer held")


@click.command()
@click.argument("session")
@why_option
@click.option(
    "--keep-files", "keep", is_flag=True, help="Destroy its key alone: what is stored stays, unreadable."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(session: str, why: str, keep: bool, yes: bool) -> None:
    """Erase a recording: its objects, its key, its place in index and catalog. What remains says that it was erased.

    Copies of encrypted recordings become unreadable with the key; copies of others are for you to find. A recording
    on legal hold is not erased.
    """
    recordings = Recordings()
    found = recordings.session(session)
    remover = _remover(recordings)
    if keep and not _has_key(recordings, found):
        raise RetentionFailed(f"{found} has no key of its own: it is not encrypted, so its files must go")
    if not yes:
        row = recordings.row(found)
        click.confirm(
            f"Erase {found} ({row.user} on {row.target}, {show_moment(row.started)}) for good?", abort=True
        )
    removal = remover.remove(found, "erase", caller(), why, keep=keep)
    write_line(trail_files(recordings.config), removal.words.event, **removal.words.fields)
    click.echo(f"{found} is erased")


def _remover(recordings: Recordings) -> Remover:
    return remover_of(recordings.config, recordings.registry, acts_of(recordings.config))


def _has_key(recordings: Recordings, session: str) -> bool:
    path = recordings.config.data_dir / ERASURE_FILE
    try:
        return path.exists() and ErasureKeys(path).find(session_bytes(session)) is not None
    except RecordingSealed:
        return False


Row = dict[str, object]


def _kept(recordings: Recordings, remover: Remover) -> Iterator[Row]:
    for held in remover.book.holds():
        yield {"what": "held", "session": held.session, "at": held.since, "who": held.who, "why": held.why}
    for each in due_now(recordings.config, remover):
        yield {
            "what": "due",
            "session": each.session,
            "at": each.ended + each.kept,
            "who": KEEPER,
            "why": why_removed(each),
        }


def _removed(book: RetentionBook) -> Iterator[Row]:
    for done in (False, True):
        for each in book.removals(done=done):
            what = each.kind if each.done else f"{each.kind}, unfinished"
            yield {
                "what": what,
                **{k: v for k, v in asdict(each).items() if k not in ("kind", "done", "salt")},
            }


def _shown(rows: Iterator[Row], *, as_json: bool) -> Iterator[str]:
    if as_json:
        for row in rows:
            print_json(row)
        return
    table: list[Sequence[str]] = [
        [
            str(row["session"]),
            str(row["what"]),
            show_moment(float(str(row["at"]))),
            str(row["who"]),
            str(row["why"]),
        ]
        for row in rows
    ]
    if table:
        yield from aligned([["SESSION", "", "SINCE", "WHO", "WHY"], *table])


def _say(row: Row, *, as_json: bool) -> None:
    if as_json:
        print_json({"at": time.time(), **row})
    else:
        click.echo("  ".join(str(row[name]) for name in ("session", "why")))
