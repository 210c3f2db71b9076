"""The `recgate` command itself: commands found late, `--config` everywhere, failures as words and exit status."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from core.tests.small_plugins import BASE, everything, plugin
from recgate.cli import main
from recgate.cli.context import configuration, json_option, print_json, with_config_option
from recgate.cli.main import RecgateGroup
from recgate.cli.table import COMMANDS
from recgate.errors import PluginError, VaultFailed


@click.group()
def vault() -> None:
    """Look after the vault."""


@vault.command()
@json_option
def status(as_json) -> None:
    """Say how it is."""
    print_json({"gateway": configuration().gateway.name, "json": as_json})


@vault.command()
def fail() -> None:
    raise VaultFailed("safe: is away. Start it.")


@vault.command()
def fail_in_a_nursery() -> None:
    raise BaseExceptionGroup(
        "n", [ExceptionGroup("m", [VaultFailed("one"), PluginError("two")]), VaultFailed("one")]
    )


@vault.command()
def crash() -> None:
    raise BaseExceptionGroup("n", [VaultFailed("one"), ZeroDivisionError("a bug")])


def plugins(**more):
    return {**everything(), "idp": plugin("idp", recgate_commands=[vault]), **more}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)
    (tmp_path / "recgate.yaml").write_text(BASE)

    def invoke(*arguments, extra=None):
        return CliRunner().invoke(main, list(arguments), obj=plugins(**(extra or {})))

    return invoke


def test_a_plugins_command_is_there_when_the_configuration_enables_it(run, tmp_path):
    assert json.loads(run("vault", "status", "--json").stdout) == {"gateway": "gate-1", "json": True}

    (tmp_path / "recgate.yaml").write_text(BASE.replace("idp", "other"))
    gone = run("vault", "status", extra={"other": plugin("other")})
    assert gone.exit_code == 2
    assert "No such command 'vault'" in gone.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("vault", "status", "--config", "other.yaml"),
        ("vault", "status", "--config=other.yaml"),
        ("vault", "--config", "other.yaml", "status"),
        ("--config", "other.yaml", "vault", "status"),
    ],
)
def test_the_configuration_may_be_named_anywhere(run, tmp_path, arguments):
    (tmp_path / "recgate.yaml").write_text("this is: [not")
    (tmp_path / "other.yaml").write_text(BASE.replace("gate-1", "gate-2"))

    assert json.loads(run(*arguments).stdout)["gateway"] == "gate-2"


def test_a_command_called_like_its_plugin_needs_no_configuration(run, tmp_path):
    """Some commands are for machines without a gateway."""

    @click.command()
    def far() -> None:
        click.echo("from afar")

    @click.command()
    def near() -> None:
        click.echo("never")

    extra = {"far": plugin("far", recgate_commands=[far, near])}
    for text in (BASE, "nonsense: 1\n"):
        (tmp_path / "recgate.yaml").write_text(text)
        assert run("far", extra=extra).stdout == "from afar\n"
        assert run("near", extra=extra).exit_code == 2, "installed is not enabled"


def test_help_names_every_command_those_of_plugins_too(run):
    found = run("--help")

    assert found.exit_code == 0
    for name, (_, _, line) in COMMANDS.items():
        assert f"  {name}" in found.stdout
        assert line.split(".")[0][:30] in found.stdout
    assert "Look after the vault." in found.stdout


def test_help_works_with_a_broken_configuration(run, tmp_path):
    (tmp_path / "recgate.yaml").write_text("nonsense: 1\n")
    found = run("--help")

    assert found.exit_code == 0
    assert "config" in found.stdout
    assert "vault" not in found.stdout


def test_an_unknown_command_with_a_broken_configuration_says_what_is_broken(run, tmp_path):
    (tmp_path / "recgate.yaml").write_text("nonsense: 1\n")
    found = run("vault", "status")

    assert found.exit_code == 2
    assert "recgate.yaml:1: nonsense: there is no such section" in found.stderr


def test_what_was_raised_on_purpose_is_words_and_status_2(run):
    found = run("vault", "fail")

    assert found.exit_code == 2
    assert found.stderr == "Error: safe: is away. Start it.\n"
    assert found.stdout == ""


def test_what_came_out_of_a_nursery_is_told_once_each(run):
    found = run("vault", "fail-in-a-nursery")

    assert found.exit_code == 2
    assert found.stderr == "Error: one\ntwo\n"


def test_a_bug_is_not_dressed_up(run):
    found = run("vault", "crash")

    assert isinstance(found.exception, BaseExceptionGroup)
    assert found.exit_code == 1


def test_a_plugin_may_not_replace_a_command(run):
    other = {"safe": plugin("safe", recgate_commands=[click.Command("serve")])}

    assert "brings a command serve, which there is already" in run("vault", "status", extra=other).stderr


def test_two_plugins_may_not_bring_one_command(run):
    other = {"safe": plugin("safe", recgate_commands=[click.Command("vault")])}
    found = run("vault", "status", extra=other)

    assert found.exit_code == 2
    assert "brings a command vault, which there is already" in found.stderr


def test_every_command_gets_the_option_once():
    command = with_config_option(with_config_option(click.Group("g", commands=[click.Command("c")])))

    assert isinstance(command, click.Group)
    assert [p.opts for p in command.params] == [["--config"]]
    assert [p.opts for p in command.commands["c"].params] == [["--config"]]
    assert isinstance(main, RecgateGroup)


def test_a_built_in_command_needs_no_plugin(run, tmp_path):
    (tmp_path / "recgate.yaml").write_text("nonsense: 1\n")

    assert run("config", "schema").exit_code == 0


def test_asking_for_help_imports_no_command_and_is_quick_to_start():
    program = (
        "import sys, recgate.cli; print({'pydantic', 'trio', 'yaml', 'cryptography'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert found.stdout == "set()\n"


def test_the_installed_command_runs(tmp_path):
    script = Path(sys.executable).with_name("recgate")
    found = subprocess.run([script, "--version"], check=True, capture_output=True, text=True, cwd=tmp_path)

    assert found.stdout.startswith("recgate, version ")
