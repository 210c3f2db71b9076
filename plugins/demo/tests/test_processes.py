"""What the demo starts it stops: by pid, and whatever the process thinks of it."""

import os
import signal
import socket
import sys

import pytest

from recgate_demo import processes
from recgate_demo.errors import DemoError
from recgate_demo.processes import LOOPBACK, Running, command_output, free_port, wait_until

READY = "import signal, sys; {before}; print('ready', flush=True); sys.stdin.read(); signal.pause()"


def python(before="pass"):
    return [sys.executable, "-c", READY.format(before=before)]


def test_it_is_stopped_at_the_end_of_the_block(tmp_path):
    with Running("a child", python(), tmp_path / "log", pipe=True) as child:
        assert child.first_line(20) == "ready"
        pid = child.process.pid
        assert os.getpgid(pid) == pid != os.getpgid(0), "Ctrl-C must not reach it"

    assert child.process.returncode == -signal.SIGTERM


def test_what_does_not_stop_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "STOP", 0.1)
    stubborn = python("signal.signal(signal.SIGTERM, signal.SIG_IGN)")

    with Running("a child", stubborn, tmp_path / "log", pipe=True) as child:
        child.first_line(20)

    assert child.process.returncode == -signal.SIGKILL


def test_a_child_that_ends_early_is_an_error_with_its_log(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('no such luck')"]

    with (
        Running("a child", command, tmp_path / "log", pipe=True) as child,
        pytest.raises(DemoError, match=r"a child ended with 1(.|\n)*no such luck"),
    ):
        child.first_line(20)


def test_a_child_that_never_comes_up_is_an_error(tmp_path):
    with (
        Running("a child", python(), tmp_path / "log") as child,
        pytest.raises(DemoError, match="has not answered within 0 s"),
    ):
        child.wait_until(lambda: False, 0.2, "answered")


def test_a_child_dies_with_whoever_started_it(tmp_path):
    program = f"""
import sys
from pathlib import Path
from recgate_demo.processes import Running
child = Running("a child", {python()!r}, Path({str(tmp_path / "log")!r}), pipe=True)
child.first_line(20)
print(child.process.pid, flush=True)
sys.stdin.read()
"""
    with Running("a demo", [sys.executable, "-c", program], tmp_path / "outer", pipe=True) as outer:
        pid = int(outer.first_line(30))
        outer.process.kill()
        outer.process.wait()

        assert wait_until(lambda: _gone(pid), 20)


def _gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_port_in_use_is_not_given():
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert free_port(port) != port

    assert free_port(port) == port


def test_a_command_that_fails_shows_what_it_said():
    with pytest.raises(DemoError, match=r"ended with 3:\noops"):
        command_output(["sh", "-c", "echo oops >&2; exit 3"], patience=20)

    with pytest.raises(DemoError, match="takes longer than 0 s"):
        command_output(["sleep", "60"], patience=0.2)
