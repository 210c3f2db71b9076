"""`recgate ledger`: its heads, its entries, and whether it is what was signed. Works on any copy or mirror."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from recgate.cli.context import json_option, print_json
from recgate.cli.ledgerplace import is_ledger, ledger_line, ledger_options, read_ledger
from recgate.cli.ledgerwords import bound_words, entry_fields, entry_words, read_words
from recgate.cli.recordings import NOTHING, Recordings, nothing
from recgate.errors import LedgerDamaged
from recgate.ids import session_text
from recgate.ledger.acts import Words
from recgate.ledger.entries import SHAPES, read_entry
from recgate.ledger.reading import LedgerReading
from recgate.recording.ledgered import LedgerIndex, moment
from recgate.recording.trust import Trust
from recgate.transcript.columns import aligned
from recgate.transcript.neutral import neutralise

__all__ = ["ledger"]

_trust = click.option(
    "--trust",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Public keys to believe (a gateway's trust.json); may be given more than once.",
)


@click.group(invoke_without_command=True)
@click.pass_context
def ledger(context: click.Context) -> None:
    """The append-only log of recordings and administrative acts: heads, entries, and whether it holds.

    Without a command, its head.
    """
    if context.invoked_subcommand is None:
        context.invoke(head)


@ledger.command("head")
@ledger_options
@_trust
@json_option
def head(ledger: Path | None, checkpoints: tuple[Path, ...], trust: tuple[Path, ...], as_json: bool) -> None:
    """Show size, root and checkpoint, and who signed it. Exit status 1 if it does not hold."""
    index = _read(ledger, trust, checkpoints)
    if as_json:
        print_json(_head(index))
    else:
        for line in aligned([[name, str(value)] for name, value in _rows(index)]):
            click.echo(neutralise(line))
        _findings(index)
    _leave(index)


@ledger.command("ls")
@ledger_options
@_trust
@json_option
def ls(ledger: Path | None, checkpoints: tuple[Path, ...], trust: tuple[Path, ...], as_json: bool) -> None:
    """Show the head of each ledger on a line."""
    index = _read(ledger, trust, checkpoints)
    if as_json:
        print_json(_head(index))
    else:
        click.echo(neutralise(ledger_line(index)))
    _leave(index)


@ledger.command("check")
@ledger_options
@_trust
@json_option
def check(ledger: Path | None, checkpoints: tuple[Path, ...], trust: tuple[Path, ...], as_json: bool) -> None:
    """Compute the root from the entries and compare it with what was signed, here and in kept checkpoints."""
    index = _read(ledger, trust, checkpoints)
    if as_json:
        print_json({**_head(index), "problems": _problems(index)})
    else:
        click.echo(neutralise(ledger_line(index)))
        _findings(index)
        if index.reading.sound:
            click.echo("it is what was signed")
    _leave(index)


@ledger.command("entries")
@click.option(
    "--kind", multiple=True, type=click.Choice(sorted(SHAPES)), help="Of this kind; may be repeated."
)
@click.option("--session", default="", help="About a session, by the beginning of its id.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="From this entry on.")
@click.option(
    "--audit",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="An audit trail (audit.jsonl): its words are shown where an entry has their digest; may be repeated.",
)
@ledger_options
@_trust
@json_option
def entries(
    kind: tuple[str, ...],
    session: str,
    start: int,
    audit: tuple[Path, ...],
    ledger: Path | None,
    checkpoints: tuple[Path, ...],
    trust: tuple[Path, ...],
    as_json: bool,
) -> None:
    """List what was logged. People are hashes here: their names are in the audit trail alone.

    With --audit, an act of administration comes with its words, if they are the ones that were entered.

    Exit status 1 if the ledger does not hold; what is wrong with it comes behind the entries.
    """
    chosen = _Chosen(frozenset(kind), session.strip().upper(), start, as_json, read_words(audit))
    index = _read(ledger, trust, checkpoints, chosen)
    if not as_json:
        _findings(index)
    if not chosen.shown and index.reading.sound:
        nothing("the ledger has no such entry")
    _leave(index)


@dataclass(slots=True)
class _Chosen:
    """Prints the entries that were asked for as they are read."""

    kinds: frozenset[str]
    session: str
    start: int
    as_json: bool
    words: Mapping[bytes, Words]
    shown: int = 0

    def visit(self, number: int, data: bytes) -> None:
        """Look at one entry. What is none is the index's finding."""
        if number < self.start:
            return
        with suppress(LedgerDamaged):
            entry = read_entry(data)
            about = session_text(entry.session) if entry.session is not None else ""
            if (self.kinds and entry.kind not in self.kinds) or not about.startswith(self.session):
                return
            self.shown += 1
            words = bound_words(entry, self.words)
            if self.as_json:
                said = {"words": {"event": words.event, **words.fields}} if words is not None else {}
                print_json(
                    {
                        "entry": number,
                        "kind": entry.kind,
                        "wall": entry.wall,
                        **dict(entry_fields(entry)),
                        **said,
                    }
                )
                return
            click.echo(
                neutralise(f"{number:>8}  {moment(entry.wall)}  {entry.kind:<9}  {entry_words(entry)}")
            )
            if words is not None:
                told = " ".join(f"{name}={value}" for name, value in words.fields.items() if name != "salt")
                click.echo(neutralise(f"{'':>8}  {words.event}: {told}"))


