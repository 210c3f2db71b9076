"""`recgate replay` on a real pseudo-terminal, with somebody at the keys."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from recgate.cli.replay import Offset
from recgate.cli.terminal import RESTORE

PROGRAM = """
import sys
from core.tests.recorded import EXTRA
from recgate.cli import main
main(sys.argv[1:], obj=EXTRA)
"""


def test_a_person_pauses_and_quits_and_the_terminal_is_as_before(archive):
    (session,) = archive.record([(1, "data", b"first", 1), (1, "data", b"later", 1)], protocol="tinyterm")
    ours, theirs = pty.openpty()
    player = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "replay", "--config", str(archive.file), session, "--speed", "0.01"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert player.stderr is not None
    seen = read_until(ours, b"first", player)
    os.write(ours, b" ")
    os.write(ours, b"q")
    seen += read_until(ours, RESTORE, player)
    assert player.wait(30) == 0, player.stderr.read()
    assert player.stderr.read() == b""
    player.stderr.close()
    os.close(theirs)  # not before: what a player wrote last may be gone with the last end that is open
    os.close(ours)
    assert b"\x1b[!p" in seen


def read_until(fd, wanted, player):
    seen = b""
    deadline = time.monotonic() + 60
    while wanted not in seen and time.monotonic() < deadline:
        if select.select([fd], [], [], 1)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:  # the other end is closed
                break
    if wanted not in seen:
        player.kill()
    assert wanted in seen, player.stderr.read()
    return seen


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("02:31", 151),
        ("1:02:31", 3751),
        ("151", 151),
        ("151s", 151),
        ("0:01.5", 1.5),
        ("2.25", 2.25),
        ("00:00", 0),
    ],
)
def test_a_place_in_a_recording(written, at):
    assert Offset().convert(written, None, None) == round(at * 1e6)


@pytest.mark.parametrize("written", ["", "x", "1:2:3:4", "-1", "1:", ":1"])
def test_what_is_no_place_is_refused(written):
    with pytest.raises(click.BadParameter, match="such as 02:31"):
        Offset().convert(written, None, None)
