"""Casts, read back by the rules of the format."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from recgate.transcript.asciicast import CastHead, write_asciicast
from recgate.transcript.terminal import Event, Screen

HEAD = CastHead(1_764_000_000.9, "alice on prod-web", Screen(100, 30, "xterm-256color"))
EVENTS = [
    Event(0, "r", screen=Screen(100, 30)),
    Event(1_000_000, "o", b"$ "),
    Event(2_500_000, "i", b"l"),
    Event(2_400_000, "m", b"ls"),
    Event(2_600_000, "r", screen=Screen(80, 24)),
    Event(3_000_000, "x", status=2),
]


def test_version_2():
    lines = [json.loads(line) for line in write_asciicast(HEAD, EVENTS)]
    assert lines == [
        {
            "version": 2,
            "width": 100,
            "height": 30,
            "timestamp": 1_764_000_000,
            "title": "alice on prod-web",
            "env": {"TERM": "xterm-256color"},
        },
        [1.0, "o", "$ "],
        [2.5, "i", "l"],
        [2.5, "m", "ls"],
        [2.6, "r", "80x24"],
    ]


def test_version_3_has_intervals_and_the_exit():
    lines = [json.loads(line) for line in write_asciicast(HEAD, EVENTS, 3)]
    assert lines[0]["version"] == 3
    assert lines[0]["term"] == {"cols": 100, "rows": 30, "type": "xterm-256color"}
    assert lines[1:] == [
        [1.0, "o", "$ "],
        [1.5, "i", "l"],
        [0.0, "m", "ls"],
        [0.1, "r", "80x24"],
        [0.4, "x", "2"],
    ]


def test_a_character_cut_between_two_reads_is_whole():
    events = [Event(n, "o", bytes([byte])) for n, byte in enumerate("é🙂".encode())]
    lines = [json.loads(line) for line in write_asciicast(HEAD, events)][1:]
    assert [text for _, _, text in lines] == ["é", "🙂"]


def test_a_byte_typed_between_does_not_break_a_character_shown():
    events = [Event(0, "o", b"\xc3"), Event(1, "i", b"\xff"), Event(2, "o", b"\xa9")]
    assert [json.loads(line)[2] for line in list(write_asciicast(HEAD, events))[1:]] == ["\ufffd", "é"]


@given(st.binary(max_size=300))
def test_any_bytes_make_lines_of_json(data):
    lines = list(write_asciicast(HEAD, [Event(0, "o", data)]))
    assert all(line.count("\n") == 1 for line in lines)
    assert "".join(json.loads(line)[2] for line in lines[1:]) in data.decode("utf-8", "replace")
