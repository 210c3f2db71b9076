"""`recgate reconcile`: who reached a target without a recording, by the target's own log."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from recgate.cli.context import json_option, print_json
from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.ledgerplace import is_ledger, ledger_beside, ledger_line, ledger_options, read_ledger
from recgate.cli.offline import open_recordings
from recgate.cli.progress import steps
from recgate.cli.recordings import NOTHING, Recordings, warn
from recgate.cli.sessions import Moment
from recgate.errors import LedgerDamaged
from recgate.ids import session_bytes, session_text
from recgate.ledger.entries import read_entry
from recgate.providers import SessionFilter, SessionRow
from recgate.recording.ledgered import LedgerIndex
from recgate.recording.trust import TRUST_NAME, Trust
from recgate.targetlog.arrivals import Arrival, read_lines
from recgate.targetlog.formats import FORMATS, read_log
from recgate.targetlog.reconciling import Finding, Kind, KnownSession, Reconciliation
from recgate.transcript.moments import show_moment
from recgate.transcript.neutral import neutralise

if TYPE_CHECKING:
    from click import Context, Parameter

__all__ = ["reconcile"]

PAGE: Final = 1_000  # rows that are asked for at a time
LIVE: Final = "live"


class Zone(click.ParamType[tzinfo]):
    """A time zone by its name; empty is the one of this machine."""

    name = "zone"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> tzinfo:
        """Give the zone."""
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(str(value))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is no time zone: write it like Europe/Berlin, or UTC", param, ctx)


class Address(click.ParamType[str]):
    """An IP address in its shortest form, as logs have it."""

    name = "address"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> str:
        """Give the address."""
        try:
            return str(ip_address(str(value)))
        except ValueError:
            self.fail(f"{value!r} is no IP address", param, ctx)


@click.command()
@click.option("--target", required=True, metavar="NAME", help="The target whose log it is.")
@click.option(
    "--log",
    "log",
    required=True,
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="Its log; - is standard input.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", *FORMATS]),
    default="auto",
    show_default=True,
    help="What wrote it.",
)
@click.option(
    "--since", type=Moment(), help="Only what the log has from this time on: 30d, 2026-11-24, 09:30."
)
@click.option("--until", type=Moment(end=True), help="Only what it has before this time.")
@click.option(
    "--zone",
    type=Zone(),
    default="UTC",
    show_default=True,
    metavar="NAME",
    help="Time zone of times in the log that name none, or only abbreviate it.",
)
@click.option(
    "--gateway-address",
    "gateways",
    multiple=True,
    type=Address(),
    metavar="IP",
    help="An address that the gateway comes from; may be repeated. Without one, addresses are not looked at.",
)
@click.option(
    "--tagged/--untagged",
    "tagged",
    default=None,
    help="Whether sessions bring their id to this target.  [default: as the configuration has it]",
)
@click.option(
    "--skew",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="By how much the two clocks may differ.",
)
@click.option("--all", "everything", is_flag=True, help="List what was recorded, too.")
@click.option(
    "--trust",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Public keys to believe (a gateway's trust.json); may be given more than once.",
)
@ledger_options
@json_option
@elsewhere_options
def reconcile(
    target: str,
    log: str,
    form: str,
    since: float | None,
    until: float | None,
    zone: tzinfo,
    gateways: tuple[str, ...],
    tagged: bool | None,
    skew: float,
    everything: bool,
    trust: tuple[Path, ...],
    ledger: Path | None,
    checkpoints: tuple[Path, ...],
    as_json: bool,
    elsewhere: Elsewhere,
) -> None:
    """Hold a target's own log against ledger and recordings: who got in there without one.

    Of PostgreSQL with log_connections (stderr, csvlog, jsonlog), of sshd from syslog or journalctl -o json|export.
    Exit status 1 if somebody got in unrecorded, or the ledger does not hold.
    """
    recordings = open_recordings(elsewhere)
    times = _LedgerTimes()
    index = _ledger(recordings, elsewhere, ledger, trust, checkpoints, times)
    sessions = _sessions(recordings, index, times)
    tagged = _tagged(recordings, target) if tagged is None else tagged
    work = Reconciliation(target, sessions, frozenset(gateways), tagged, skew)
    with _arrivals(log, form, zone) as arrivals:
        within = _within(arrivals, since, until)
        for finding in work.report(within, since, until):
            if everything or finding.kind in (Kind.UNRECORDED, Kind.UNLOGGED):
                _print(finding, sessions, as_json=as_json)
    _conclude(work, index, as_json=as_json)


def _conclude(work: Reconciliation, index: LedgerIndex | None, *, as_json: bool) -> None:
    counts = work.counts
    if as_json:
        span = {"first": work.first, "last": work.last}
        print_json({"kind": "summary", "target": work.target, **span, **counts})
    else:
        click.echo(
            f"{sum(counts.values()) - counts[Kind.UNLOGGED]} connections in the log: {counts[Kind.RECORDED]} recorded, "
            f"{counts[Kind.GATEWAY]} of the gateway itself, {counts[Kind.UNRECORDED]} unrecorded; "
            f"{counts[Kind.UNLOGGED]} recordings that are not in the log"
        )
        if index is not None:
            click.echo(neutralise(ledger_line(index)))
    if index is None:
        warn(
            "there is no ledger: what is recorded is believed as it stands. Say --ledger DIR to hold it against one."
        )
    elif not index.reading.sound:
        for each in index.reading.findings:
            warn(f"ledger, {each.where}: {each.what}")
    if not work.first and not work.counts[Kind.RECORDED] + work.counts[Kind.UNRECORDED]:
        warn("nobody got in by this log. Does the target log connections (PostgreSQL: log_connections = on)?")
    if counts[Kind.UNRECORDED] or (index is not None and not index.reading.sound):
        raise click.exceptions.Exit(NOTHING)


def _print(finding: Finding, sessions: Mapping[str, KnownSession], *, as_json: bool) -> None:
    arrival = finding.arrival
    session = sessions.get(finding.session)
    if as_json:
        print_json(
            {
                "kind": finding.kind,
                "line": arrival.line if arrival is not None else None,
                "wall": arrival.wall if arrival is not None else session and session.began,
                "user": arrival.user if arrival is not None else None,
                "source": arrival.source if arrival is not None else None,
                "port": arrival.port if arrival is not None else None,
                "label": arrival.label if arrival is not None else None,
                "session": finding.session or None,
                "what": finding.what,
            }
        )
        return
    where = f"line {arrival.line}" if arrival is not None else "-"
    wall = arrival.wall if arrival is not None else session.began if session is not None else None
    when = show_moment(wall) if wall is not None else "no time"
    who = f"{arrival.user} from {arrival.source or '?'}" if arrival is not None else ""
    name = f" ({arrival.label})" if arrival is not None and arrival.label and not finding.session else ""
    click.echo(
        neutralise(
            f"{finding.kind:<10}  {where:<12}  {when:<20}  {finding.session or '-':<26}  {who}{name}: {finding.what}"
        )
    )


def _within(arrivals: Iterable[Arrival], since: float | None, until: float | None) -> Iterator[Arrival]:
    for arrival in arrivals:
        # One without a time may be from any: it counts.
        if arrival.wall is None or (
            (since is None or arrival.wall >= since) and (until is None or arrival.wall < until)
        ):
            yield arrival


@contextmanager
def _arrivals(log: str, form: str, zone: tzinfo) -> Generator[Iterator[Arrival]]:
    with click.open_file(log, "rb") as file, steps(f"reading {log}") as at:
        stream: BinaryIO = sys.stdin.buffer if log == "-" else file  # type: ignore[assignment]
        total = 0 if log == "-" else os.fstat(stream.fileno()).st_size
        yield read_log(read_lines(stream, lambda read: at(read, max(total, read))), form, zone)


class _LedgerTimes:
    """When the ledger closed each session: by then it was over."""

    def __init__(self) -> None:
        self.closed: dict[bytes, int] = {}

    def visit(self, number: int, data: bytes) -> None:
        """Look at one entry. What is none is the index's finding."""
        try:
            entry = read_entry(data)
        except LedgerDamaged:
            return
        if entry.kind in ("close", "abort") and entry.session is not None:
            self.closed.setdefault(entry.session, entry.wall)


