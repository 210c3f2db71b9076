"""The systemd unit is understood by systemd, shuts the gateway in, and starts commands that exist."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.workspace import tree

UNIT = Path("contrib/systemd/recgate.service")
INSTALLED = "/opt/recgate/bin/recgate"
MAX_EXPOSURE = 1.5  # of 10, as systemd counts; a network service has 0.5 for being one


def verify(text, directory):
    # The unit names where an operator installs recgate; here that is this environment.
    recgate = tree.ROOT / ".venv" / "bin" / "recgate"
    unit = directory / UNIT.name
    unit.write_text(text.replace(INSTALLED, str(recgate)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "notice"},
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    return done.returncode, said


def settings():
    return re.findall(r"^(\w+)=(.*)$", tree.read(UNIT), re.M)


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path):
    assert verify(tree.read(UNIT), tmp_path) == (0, [])


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("PrivateTmp=yes", "PrivateTemp=yes"),
        ("ProtectSystem=strict", "ProtectSystem=very"),
        (f"ExecStart={INSTALLED}", "ExecStart=/opt/recgate/bin/nothing-here"),
    ],
)
def test_systemd_would_say_so_if_the_unit_were_wrong(tmp_path, line, instead):
    text = tree.read(UNIT)
    assert line in text

    assert verify(text.replace(line, instead), tmp_path) != (0, [])


def test_the_service_is_shut_in():
    threshold = str(int(MAX_EXPOSURE * 10))
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={threshold}",
            "--no-pager",
            tree.ROOT / UNIT,
        ],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-200:]


def test_a_service_that_is_not_shut_in_would_be_seen(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"^(?:Protect|Private|System|Capab).*\n", "", tree.read(UNIT), flags=re.M))
    threshold = str(int(MAX_EXPOSURE * 10))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", "--no-pager", unit],
        check=False,
        capture_output=True,
    )

    assert done.returncode != 0


@pytest.mark.parametrize("name", ["ExecStartPre", "ExecStart"])
def test_the_command_that_it_starts_exists(name):
    (line,) = [value for key, value in settings() if key == name]
    command, *arguments = shlex.split(line)
    assert command == INSTALLED
    words = arguments[: arguments.index("--config")]

    shown = subprocess.run(
        [tree.ROOT / ".venv" / "bin" / "recgate", *words, "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert "--config" in shown
