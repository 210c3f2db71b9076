"""The core's word `demo` runs the plugin's command, whatever the configuration enables, or says how to get it."""

from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from recgate.cli import main
from recgate.hookspecs import hookimpl


def plugin(command):
    module = ModuleType("in_process_demo")
    module.recgate_api = 1  # pyright: ignore[reportAttributeAccessIssue]

    @hookimpl
    def recgate_commands():
        return [command]

    module.recgate_commands = recgate_commands  # pyright: ignore[reportAttributeAccessIssue]
    return module


@click.command("in-process-demo")
@click.option("--check", is_flag=True)
def shown(check):
    """Show something."""
    click.echo(f"check {check}")
    raise click.exceptions.Exit(1)


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr("recgate.cli.demo.PLUGIN", "in-process-demo")


def run(*words, command=shown):
    return CliRunner().invoke(main, ["demo", *words], obj={"in-process-demo": plugin(command)})


@pytest.mark.usefixtures("in_process")
def test_the_plugins_command_gets_its_options_and_gives_the_status():
    done = run("--check")

    assert (done.exit_code, done.output) == (1, "check True\n")


@pytest.mark.usefixtures("in_process")
def test_its_help_is_the_plugins():
    assert "--check" in run("--help").output


@pytest.mark.usefixtures("in_process")
def test_a_plugin_without_the_command_is_said():
    done = run(command=click.Command("other"))

    assert done.exit_code == 2
    assert "brings no command" in done.output


def test_without_the_plugin_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("recgate.cli.demo.PLUGIN", "not-installed")

    done = CliRunner().invoke(main, ["demo"])

    assert done.exit_code == 2
    assert "pip install recgate-demo" in done.output
