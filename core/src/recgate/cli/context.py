"""What every command shares: the configuration that `--config` names, its plugins, and how lines are printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

import click

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.plugins import Registry

__all__ = [
    "config_option",
    "configuration",
    "configuration_file",
    "json_option",
    "print_json",
    "registry",
    "remember_file",
    "unbound_registry",
    "with_config_option",
]

_FILE: Final = "recgate.config.file"
_CONFIGURATION: Final = "recgate.config.configuration"
_REGISTRY: Final = "recgate.config.registry"


def remember_file(ctx: click.Context, path: Path | None) -> None:
    """Note the file that `--config` named; the innermost one counts."""
    if path is not None and path != ctx.meta.get(_FILE):
        ctx.meta[_FILE] = path
        ctx.meta.pop(_CONFIGURATION, None)
        ctx.meta.pop(_REGISTRY, None)


def configuration_file() -> Path | None:
    """Give what `--config` named, or None."""
    return cast("Path | None", click.get_current_context().meta.get(_FILE))


def configuration() -> Configuration:
    """Give the configuration of this command, read once. Raises `ConfigurationError`."""
    from recgate import config

    meta = click.get_current_context().meta
    if _CONFIGURATION not in meta:
        meta[_CONFIGURATION] = config.load(configuration_file(), unbound_registry())
    return cast("Configuration", meta[_CONFIGURATION])


def registry() -> Registry:
    """Give the plugins of this command's configuration. Raises `ConfigurationError`, `PluginError`."""
    config = configuration()
    found = unbound_registry()
    found.bind(config)
    return found


def unbound_registry() -> Registry:
    """Give the plugins of this command before, or without, a configuration that can be read."""
    from recgate.plugins import Registry

    ctx = click.get_current_context()
    if _REGISTRY not in ctx.meta:
        # `obj` brings in-process plugins: a test, or a program that embeds the command line.
        extra = cast("Mapping[str, ModuleType] | None", ctx.find_root().obj)
        ctx.meta[_REGISTRY] = Registry(extra)
    return cast("Registry", ctx.meta[_REGISTRY])


def _config_callback(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    remember_file(ctx, value)


def config_option() -> click.Option:
    """Make the option that every command has."""
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_config_callback,
        help="The configuration; else $RECGATE_CONFIG, ./recgate.yaml, or the embedded defaults.",
    )


def with_config_option(command: click.Command) -> click.Command:
    """Give `--config` to a command and to all below it that have none, and return it."""
    if not any("--config" in parameter.opts for parameter in command.params):
        command.params.append(config_option())
    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_config_option(below)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def print_json(value: Mapping[str, object]) -> None:
    """Print one object as one line."""
    click.echo(json.dumps(value, separators=(",", ":"), default=str))
