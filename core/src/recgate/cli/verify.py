"""`recgate verify`: are recordings what the gateway sealed, and if not, where not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import track

from recgate.cli.bundles import AskedOfBundle, check_bundle, is_bundle
from recgate.cli.context import json_option, print_json
from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.ledgerplace import (
    held_heads,
    is_ledger,
    ledger_beside,
    ledger_line,
    ledger_options,
    read_ledger,
)
from recgate.cli.proofs import are_files, check_proofs
from recgate.cli.recordings import MIN_PREFIX, NOTHING, Recordings, nothing
from recgate.recipients.keyring import Keyring
from recgate.recording.directory import RecordingDirectory, is_session
from recgate.recording.ledgered import LEDGER, LedgerIndex
from recgate.recording.reader import Archive, Readable
from recgate.recording.report import LEVELS, Answer, Report, Status
from recgate.recording.trust import TRUST_NAME, Trust
from recgate.recording.verify import verify_session
from recgate.recording.witnessed import Vouching
from recgate.transcript.columns import aligned
from recgate.transcript.neutral import neutralise

__all__ = ["verify"]

MAX_SIGNERS: Final = 10  # unknown keys that are named
MEANINGS: Final = {
    "file": "signatures, chain, digests, numbers, an end",
    "logged": "every item is in the ledger",
    "complete": "everything that the ledger opened and sealed is here",
    "witnessed": "others vouch for the time",
    "contents": "frames recomputed against what was sealed",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where recordings are, and whose signatures are believed."""

    store: Readable
    trust: Trust
    journal: Path | None
    keyring: Keyring
    beside: Path | None = None  # where its ledger is
    ledger: LedgerIndex | None = None
    vouching: Vouching | None = None


