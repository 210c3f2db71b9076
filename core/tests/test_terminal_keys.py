"""The keyboard on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import termios
import threading

import pytest

from recgate.cli.terminal import Keyboard
from recgate.transcript.playing import Key


@pytest.fixture
def ends():
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        (b" ", Key.PAUSE),
        (b"q", Key.QUIT),
        (b"\x03", Key.QUIT),
        (b"\x1b[C", Key.FORWARD),
        (b"\x1bOD", Key.BACK),
        (b"+", Key.FASTER),
        (b"-", Key.SLOWER),
        (b".", Key.NEXT),
        (b"xyz\x1b[A\x1b[24;80R q", Key.PAUSE),  # an answer of the terminal is no key
    ],
)
def test_keys_are_understood(ends, typed, key):
    ours, theirs = ends
    with Keyboard(theirs) as keyboard:
        os.write(ours, typed)
        assert keyboard.wait(10.0)[0] is key


def test_the_time_passes_without_a_key(ends):
    with Keyboard(ends[1]) as keyboard:
        key, waited = keyboard.wait(0.02)
    assert key is Key.NONE
    assert waited >= 0.02


def test_a_key_is_waited_for_without_end(ends):
    ours, theirs = ends
    with Keyboard(theirs) as keyboard:
        timer = threading.Timer(0.05, os.write, (ours, b"q"))
        timer.start()
        assert keyboard.wait(None)[0] is Key.QUIT
        timer.join()


def test_the_terminal_is_as_it_was_and_no_answer_is_left_in_it(ends):
    ours, theirs = ends
    before = termios.tcgetattr(theirs)
    with Keyboard(theirs):
        assert not termios.tcgetattr(theirs)[3] & termios.ECHO
        os.write(ours, b"\x1b[24;80Rrm -rf /\r")
    assert termios.tcgetattr(theirs) == before
    os.set_blocking(theirs, False)
    with pytest.raises(BlockingIOError):
        os.read(theirs, 100)
