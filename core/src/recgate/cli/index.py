"""`recgate index`: a search index on the auditor's machine, of what the gateway cannot read and so cannot index."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, cast

import click

from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.offline import OfflineRecordings
from recgate.cli.recordings import nothing
from recgate.errors import RecgateError

__all__ = ["index"]

CATALOG: Final = "catalog.sqlite"  # what tells an index from any other directory


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the index is kept. One that is there goes on where it was left.",
)
@click.option("--level", type=click.Choice(["text", "facts"]), default="text", show_default=True)
@click.option("--values", is_flag=True, help="Bind values and result rows too.")
@elsewhere_options
def index(output: Path, level: str, values: bool, elsewhere: Elsewhere) -> None:
    """Index recordings that are sealed to you, to search them with `recgate search --index DIR`.

    What is indexed lies in DIR in clear: keep it as you keep your key.
    """
    if elsewhere.store is None:
        raise click.UsageError("say --store DIR; on a gateway recordings are indexed before they are sealed")
    _make(output)
    recordings = OfflineRecordings(elsewhere, elsewhere.store, index=output, values=values)
    done = recordings.index(cast("Literal['text', 'facts']", level))
    if not done:
        nothing(f"nothing in {elsewhere.store} could be indexed")
    click.echo(f"{done} sessions are in {output}")


def _make(output: Path) -> None:
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        stranger = any(output.iterdir()) and not (output / CATALOG).exists()
    except OSError as exc:
        raise RecgateError(f"{output} cannot be used: {exc.strerror}") from exc
    if stranger:
        raise RecgateError(f"{output} holds something else than an index; choose an empty directory")
    if output.stat().st_mode & 0o077:
        raise RecgateError(f"{output}: others may look into it. Run `chmod 700 {output}`.")