def _ledger(
    recordings: Recordings,
    elsewhere: Elsewhere,
    ledger: Path | None,
    trust: Sequence[Path],
    checkpoints: Sequence[Path],
    times: _LedgerTimes,
) -> LedgerIndex | None:
    if (store := elsewhere.store) is not None:
        beside = [store / TRUST_NAME, store.absolute().parent / TRUST_NAME]
        directory = ledger or ledger_beside(store)
    else:
        data_dir = recordings.config.data_dir
        beside = [data_dir / TRUST_NAME]
        directory = ledger or data_dir / "ledger"
    if directory is None or not is_ledger(directory):
        return None
    believed = trust or [each for each in beside if each.exists()][:1]
    return read_ledger(directory, Trust.load(*believed, beside=beside), checkpoints, times.visit)


def _sessions(
    recordings: Recordings, index: LedgerIndex | None, times: _LedgerTimes
) -> dict[str, KnownSession]:
    """Give all that ledger and recordings know, by id."""
    found: dict[str, KnownSession] = {}
    for row in _rows(recordings):
        logged = _is_logged(index, row.id) if index is not None and row.status != LIVE else None
        reached = bool(row.bytes_upstream) if row.bytes_client or row.bytes_upstream else None
        found[row.id] = KnownSession(row.id, row.started, row.ended, row.target, logged, reached)
    if index is not None:
        for raw, leaves in index.sessions.items():
            name = session_text(raw)
            if leaves.opened is not None and name not in found:
                closed = times.closed.get(raw)
                ended = closed / 1e9 if closed is not None else None
                found[name] = KnownSession(name, _began(raw), ended, None, logged=True)
    return found


def _is_logged(index: LedgerIndex, name: str) -> bool:
    leaves = index.sessions.get(session_bytes(name))
    return leaves is not None and leaves.opened is not None


def _began(raw: bytes) -> float:
    return int.from_bytes(raw[:6], "big") / 1e3  # RFC 9562 §5.7


def _rows(recordings: Recordings) -> Iterator[SessionRow]:
    before = ""
    while page := recordings.catalog.find(SessionFilter(limit=PAGE, before=before)):
        yield from map(recordings.truthful, page)
        before = page[-1].id


def _tagged(recordings: Recordings, target: str) -> bool:
    known = recordings.config.targets.get(target)
    return bool(getattr(known.info.options, "tag", False)) if known is not None else False
