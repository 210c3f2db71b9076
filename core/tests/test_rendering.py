"""A new plugin is written whole or refused with what to do, and the template keeps to what can be filled in."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import recgate.plugins
from recgate.cli import main
from recgate.errors import PluginError
from recgate.plugins.rendering import KINDS, render, values

TEMPLATE = Path(recgate.plugins.__file__).parent / "template"


def new(tmp_path, *words):
    return CliRunner().invoke(main, ["plugins", "new", *words, "--directory", str(tmp_path)])


@pytest.mark.parametrize(
    ("kind", "plugin", "module"),
    [
        ("policy", "policy-late-hours", "recgate_policy_late_hours"),
        ("masker", "late-hours", "recgate_late_hours"),
    ],
)
def test_names_follow_from_the_word(kind, plugin, module):
    filled = values(kind, "late-hours")

    assert (filled["plugin"], filled["module"]) == (plugin, module)
    assert filled["distribution"] == f"recgate-{plugin}"


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_filled_in(kind, tmp_path):
    filled = values(kind, "late-hours", "Knows when it is late")
    made = render(kind, filled, tmp_path)

    assert made == tmp_path / filled["distribution"]
    files = [path for path in made.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"pyproject.toml", "README.md", "plugin.py", "py.typed"}
    assert (made / "src" / filled["module"] / "plugin.py").is_file()
    assert not [path for path in files if "cookiecutter" in path.read_text() or "{{" in str(path)]
    assert "Knows when it is late" in (made / "README.md").read_text()


@pytest.mark.parametrize(
    "word",
    ["", "Late", "late_hours", "late--hours", "-late", "../late", "late/x", "9late", "a" * 41, "class", "é"],
)
def test_a_word_that_cannot_be_a_name_is_refused(word):
    with pytest.raises(PluginError, match="cannot be a plugin's name"):
        values("policy", word)


@pytest.mark.parametrize("summary", ['"', "two\nlines", "x" * 121, "\\", "{{ cookiecutter.word }}"])
def test_a_summary_that_would_end_a_string_is_refused(summary):
    with pytest.raises(PluginError, match="one line"):
        values("masker", "late", summary)


def test_a_kind_without_a_template_is_refused():
    with pytest.raises(PluginError, match="no template for a teapot; there are: policy, masker"):
        values("teapot", "late")


def test_the_command_says_what_is_next(tmp_path):
    found = new(tmp_path, "policy", "late")

    assert found.exit_code == 0, found.output
    assert f"wrote {tmp_path}/recgate-policy-late" in found.stdout
    assert "recgate plugins show policy-late" in found.stdout


def test_what_is_there_is_not_written_over(tmp_path):
    new(tmp_path, "policy", "late")
    (tmp_path / "recgate-policy-late" / "README.md").write_text("mine")
    found = new(tmp_path, "policy", "late")

    assert found.exit_code == 2
    assert "exists; remove it, or choose another name" in found.stderr
    assert (tmp_path / "recgate-policy-late" / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"), [(("policy", "Late"), "such as change-freeze"), (("teapot", "x"), "")]
)
def test_what_cannot_be_is_used_wrongly(tmp_path, words, said):
    found = new(tmp_path, *words)

    assert found.exit_code == 2
    assert said in found.stderr
    assert not list(tmp_path.iterdir())


def test_the_template_needs_no_template_engine():
    texts = {
        path: path.read_text()
        for path in TEMPLATE.glob("*/{{*/**/*")
        if path.suffix != ".pyc" and path.is_file()
    }
    plain = re.compile(r"\{\{ cookiecutter\.[a-z]+ \}\}")

    assert texts
    for path, text in texts.items():
        rest = plain.sub("", text)
        assert not re.search(r"\{\{|\{%|\{#", rest), (
            f"{path}: only {{{{ cookiecutter.NAME }}}} can be filled in"
        )