@click.command()
@click.argument("session", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every recording that there is.")
@click.option(
    "--trust",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Public keys to believe (a gateway's trust.json); may be given more than once.",
)
@ledger_options
@click.option(
    "--require",
    multiple=True,
    type=click.Choice(LEVELS),
    help="Fail unless this level holds; may be repeated.",
)
@click.option("--no-contents", is_flag=True, help="Do not look into the frames; the signatures cover them.")
@json_option
@elsewhere_options
def verify(
    session: tuple[str, ...],
    everything: bool,
    trust: tuple[Path, ...],
    ledger: Path | None,
    checkpoints: tuple[Path, ...],
    require: tuple[str, ...],
    no_contents: bool,
    as_json: bool,
    elsewhere: Elsewhere,
) -> None:
    """Check recordings: complete, missing, altered, and where. Works offline, with public keys alone.

    Instead of sessions it takes files: bundles and proofs of frames (recgate export --format bundle, proof).

    Of what is sealed to auditors, contents are checked with one's private key only (--identity).
    Exit status 0 if every recording holds, 1 if one does not. With --all, sessions that are still live are listed
    and not counted.
    """
    store = elsewhere.store
    if bool(session) == everything and (session or store is None):
        raise click.UsageError("name sessions, or say --all")
    if are_files(session):
        bundles = [name for name in session if is_bundle(name)]
        proofs = [name for name in session if name not in bundles]
        asked = AskedOfBundle(trust, elsewhere, require, contents=not no_contents)
        held = [check_bundle(Path(name), asked, as_json=as_json) for name in bundles]
        held.append(check_proofs(proofs, Trust.load(*trust), as_json=as_json) if proofs else True)
        if not all(held):
            raise click.exceptions.Exit(NOTHING)
        return
    place = _offline(elsewhere, store, trust) if store is not None else _configured(elsewhere, trust)
    place = _with_ledger(place, ledger, checkpoints)
    names = _named(place, session) if session else sorted(set(_known(place)))
    if not names and place.ledger is None:
        nothing("there is no recording")
    tally = _Tally(require, pending_holds=not session)
    for report in _reports(place, names, contents=not no_contents):
        tally.add(report)
        if as_json:
            print_json(report.as_json())
        else:
            for line in _lines(report, explain=bool(elsewhere.identities)):
                click.echo(line)
    if not as_json:
        for line in tally.lines(_about_ledger(place)):
            click.echo(line)
    if not tally.held:
        raise click.exceptions.Exit(NOTHING)


@dataclass(slots=True)
class _Tally:
    """What all reports together say. `pending_holds`: what is not sealed yet is listed, and is no failure."""

    require: Sequence[str]
    pending_holds: bool
    held: bool = True
    counts: Counter[Status] = field(default_factory=Counter[Status])
    levels: dict[str, Answer] = field(default_factory=lambda: dict.fromkeys(LEVELS, Answer.OK))
    signers: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def add(self, report: Report) -> None:
        """Count one recording; what is wrong with the ledger itself counts against all of them."""
        if report.session == LEDGER:
            self.held = False
            failed = {level for level, answer in report.levels.items() if answer is Answer.FAILED}
            # Of a ledger that is damaged nobody can say either what it has and is not here.
            failed |= {"complete"} if "logged" in failed else set()
            self.levels.update(dict.fromkeys(failed, Answer.FAILED))
            return
        self.counts[report.status] += 1
        if report.status is Status.UNTRUSTED and len(self.signers) < MAX_SIGNERS:
            self.signers.add((report.gateway, report.key))
        if report.status is Status.UNSEALED and self.pending_holds:
            return
        self.held &= report.ok and all(report.levels[level] is Answer.OK for level in self.require)
        for level, answer in report.levels.items():
            if answer is Answer.FAILED or self.levels[level] is Answer.OK:
                self.levels[level] = answer

    def lines(self, ledger: Iterable[str]) -> Iterator[str]:
        """Give a line for each level, what is said of the ledger, and how many recordings are what."""
        yield ""
        yield from aligned([[level, str(self.levels[level]), MEANINGS[level]] for level in LEVELS])
        yield ""
        yield from ledger
        total = self.counts.total()
        which = ", ".join(f"{self.counts[status]} {status}" for status in Status if self.counts[status])
        yield f"{total} recording{'s' if total != 1 else ''}: {which}"
        for gateway, key in sorted(self.signers):
            yield neutralise(
                f"signed by {gateway} with {key}: if that is your gateway's key, say --trust trust.json"
            )


def _with_ledger(place: _Place, ledger: Path | None, checkpoints: Sequence[Path]) -> _Place:
    """Read the ledger, once for all recordings."""
    directory = ledger or place.beside
    if directory is None:
        if checkpoints:
            raise click.UsageError(
                "--checkpoint is held against a ledger, and none is there: say --ledger DIR"
            )
        return place
    vouching = Vouching(directory, place.trust, held_heads(checkpoints))
    index = read_ledger(directory, place.trust, checkpoints, vouching.visit)
    vouching.conclude(index)
    return replace(place, ledger=index, vouching=vouching)


def _about_ledger(place: _Place) -> Iterator[str]:
    if place.ledger is not None:
        yield neutralise(ledger_line(place.ledger))
        if place.vouching is not None:
            yield from map(neutralise, place.vouching.lines())
    elif place.trust.ledgers:
        names = ", ".join(key.name for key in place.trust.ledgers[:5])
        yield neutralise(
            f"the trust file names a ledger ({names}); say --ledger DIR to hold recordings against it"
        )


def _known(place: _Place) -> Iterator[str]:
    yield from Archive(place.store, place.journal).sessions()
    if place.ledger is not None:
        yield from place.ledger.names()


def _offline(elsewhere: Elsewhere, store: Path, trust: Sequence[Path]) -> _Place:
    files = (store / TRUST_NAME, store.absolute().parent / TRUST_NAME)
    loaded = Trust.load(*trust, beside=files)
    return _Place(RecordingDirectory(store), loaded, None, elsewhere.keyring(), ledger_beside(store))


def _configured(elsewhere: Elsewhere, trust: Sequence[Path]) -> _Place:
    recordings = Recordings()
    own = recordings.config.data_dir / TRUST_NAME
    believed = trust or ([own] if own.exists() else [])
    journal = recordings.config.data_dir / "journal"
    keyring = elsewhere.keyring(recordings.config.data_dir)
    loaded, directory = Trust.load(*believed, beside=[own]), recordings.config.data_dir / "ledger"
    # Where the trust file names a ledger, one that is gone is looked for all the same: that is an answer, too.
    beside = directory if loaded.ledgers or is_ledger(directory) else None
    return _Place(recordings.registry.store, loaded, journal, keyring, beside)


def _named(place: _Place, names: Sequence[str]) -> list[str]:
    """Give full ids. One that nothing begins with stays as it is: that it is missing is the answer."""
    known: list[str] | None = None
    found: list[str] = []
    for name in names:
        wanted = name.strip().upper()
        if not is_session(wanted) and len(wanted) >= MIN_PREFIX:
            known = sorted(Archive(place.store, place.journal).sessions()) if known is None else known
            fitting = [each for each in known if each.startswith(wanted)]
            if len(fitting) > 1:
                nothing(f"several recordings begin with {name[:64]}: {', '.join(fitting[:5])}")
            wanted = fitting[0] if fitting else wanted
        found.append(wanted)
    return found


def _reports(place: _Place, names: Sequence[str], *, contents: bool) -> Iterator[Report]:
    console = Console(stderr=True)
    shown: Iterable[str] = names
    if console.is_terminal and len(names) > 1:
        shown = track(names, "verifying", console=console, transient=True)
    for name in shown:
        report = verify_session(
            name,
            place.store,
            place.trust,
            journal=place.journal,
            contents=contents,
            keyring=place.keyring,
            ledger=place.ledger,
        )
        if place.ledger is not None and place.vouching is not None:
            place.vouching.judge(report, place.ledger)
        yield report
    # Behind the recordings: what a live gateway has logged meanwhile is read by then.
    if place.ledger is not None:
        report = place.ledger.report()
        if report is None and place.vouching is not None:
            report = place.vouching.silence(place.ledger)
        if report is not None:
            yield report


def _lines(report: Report, *, explain: bool) -> Iterator[str]:
    """Give the lines of one recording; `explain` says as well why contents could not be looked at."""
    size = f"{report.segments} segments, {report.frames} frames, {report.stored} bytes"
    if report.session == LEDGER:
        size = "the ledger itself, in"
    yield neutralise(f"{report.session}  {report.status:<10}  {size}  {report.reason}".rstrip())
    for problem in report.problems:
        yield neutralise(f"    {problem.where}: {problem.what}")
    if report.sealed and explain:
        yield neutralise(f"    contents not looked at: {report.sealed}")
