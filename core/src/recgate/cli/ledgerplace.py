"""Find a ledger, read it once, and say on a line what it is: what `recgate verify` and `recgate ledger` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from recgate.cli.progress import steps
from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import Checkpoint, parse_checkpoint
from recgate.ledger.note import MAX_NOTE
from recgate.ledger.reading import read_checkpoint
from recgate.ledger.tail import newest_tail
from recgate.ledger.tiles import CHECKPOINT_NAME
from recgate.recording.ledgered import LedgerIndex, moment
from recgate.recording.trust import Trust

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["held_heads", "is_ledger", "ledger_beside", "ledger_line", "ledger_options", "read_ledger"]


def ledger_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--ledger` and `--checkpoint`."""
    command = click.option(
        "--checkpoint",
        "checkpoints",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A checkpoint that somebody kept: the ledger must have grown out of it; may be repeated.",
    )(command)
    return click.option(
        "--ledger",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="The ledger or a mirror of it, if it is neither the gateway's nor in or beside the recordings.",
    )(command)


def is_ledger(directory: Path) -> bool:
    """Say whether a ledger is there."""
    return (directory / CHECKPOINT_NAME).exists() or newest_tail(directory) is not None


def ledger_beside(store: Path) -> Path | None:
    """Find the ledger that goes with a directory of recordings: in it, or beside it."""
    places = (store / "ledger", store.absolute().parent / "ledger")
    return next((each for each in places if is_ledger(each)), None)


def read_ledger(
    directory: Path,
    trust: Trust,
    checkpoints: Sequence[Path] = (),
    visit: Callable[[int, bytes], None] | None = None,
) -> LedgerIndex:
    """Read a ledger to its end and check it; `visit` gets every entry.

    Raises:
        UsageError: one of `checkpoints` is none.
    """
    older = [(str(path), _kept(path)) for path in checkpoints]
    index = LedgerIndex(directory, trust.ledgers, older, visit)
    with steps("reading the ledger") as at:
        index.read(at)
    return index


def held_heads(checkpoints: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Give the bytes of heads that somebody kept, by where they are. Raises `UsageError`: one cannot be read."""
    try:
        return [(str(path), path.read_bytes()[: MAX_NOTE + 1]) for path in checkpoints]
    except OSError as error:
        raise click.UsageError(f"a checkpoint cannot be read: {error}") from error


def _kept(path: Path) -> Checkpoint:
    # Its signature does not matter: a ledger that the trusted key signed must lead to it, whoever kept it.
    try:
        return parse_checkpoint(read_checkpoint(path).text)
    except (LedgerDamaged, OSError) as error:
        raise click.UsageError(f"{path} is no checkpoint: {error}") from error


def ledger_line(index: LedgerIndex) -> str:
    """Say what a ledger is, and up to where it is signed."""
    reading = index.reading
    origin = reading.checkpoint.origin if reading.checkpoint is not None else "without a checkpoint"
    signed = "all" if reading.signed == reading.size else f"{reading.signed}"
    since = f", since {moment(index.since)}" if reading.size else ""
    return f"ledger {origin}: {reading.size} entries, {signed} of them signed{since}"
