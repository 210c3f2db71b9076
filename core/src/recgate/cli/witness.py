"""`recgate witness`: vouch for the heads of other gateways' ledgers; a machine of its own needs nothing else."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Final, cast

import click
import trio

from recgate.cli.context import json_option, print_json
from recgate.config.values import Bind, parse_bind
from recgate.errors import ConfigurationError, LedgerDamaged
from recgate.ledger.note import MAX_NOTE, Vkey
from recgate.logs import configure_logs
from recgate.transcript.columns import aligned
from recgate.transcript.neutral import neutralise
from recgate.witness.judging import Witness, add_logs, known_logs, log_key, make_witness
from recgate.witness.memory import Refusal
from recgate.witness.server import serve_witness

__all__ = ["witness"]

REFUSED: Final = 1  # exit status: a log has signed two histories

_state = click.option(
    "--state",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the witness keeps its key and what it has seen.",
)


@click.group()
def witness() -> None:
    """Vouch for the ledgers of other gateways (C2SP tlog-witness)."""


@witness.command()
@_state
@click.option("--name", required=True, help="What cosignatures call it, such as witness.example/w1.")
def new(state: Path, name: str) -> None:
    """Make a witness's key, and print the public one.

    Gateways name it under `recording.witnesses`, auditors in their trust file. Run again, it prints the same key.
    """
    click.echo(make_witness(state, name).text)


@witness.command()
@_state
@click.argument("log", nargs=-1, required=True)
def follow(state: Path, log: tuple[str, ...]) -> None:
    """Look at more logs: LOG is the key of a ledger, or the trust.json of its gateway.

    A running witness sees it at its next request.
    """
    for key in add_logs(state, [key for each in log for key in _keys(each)]):
        click.echo(f"looking at {neutralise(key.name)}")


@witness.command()
@_state
@click.option(
    "--listen", default="127.0.0.1:7070", show_default=True, metavar="HOST:PORT", help="Where to answer."
)
@click.option("--name", help="Make the witness first, if there is none in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print `ready` as JSON with the address that is bound.")
def serve(state: Path, listen: str, name: str | None, as_json: bool) -> None:
    """Answer logs until it is told to stop.

    Cosigns a head only if it follows from the one that it cosigned before. What it refuses is logged, counted in
    /metrics, and kept as proof (`recgate witness show`).
    """
    try:
        bind = parse_bind(listen)
    except ValueError as exc:
        raise click.UsageError(f"--listen {exc}") from exc
    configure_logs()
    if name is not None:
        make_witness(state, name)
    trio.run(_serve, Witness(state), bind, as_json)


async def _serve(judge: Witness, bind: Bind, as_json: bool) -> None:
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
            host, port = cast(
                "tuple[str, int]", await nursery.start(serve_witness, judge, bind.host, bind.port)
            )
            ready = {"ready": True, "host": host, "port": port, "key": judge.vkey.text}
            click.echo(json.dumps(ready) if as_json else f"ready on {host}:{port}: {judge.vkey.text}")
            sys.stdout.flush()
    except* OSError as group:
        reason = group.exceptions[0]
        raise ConfigurationError(
            f"cannot listen on {bind}: {reason}. Is another program on that address?"
        ) from None


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return


@witness.command()
@_state
@click.option(
    "--proof",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write both heads of everything refused there.",
)
@json_option
def show(state: Path, proof: Path | None, as_json: bool) -> None:
    """Show what it has seen of each log, and what it refused.

    Exit status 1 if a log has signed a head that does not follow from the one before: its ledger was changed.
    """
    judge = Witness(state)
    seen = {each.origin: each for each in judge.memory.heads()}
    refusals = judge.memory.refusals()
    rows: list[list[str]] = []
    for origin in sorted({*known_logs(state), *seen}):
        head = seen.get(origin)
        if as_json:
            print_json(
                {
                    "log": origin,
                    "size": head.size if head else 0,
                    "root": head.root.hex() if head else None,
                    "time": head.time if head else None,
                    "refused": sum(each.origin == origin for each in refusals),
                }
            )
        rows.append([origin, str(head.size if head else 0), _moment(head.time) if head else "never"])
    if not as_json:
        click.echo(judge.vkey.text)
        for line in aligned([["LOG", "ENTRIES", "COSIGNED"], *rows]):
            click.echo(neutralise(line))
        for each in refusals:
            click.echo(neutralise(f"REFUSED {_moment(each.time)} {each.origin}: {each.why}"))
    if proof is not None:
        _write_proofs(proof, refusals)
    if refusals:
        raise click.exceptions.Exit(REFUSED)


def _write_proofs(directory: Path, refusals: list[Refusal]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number, each in enumerate(reversed(refusals), 1):
            (directory / f"{number:03d}-cosigned").write_bytes(each.against)
            (directory / f"{number:03d}-refused").write_bytes(each.note)
    except OSError as exc:
        raise ConfigurationError(f"{directory}: cannot be written: {exc.strerror}.") from exc


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _keys(text: str) -> list[Vkey]:
    """Give the keys of logs that an argument stands for."""
    path = Path(text)
    if not path.is_file():
        return [log_key(text)]
    try:
        trust = cast("dict[str, object]", json.loads(path.read_bytes()[: 4 * MAX_NOTE]))
        ledgers = cast("list[dict[str, str]]", trust["ledger"])
        keys = [Vkey.parse(each["vkey"]) for each in ledgers]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, LedgerDamaged) as exc:
        raise ConfigurationError(
            f"{path}: names no ledger ({exc}). Get trust.json from the gateway's data_dir."
        ) from exc
    return [log_key(key.text) for key in keys]
