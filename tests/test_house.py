"""What is promised about the repository's other files: words of make, fragments, addresses, scripts."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.workspace import tree

WORDS = ["install", "demo", "test", "lint", "bench", "conformance", "soak", "docs", "screenshots"]
KINDS = [
    kind["directory"]
    for kind in tomllib.loads(tree.read(Path("pyproject.toml")))["tool"]["towncrier"]["type"]
]
FRAGMENT = re.compile(rf"(?:[1-9][0-9]*|\+[a-z0-9-]+)\.(?:{'|'.join(KINDS)})(?:\.[1-9][0-9]*)?\.md")

# Where packages come from is a matter of the machine: a lock that names a host works nowhere else.
ADDRESS = re.compile(
    r"https?://\S*(?:pypi|pythonhosted|npmjs|deb\.debian)\.\S*"
    r"|--(?:extra-)?index-url\b|--find-links\b"
    r"|https?://\S+\.(?:whl|tgz|deb)\b"
    r"|https?://\S+/simple/?\b"
)

# Where a checkout may lie that other things lie in too: to name these says nothing of one machine.
SHARED_PLACES = {
    Path(place) for place in ("/", "/tmp", "/var/tmp", "/home", "/root", "/opt", "/srv", "/usr/src")
}


def tracked_text():
    for path in tree.tracked():
        data = (tree.ROOT / path).read_bytes()
        if b"\0" not in data[:8192]:
            yield path, data.decode("utf-8")


def fragments():
    return [
        path for path in tree.tracked() if path.parent == Path("changelog.d") and path.name != "README.md"
    ]


def test_no_file_names_a_registry():
    found = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path, text in tracked_text()
        if path != Path("tests/test_house.py")
        for number, line in enumerate(text.splitlines(), 1)
        if ADDRESS.search(line)
    ]

    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "https://pypi.org/simple/trio/",
        "pip install --index-url x",
        "https://host.example/a-1.0-py3-none-any.whl",
        "resolved: https://registry.npmjs.org/x/-/x-1.tgz",
    ],
)
def test_a_registry_address_is_seen(line):
    assert ADDRESS.search(line)


def test_no_file_names_the_machine_it_was_written_on():
    places = {tree.ROOT, tree.ROOT.parent} - SHARED_PLACES
    named = re.compile(rf"(?<![\w./-])(?:{'|'.join(re.escape(str(place)) for place in places)})[/\"']")
    found = [str(path) for path, text in tracked_text() if named.search(text)]

    assert found == []


def test_make_lists_its_words():
    shown = subprocess.run(["make", "help"], cwd=tree.ROOT, check=True, capture_output=True, text=True).stdout

    assert [word for word in WORDS if not re.search(rf"make {word}\s+\S", shown)] == []


@pytest.mark.parametrize("word", WORDS)
def test_the_word_of_make_can_be_said(word):
    said = subprocess.run(["make", "-n", word], check=False, cwd=tree.ROOT, capture_output=True, text=True)

    assert said.returncode == 0, said.stderr


def test_continuous_integration_says_make_test():
    run = Path(".ci/run")

    assert os.access(tree.ROOT / run, os.X_OK)
    assert "set -euo pipefail" in tree.read(run)
    assert "make test" in tree.read(run)


@pytest.mark.parametrize("script", [path for path in tree.tracked() if path.parts[0] == ".ci"], ids=str)
def test_the_script_parses_and_runs(script):
    assert os.access(tree.ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", tree.ROOT / script], check=True)


@pytest.mark.parametrize("fragment", fragments(), ids=lambda path: path.name)
def test_the_changelog_fragment_is_valid(fragment):
    assert FRAGMENT.fullmatch(fragment.name), (
        f"name it ISSUE.KIND.md, where KIND is one of {', '.join(KINDS)}"
    )
    assert tree.read(fragment).strip()


def test_the_changelog_can_be_drafted():
    draft = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft"],
        check=False,
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
    )

    assert draft.returncode == 0, draft.stderr


def test_every_package_that_installs_something_is_listed_once():
    for listing in [Path("tests/debian.txt"), Path("requirements/demo-debian.txt")]:
        names = [line for line in tree.read(listing).splitlines() if line and not line.startswith("#")]
        assert names == sorted(set(names)), f"{listing}: sorted, each once"
