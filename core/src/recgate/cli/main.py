"""The `recgate` command: built-in groups from a table, plugins' commands from the configuration in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from recgate import __version__
from recgate.cli.context import (
    config_option,
    registry,
    remember_file,
    unbound_registry,
    with_config_option,
)
from recgate.cli.table import COMMANDS
from recgate.errors import ConfigurationError, PluginError, RecgateError
from recgate.transcript.neutral import neutralise

__all__ = ["COULD_NOT", "RecgateGroup", "main"]

COULD_NOT: Final = 2  # exit status: used wrongly, or could not be done; 1 means that the answer is no


class Failure(click.ClickException):
    """Something recgate raised on purpose: its words are fit for people, a traceback is not."""

    exit_code = COULD_NOT

    def format_message(self) -> str:
        """Spell out what would act on the terminal: a message may quote a file, a peer or a recording."""
        return neutralise(self.message, lines=True)


class RecgateGroup(click.Group):
    """Finds commands late: a built-in one is imported when it is used, and only then are plugins' asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, those of plugins included as far as the configuration can be read."""
        return sorted([*COMMANDS, *self._plugin_commands(ctx, tolerant=True)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a built-in command, or ask the enabled plugins."""
        if cmd_name in COMMANDS:
            module, attribute, _ = COMMANDS[cmd_name]
            command = getattr(import_module(module), attribute)
            assert isinstance(command, click.Command), f"{module}.{attribute}"
            return with_config_option(command)
        by_name = self._called_like_its_plugin(ctx, cmd_name)
        found = self._plugin_commands(ctx, tolerant=by_name is not None).get(cmd_name)
        return found or by_name

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look ahead for `--config`, since it decides which plugins, and so which commands, there are."""
        remember_file(ctx, _config_among(args))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands with their help; built-in ones are not imported for it."""
        rows = [(name, line) for name, (_, _, line) in COMMANDS.items()]
        commands = self._plugin_commands(ctx, tolerant=True)
        rows += [(name, command.get_short_help_str(80)) for name, command in commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what recgate raised on purpose becomes a message and exit status 2."""
        try:
            return super().invoke(ctx)
        except RecgateError as exc:
            raise Failure(str(exc)) from exc
        except BaseExceptionGroup as group:
            ours, rest = group.split(RecgateError)
            if ours is None or rest is not None:
                raise
            raise Failure("\n".join(dict.fromkeys(_messages(ours)))) from group

    def _called_like_its_plugin(self, ctx: click.Context, name: str) -> click.Command | None:
        """Give the command that an installed plugin of this name brings under its own name.

        Who types it has named the plugin, as a configuration would: some commands are for machines without one.
        """
        with ctx.scope(cleanup=False):
            apart = unbound_registry().alone()
        if name not in apart.candidates:
            return None
        apart.load([name])
        found = [command for _, command in apart.commands() if command.name == name]
        return with_config_option(found[0]) if found else None

    def _plugin_commands(self, ctx: click.Context, *, tolerant: bool) -> dict[str, click.Command]:
        found: dict[str, click.Command] = {}
        try:
            with ctx.scope(cleanup=False):
                for plugin, command in registry().commands():
                    name = command.name or ""
                    if name in COMMANDS or name in found:
                        raise PluginError(
                            f"{plugin.candidate} brings a command {name}, which there is already. "
                            f"Take {plugin.name} out of the configuration."
                        )
                    found[name] = with_config_option(command)
        except (ConfigurationError, PluginError):
            # Help must work with a broken configuration: `recgate config check` then says what is wrong.
            if not tolerant:
                raise
        return found


def _messages(group: BaseExceptionGroup[RecgateError]) -> Iterator[str]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _messages(exc)
        else:
            yield str(exc)


def _config_among(args: Sequence[str]) -> Path | None:
    for position, argument in enumerate(args):
        if argument == "--":
            break
        if argument == "--config" and position + 1 < len(args):
            return Path(args[position + 1])
        if argument.startswith("--config="):
            return Path(argument.partition("=")[2])
    return None


@click.group(
    cls=RecgateGroup, params=[config_option()], context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="recgate")
def main() -> None:
    """A gateway in the data path: who it is, with a lent credential, under policy, on the record."""
