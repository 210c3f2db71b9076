"""`recgate plugins`: which there are, enabled or not, refused or not."""

import json

import pytest
from click.testing import CliRunner

from core.tests.small_plugins import BASE, everything, plugin, tiny_provider
from recgate.cli import main
from recgate.cli.plugins import plugins


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)
    (tmp_path / "recgate.yaml").write_text(BASE)
    extra = {
        **everything(),
        "engine": plugin(
            "engine", recgate_protocols=[tiny_provider("engine", relay=None, driver=lambda options: None)]
        ),
        "old": plugin("old", api=0),
    }
    return lambda *arguments: CliRunner().invoke(main, ["plugins", *arguments], obj=extra)


def rows(found):
    return {row["name"]: row for row in map(json.loads, found.stdout.splitlines())}


@pytest.mark.parametrize("arguments", [("--json",), ("ls", "--json")])
def test_the_list_says_what_each_is(run, arguments):
    found = rows(run(*arguments))

    assert found["tiny"]["enabled"]
    assert found["tiny"]["distribution"] == "in-process"
    assert found["tiny"]["provides"] == ["protocol tiny"]
    assert found["tiny"]["protocols"] == [{"name": "tiny", "kind": "relay", "port": 77}]
    assert not found["engine"]["enabled"]
    assert found["engine"]["provides"] == ["protocol engine (driver)"]
    assert found["store-mem"]["provides"] == ["store mem"]
    assert found["safe"]["provides"] == ["vaults safe"]
    assert "was built for plugin API 0" in found["old"]["error"]


def test_the_list_for_people_marks_what_is_enabled_and_what_is_refused(run):
    lines = {line[2:].split()[0]: line for line in run().stdout.splitlines()}

    assert lines["tiny"].startswith("* tiny")
    assert lines["engine"].startswith("  engine")
    assert "(driver)" in lines["engine"]
    assert "REFUSED: plugin old (in-process 0) was built for plugin API 0" in lines["old"]


def test_one_is_shown_in_full(run):
    found = run("show", "tiny")

    assert "tiny: in-process 0, enabled" in found.stdout
    assert "hook      recgate_protocols" in found.stdout
    assert "refused" in run("show", "old").stdout
    assert json.loads(run("show", "tiny", "--json").stdout)["module"] == "in_process_tiny"


def test_one_that_is_not_there_is_a_no(run):
    found = run("show", "nope")

    assert found.exit_code == 1
    assert "no installed plugin is called nope" in found.stderr


def test_a_broken_configuration_does_not_hide_the_list(run, tmp_path):
    (tmp_path / "recgate.yaml").write_text("nope: 1\n")
    found = run("--json")

    assert found.exit_code == 0
    assert not any(row["enabled"] for row in rows(found).values())
    assert "the configuration cannot be read, so none is marked as enabled" in found.stderr
    assert set(plugins.commands) == {"ls", "show", "new"}
