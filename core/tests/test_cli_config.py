"""`recgate config check` and `config schema`, as scripts use them."""

import json

import pytest
from click.testing import CliRunner

from core.tests.small_plugins import BASE, everything
from recgate.cli import main
from recgate.cli.config import config
from recgate.config.reading import SECTIONS


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)

    def invoke(text, *arguments):
        (tmp_path / "f.yaml").write_text(text)
        return CliRunner().invoke(main, ["config", *arguments, "--config", "f.yaml"], obj=everything())

    return invoke


def test_a_right_file_is_ok(run):
    found = run(BASE, "check")

    assert found.exit_code == 0
    assert "f.yaml: ok. 1 listeners, 0 targets, plugins idp, safe, tiny," in found.stdout


def test_a_wrong_file_is_a_no_with_every_problem_on_a_line(run):
    found = run(BASE + "nope: 1\nlog: {level: loud}\n", "check")

    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        f"f.yaml:8: nope: there is no such section. Sections are: {', '.join(sorted(SECTIONS))}.",
        "f.yaml:9: log.level: should be 'debug', 'info', 'warning' or 'error'.",
    ]


def test_both_as_json(run):
    right = json.loads(run(BASE, "check", "--json").stdout)
    wrong = run(BASE + "nope: 1\n", "check", "--json")

    assert right["ok"] is True
    assert len(right["digest"]) == 64
    assert wrong.exit_code == 1
    assert json.loads(wrong.stdout)["problem"].startswith("f.yaml:8: nope: ")


def test_the_schema_is_json(run):
    found = run(BASE, "schema")

    assert json.loads(found.stdout)["title"] == "recgate configuration"
    assert set(config.commands) == {"check", "schema"}


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_file_that_cannot_be_read_is_no_answer(tmp_path, words):
    missing = tmp_path / "gone.yaml"
    found = CliRunner().invoke(main, ["config", "check", *words, "--config", str(missing)], obj=everything())

    assert found.exit_code == 2
    assert found.stdout == ""
    assert f"{missing}: cannot be read: No such file or directory. Check the path" in found.stderr
