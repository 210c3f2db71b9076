"""The plugin in CONTRIBUTING.md is real: it is built, installed and tested as its reader would."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.workspace import tree

FILE = re.compile(r"^( *)<!-- file: (\S+) -->\n\1```\w+\n(.*?)^\1```$", re.M | re.S)


def write_plugin(directory):
    written = []
    for indent, name, body in FILE.findall(tree.read(Path("CONTRIBUTING.md"))):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(body) if indent else body)
        written.append(name)
    return written


def run(*command, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_plugin_in_the_text_installs_and_its_tests_pass(tmp_path):
    plugin, site = tmp_path / "recgate-freeze", tmp_path / "site"
    assert len(write_plugin(plugin)) == 4

    run(
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
        plugin,
        cwd=tmp_path,
    )
    configuration = ("-o", "trio_mode=true", "-o", "filterwarnings=error", "-p", "no:cacheprovider", "-q")
    said = run("-m", "pytest", *configuration, plugin, cwd=plugin, PYTHONPATH=str(site))

    assert "4 passed" in said


def test_the_plugin_in_the_text_is_in_shape(tmp_path):
    write_plugin(tmp_path)
    configuration = ("--config", str(tree.ROOT / "pyproject.toml"))

    run("-m", "ruff", "check", *configuration, "--ignore", "INP001", tmp_path, cwd=tmp_path)
    run("-m", "ruff", "format", "--check", *configuration, tmp_path, cwd=tmp_path)
