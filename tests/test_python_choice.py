"""Which Python `make install` takes: `.ci/python`, with nothing on its PATH but what a test puts there."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace import tree

OPTIMISED = "sysconfig.get_config_vars()['CONFIG_ARGS'] = \"'--enable-optimizations' '--prefix=/opt/x'\""
PLAIN = "sysconfig.get_config_vars()['CONFIG_ARGS'] = \"'--prefix=/opt/x'\""
OLD = f"{OPTIMISED}; sys.version_info = (3, 10, 13, 'final', 0)"
WITHOUT_PIP = f"{OPTIMISED}; sys.modules['ensurepip'] = None"


class Machine:
    """A directory for PATH, and the interpreters that a test wants there."""

    def __init__(self, directory: Path) -> None:
        self.path: list[Path] = [directory / "tools"]
        self.path[0].mkdir()
        # A copy, so that a test can say what lies beside it: what installs Debian packages.
        self.script = directory / "python"
        shutil.copy(tree.ROOT / ".ci/python", self.script)
        for name in ("bash", "dirname", "id"):
            program = shutil.which(name)
            assert program is not None
            (self.path[0] / name).symlink_to(program)

    def python(self, place: str, name: str, made: str) -> Path:
        """Put the interpreter that runs this test at `place`, as one that was `made` otherwise."""
        directory = self.path[0].parent / place
        if directory not in self.path:
            directory.mkdir()
            self.path.append(directory)
        shown = f"import sys, sysconfig; sys.base_prefix = '/opt/x'; {made}\n"
        return self._script(
            directory / name, f'exec {shlex.quote(sys.executable)} -c {shlex.quote(shown)}"$2"'
        )

    def debian(self, words: str) -> None:
        """Let root run this on a Debian system, where installing packages does what `words` say."""
        self._script(self.path[0] / "apt-get", "exit 100")
        (self.path[0] / "id").unlink()
        self._script(self.path[0] / "id", "echo 0")
        self._script(self.script.with_name("debian-packages"), words)

    @staticmethod
    def _script(path: Path, words: str) -> Path:
        path.write_text(f"#!{shutil.which('bash')}\n{words}\n")
        path.chmod(0o755)
        return path

    def choose(self, python: str = "") -> "subprocess.CompletedProcess[str]":
        """Ask `.ci/python`, with `python` as PYTHON."""
        return subprocess.run(
            [self.path[0] / "bash", self.script],
            env={"PATH": os.pathsep.join(str(place) for place in self.path), "PYTHON": python},
            check=False,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_an_optimised_python_behind_another_is_preferred(machine):
    machine.python("shims", "python3.11", PLAIN)
    behind = machine.python("bin", "python3.11", OPTIMISED)

    chosen = machine.choose()

    assert (chosen.returncode, chosen.stdout, chosen.stderr) == (0, f"{behind}\n", "")


def test_a_distributions_python_counts_as_optimised(machine):
    machine.python("shims", "python3.11", PLAIN)
    behind = machine.python("bin", "python3", f"{PLAIN}; sys.base_prefix = '/usr'")

    assert machine.choose().stdout == f"{behind}\n"


@pytest.mark.parametrize("made", [OLD, WITHOUT_PIP])
def test_what_cannot_run_recgate_is_not_taken_however_fast(machine, made):
    machine.python("bin", "python3", made)
    other = machine.python("other", "python3.12", PLAIN)

    assert machine.choose().stdout == f"{other}\n"


def test_another_will_do_and_one_line_says_so(machine):
    only = machine.python("bin", "python3.13", PLAIN)

    chosen = machine.choose()

    assert (chosen.returncode, chosen.stdout) == (0, f"{only}\n")
    assert "without optimisation" in chosen.stderr
    assert chosen.stderr.count("\n") == 1


def test_the_callers_word_wins(machine):
    machine.python("bin", "python3.11", OPTIMISED)
    named = machine.python("elsewhere", "python3", PLAIN)

    chosen = machine.choose(str(named))

    assert (chosen.stdout, chosen.stderr) == (f"{named}\n", "")


def test_root_on_debian_gets_an_optimised_one_installed(machine):
    machine.python("shims", "python3.11", PLAIN)
    ready = machine.python("bin", "python3.11", OPTIMISED)
    ready.chmod(0o644)
    machine.debian(f'[ "$*" = "python3 python3-venv" ] && {shutil.which("chmod")} 755 {ready}')

    assert machine.choose().stdout == f"{ready}\n"


def test_a_machine_without_a_mirror_makes_do(machine):
    only = machine.python("shims", "python3.11", PLAIN)
    machine.debian("exit 100")

    chosen = machine.choose()

    assert (chosen.returncode, chosen.stdout) == (0, f"{only}\n")


def test_without_any_the_remedy_is_named(machine):
    chosen = machine.choose()

    assert (chosen.returncode, chosen.stdout) == (1, "")
    assert "apt-get install python3 python3-venv" in chosen.stderr
