"""Terminal events out of frames."""

from __future__ import annotations

import cbor2
import pytest

from recgate.recording.frames import RecordedFrame
from recgate.transcript.terminal import Screen, first_channel, terminal_events


def frames(*specs):
    return [
        RecordedFrame(n, n * 1000, channel, side, kind, cbor2.dumps(data) if isinstance(data, dict) else data)
        for n, (channel, side, kind, data) in enumerate(specs)
    ]


PTY = {"type": "pty-req", "cols": 120, "rows": 40, "term": "xterm"}


def test_what_was_typed_and_what_was_shown_are_told_apart():
    recorded = frames(
        (0, 2, "opened", {}),
        (1, 0, "open", {"type": "session"}),
        (1, 0, "request", PTY),
        (1, 0, "data", b"ls\r"),
        (1, 1, "data", b"ls\r\n\x1b[31ma\xff"),
        (2, 1, "data", b"another channel"),
        (1, 1, "ext", b"error"),
        (1, 2, "data", b"from the gate"),
        (1, 0, "resize", {"cols": 80, "rows": 0}),
        (1, 2, "resize", {"cols": 5, "rows": 5}),
        (1, 1, "exit", {"type": "exit-status", "status": 3}),
    )
    assert [(event.code, event.data) for event in terminal_events(recorded, 1)] == [
        ("r", b""),
        ("i", b"ls\r"),
        ("o", b"ls\r\n\x1b[31ma\xff"),
        ("o", b"error"),
        ("o", b"from the gate"),
        ("r", b""),
        ("x", b""),
    ]
    screens = [event.screen for event in terminal_events(recorded, 1) if event.code == "r"]
    assert screens == [Screen(120, 40, "xterm"), Screen(80, 24)]
    assert first_channel(lambda: recorded) == (1, Screen(120, 40, "xterm"))


def test_a_terminal_goes_before_a_channel_that_spoke_first():
    recorded = frames((1, 1, "data", b"sftp"), (2, 0, "request", PTY), (2, 1, "data", b"$ "))
    assert first_channel(lambda: recorded)[0] == 2


def test_without_a_terminal_the_first_channel_that_says_something_is_shown():
    recorded = frames((1, 0, "data", b"only typed"), (3, 1, "data", b"answer"))
    assert first_channel(lambda: recorded) == (3, Screen())
    assert first_channel(list) == (0, Screen())


@pytest.mark.parametrize(
    "body", [{}, {"cols": "80", "rows": 24}, b"\xff", {"type": "env", "cols": 1, "rows": 1}]
)
def test_a_damaged_size_is_no_size(body):
    assert list(terminal_events(frames((1, 0, "request", body), (1, 0, "resize", b"\xff")), 1)) == []


def test_an_absurd_window_is_cut():
    recorded = frames((1, 0, "resize", {"cols": 65535, "rows": 2**31}))
    assert [event.screen for event in terminal_events(recorded, 1)] == [Screen(1000, 1000)]
