"""`recgate keys`: the gateway's own keys: which there are, put new ones in their places, go on when they are lost."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from recgate.cli.context import configuration, json_option, print_json, registry
from recgate.cli.livesocket import NotRunning, ask
from recgate.datadir import locked_data_dir
from recgate.keys import GatewayKeys
from recgate.keys.adoption import adopt as adopt_keys
from recgate.keys.listing import KeyRow, key_rows
from recgate.keys.rotation import ROTATIONS, RotatedKey
from recgate.recording.plan import ledger_plan
from recgate.transcript.columns import aligned

__all__ = ["keys"]


@click.group()
def keys() -> None:
    """The gateway's own keys, on its own machine."""


@keys.command()
@json_option
def ls(as_json: bool) -> None:
    """List every key: what for, algorithm, fingerprint, since when, and where it rests. Shows nothing secret."""
    rows = list(key_rows(configuration().data_dir / "keys"))
    if as_json:
        for row in rows:
            print_json(asdict(row))
        return
    for line in aligned([_cells(row) for row in rows]):
        click.echo(line)


def _cells(row: KeyRow) -> list[str]:
    since = f"since {_day(row.since)}" if row.since else f"until {_day(row.until)}"
    return [row.key, row.algorithm or "-", row.fingerprint or "-", since, row.at, row.purpose]


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


@keys.command()
@click.argument("key", type=click.Choice([each.value for each in RotatedKey]))
@json_option
def rotate(key: str, as_json: bool) -> None:
    """Put a new key in the place of one that recordings rest on.

    Sessions go on: a running gateway takes the new key up at once. Without one it is there at the next start.
    """
    config = configuration()
    try:
        (said,) = list(ask(config.data_dir, {"do": "rotate", "key": key}))
        old, new = str(said["old"]), str(said["new"])
    except NotRunning:
        with locked_data_dir(config.data_dir):
            own = GatewayKeys.of(config, registry().keeper)
            own.prepare()
            old, new = ROTATIONS[RotatedKey(key)](own)
            ledger_plan(config, own).log_rotation(key, old, new)
    if as_json:
        print_json({"key": key, "old": old, "new": new})
        return
    click.echo(f"{key}: {new} in the place of {old}")
    if key != RotatedKey.JOURNAL:
        click.echo(
            "trust.json says so, signed by the old key: give it to whoever verifies, or leave theirs as it is"
        )


@keys.command()
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The last trust.json that anybody has of this gateway; else the one in its data_dir.",
)
@json_option
def adopt(trust: Path | None, as_json: bool) -> None:
    """Go on after the keys were lost for good: make new ones, and say what is lost with the old ones.

    With the gateway stopped. What the old identity signed verifies as before; what the new one signs is `untrusted` for
    whoever is not told of it, because nothing can prove that it is the same gateway.
    """
    config = configuration()
    with locked_data_dir(config.data_dir):
        done = adopt_keys(GatewayKeys.of(config, registry().keeper), trust)
    if as_json:
        print_json(asdict(done))
        return
    for each in done.lost:
        click.echo(f"lost: {each}; what it signed verifies, and it signs nothing any more")
    for journal in done.journals:
        click.echo(f"lost: {journal.size} bytes of session {journal.session} that were not sealed yet")
    if done.ledger:
        click.echo(f"ledger: a new one begins; the one before is kept in {done.ledger}")
    click.echo(f"identity: {done.identity}")
    click.echo(
        "tell this fingerprint to whoever verifies, by telephone or in person, and give them the new trust.json"
    )
