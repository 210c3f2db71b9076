"""`recgate demo`: the plugin `demo` does the work; this word of the core's finds it or says how to get it.

The plugin is not enabled by a configuration, since the demo brings a configuration of its own.
"""

from __future__ import annotations

from typing import Final

import click

from recgate.cli.context import unbound_registry, with_config_option
from recgate.errors import PluginError
from recgate.plugins.discovery import NotInstalled

__all__ = ["demo"]

PLUGIN: Final = "demo"


class _Demo(click.Command):
    """Becomes the plugin's command when it is run or asked for help, options included."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Make the context of the plugin's command. Raises `PluginError` if there is none."""
        with parent.scope(cleanup=False) if parent is not None else click.Context(self):
            command = _command()
        return with_config_option(command).make_context(info_name, args, parent)


def _command() -> click.Command:
    registry = unbound_registry().alone()
    try:
        registry.load([PLUGIN])
    except NotInstalled as exc:
        raise PluginError("the demo is not installed. Run `pip install recgate-demo`.") from exc
    for _, command in registry.commands():
        if command.name == PLUGIN:
            return command
    raise PluginError(
        f"{registry.loaded[PLUGIN].candidate} brings no command `demo`. Reinstall recgate-demo."
    )


demo = _Demo("demo", help="Start a gateway with real targets behind it, to try it out.")
