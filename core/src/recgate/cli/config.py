"""`recgate config`: is the file right, and what may stand in it?"""

from __future__ import annotations

import json

import click

from recgate.cli.context import configuration, json_option, print_json
from recgate.config import merged_groups
from recgate.config.files import EMBEDDED
from recgate.errors import ConfigurationError, ConfigurationUnreadable

__all__ = ["config"]


@click.group()
def config() -> None:
    """Check the configuration, or print its JSON Schema."""


@config.command()
@json_option
def check(as_json: bool) -> None:
    """Say everything that is wrong with the configuration: file, line, key, remedy.

    What is right and may not be meant is a note on the error output. Exit status 1 if anything is wrong, 2 if the file
    cannot be read.
    """
    try:
        found = configuration()
    except ConfigurationUnreadable:
        raise  # not a no: nothing could be checked
    except ConfigurationError as exc:
        for problem in exc.problems:
            if as_json:
                print_json({"ok": False, "problem": problem})
            else:
                click.echo(problem)
        raise click.exceptions.Exit(1) from exc
    source = str(found.source or EMBEDDED)
    entries = [(entry.word, entry.options) for entry in found.identity]
    notes = [f"{source}: identity[{n}]: {what}" for n, what in merged_groups(entries)]
    if as_json:
        print_json({"ok": True, "file": source, "digest": found.digest, "notes": notes})
        return
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"{source}: ok. {len(found.listeners)} listeners, {len(found.targets)} targets, "
        f"plugins {', '.join(found.plugins)}; digest {found.digest[:16]}"
    )


@config.command()
def schema() -> None:
    """Print JSON Schema of the configuration, with the keys of every installed plugin, for editors."""
    from recgate.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
