"""The command line's own help, as a person would see it who asked every command for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
from click.testing import CliRunner

from docs.generators.pages import code, page
from recgate.cli import main

__all__ = ["command_paths", "commands_page"]

WIDTH: Final = 100
# Commands that are called like the plugin that brings them: whoever types one has named the plugin.
BY_NAME: Final = ("agent",)
# What is shown is what this brings: the embedded defaults and, besides, a provider to sign in at.
CONFIG: Final = """\
listeners: [{protocol: metrics, bind: "127.0.0.1:0"}]
identity:
  - local: {}
  - oidc: {name: corp, issuer: "https://idp.example", client_id: recgate, audience: "https://gate.example"}
vaults: [{sealed: {name: local}}]
"""


@contextmanager
def _elsewhere() -> Iterator[None]:
    """A directory that has nothing but a configuration in it."""
    before = Path.cwd()
    with TemporaryDirectory() as empty:
        Path(empty, "recgate.yaml").write_text(CONFIG)
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(before)


def _help(path: tuple[str, ...]) -> str:
    runner = CliRunner(env={"COLUMNS": str(WIDTH), "RECGATE_CONFIG": "", "NO_COLOR": "1"})
    result = runner.invoke(main, [*path, "--help"], prog_name="recgate", terminal_width=WIDTH)
    if result.exit_code:
        raise LookupError(f"recgate {' '.join(path)} --help failed: {result.output}{result.exception!r}")
    return result.output


def command_paths() -> list[tuple[str, ...]]:
    """Every command and every command below it, by name; the root is the empty path."""
    with _elsewhere():
        context = click.Context(main, info_name="recgate")
        return [(), *_below(main, context, ())]


def _below(group: click.Group, context: click.Context, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    with context:
        for name in sorted({*group.list_commands(context), *(BY_NAME if not path else ())}):
            command = group.get_command(context, name)
            if command is None or command.hidden:
                continue
            yield (*path, name)
            if isinstance(command, click.Group):
                yield from _below(
                    command, click.Context(command, info_name=name, parent=context), (*path, name)
                )


def commands_page() -> str:
    """The page: one section a command, subcommands below their group."""
    paths = command_paths()
    with _elsewhere():
        parts = [_section(path) for path in paths]
    introduction = """
This is what `--help` prints. Exit status: 0 done; 1 the answer is no (nothing found, does not verify,
denied); 2 used wrongly, or it could not be done (see [](errors.md)). Commands of plugins are there when the
configuration enables their plugin: those of `local` and `sealed` are by default. `recgate agent` is there
wherever `recgate-agent` is installed, since it runs on machines that have no configuration.
"""
    return page("Commands", introduction, *parts)


def _section(path: tuple[str, ...]) -> str:
    depth = "#" * min(len(path) + 1, 3) if path else "##"
    return f"{depth} {' '.join(('recgate', *path))}\n\n{code(_help(path), 'text')}"
