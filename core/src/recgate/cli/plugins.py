"""`recgate plugins`: which there are, from where, whether they are enabled, what each brings; and a new one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from recgate.cli.context import configuration, json_option, print_json, unbound_registry
from recgate.errors import ConfigurationError, PluginError
from recgate.plugins import rendering
from recgate.plugins.overview import Overview, overview

__all__ = ["plugins"]


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """Which plugins there are and what each provides."""
    if ctx.invoked_subcommand is None:
        _list(as_json)


@plugins.command()
@json_option
def ls(as_json: bool) -> None:
    """List installed plugins; `*` marks those that the configuration enables."""
    _list(as_json)


@plugins.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one plugin. Exit status 1 if there is none of that name."""
    found = [item for item in _overviews() if item.name == name]
    if not found:
        click.echo(f"no installed plugin is called {name}; see `recgate plugins`", err=True)
        raise click.exceptions.Exit(1)
    for item in found:
        if as_json:
            print_json(asdict(item))
            continue
        click.echo(
            f"{item.name}: {item.distribution} {item.version}, {'enabled' if item.enabled else 'not enabled'}"
        )
        click.echo(f"  module    {item.module}")
        for provided in item.provides:
            click.echo(f"  provides  {provided}")
        for hook in item.hooks:
            click.echo(f"  hook      {hook}")
        if item.error:
            click.echo(f"  refused   {item.error}")


@plugins.command()
@click.argument("kind", type=click.Choice(rendering.KINDS))
@click.argument("name")
@click.option("--summary", default="", help="One line about it, for its metadata and README.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where its directory is made; here by default.",
)
def new(kind: str, name: str, summary: str, directory: Path) -> None:
    """Write a plugin of your own to begin with: a package with its entry point, tests and README.

    NAME is what the configuration calls it. The files are those of the cookiecutter template `plugin-template`.
    """
    try:
        filled = rendering.values(kind, name, summary)
        made = rendering.render(kind, filled, directory)
    except (PluginError, OSError) as exc:
        click.echo(str(exc), err=True)
        raise click.exceptions.Exit(2) from None
    click.echo(f"wrote {made}. Next:")
    click.echo(f"  pip install -e '{made}[test]'")
    click.echo(f"  python -m pytest {made}")
    click.echo(f"  recgate plugins show {filled['plugin']}")


def _overviews() -> list[Overview]:
    try:
        enabled = configuration().plugins
    except ConfigurationError as exc:
        # The list is what one needs to mend a configuration that names a plugin wrongly.
        click.echo(
            f"the configuration cannot be read, so none is marked as enabled: {exc.problems[0]}", err=True
        )
        enabled = ()
    return overview(unbound_registry(), enabled)


def _list(as_json: bool) -> None:
    items = _overviews()
    if as_json:
        for item in items:
            print_json(asdict(item))
        return
    widths = [
        max((len(text) for text in column), default=0) for column in zip(*map(_columns, items), strict=True)
    ]
    for item in items:
        mark = "*" if item.enabled else " "
        cells = "  ".join(text.ljust(width) for text, width in zip(_columns(item), widths, strict=True))
        what = f"REFUSED: {item.error}" if item.error else ", ".join(item.provides)
        click.echo(f"{mark} {cells}  {what}")


def _columns(item: Overview) -> tuple[str, str]:
    return item.name, f"{item.distribution} {item.version}"