def _read(
    ledger: Path | None, trust: Sequence[Path], checkpoints: Sequence[Path], chosen: _Chosen | None = None
) -> LedgerIndex:
    """Read the ledger that was named, or the configured gateway's."""
    directory, files = ledger, list(trust)
    if directory is None:
        data_dir = Recordings().config.data_dir
        directory, own = data_dir / "ledger", data_dir / "trust.json"
        files = files or ([own] if own.exists() else [])
        if not is_ledger(directory):
            nothing(f"there is no ledger in {directory} yet: a gateway begins it when it first starts")
    visit = chosen.visit if chosen is not None else None
    return read_ledger(directory, Trust.load(*files), checkpoints, visit)


def _rows(index: LedgerIndex) -> Iterator[tuple[str, object]]:
    reading, facts = index.reading, _head(index)
    yield "origin", facts["origin"] or "none: there is no checkpoint"
    yield "entries", f"{reading.size}, {reading.signed} of them signed"
    yield "root", facts["root"]
    yield "since", moment(index.since)
    if reading.checkpoint is not None:
        yield "checkpoint", f"{reading.checkpoint.size} entries"
    for name in _signers(reading):
        yield "signed by", name


def _head(index: LedgerIndex) -> dict[str, object]:
    reading = index.reading
    checkpoint = reading.checkpoint
    return {
        "ledger": str(reading.directory),
        "origin": checkpoint.origin if checkpoint is not None else None,
        "size": reading.size,
        "root": base64.b64encode(reading.frontier.root()).decode(),
        "signed": reading.signed,
        "checkpoint": checkpoint.size if checkpoint is not None else None,
        "signers": _signers(reading),
        "since": index.since,
        "sound": reading.sound,
    }


def _signers(reading: LedgerReading) -> list[str]:
    """Name those whose signatures the checkpoint has. Of witnesses that is a claim: `recgate verify` looks into it."""
    return [line.name for line in reading.note.lines] if reading.note is not None else []


def _problems(index: LedgerIndex) -> list[dict[str, str]]:
    return [{"where": each.where, "what": each.what} for each in index.reading.findings]


def _findings(index: LedgerIndex) -> None:
    for each in index.reading.findings:
        click.echo(neutralise(f"    {each.where}: {each.what}"))


def _leave(index: LedgerIndex) -> None:
    if not index.reading.sound:
        raise click.exceptions.Exit(NOTHING)
