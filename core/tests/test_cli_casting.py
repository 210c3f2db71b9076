"""Sessions as asciicasts, through `recgate export`."""

from __future__ import annotations

import json


def cast(archive, *words):
    lines = [json.loads(line) for line in archive.run("export", *words, "--format", "asciicast").splitlines()]
    return lines[0], [(code, text) for _, code, text in lines[1:]]


def test_a_terminal_as_a_cast(archive):
    head, events = cast(archive, archive.terminal)
    assert (head["version"], head["width"], head["height"], head["env"]) == (2, 100, 30, {"TERM": "xterm"})
    assert head["title"] == f"bob on prod-web, {archive.terminal}"
    assert events == [
        ("o", "$ "),
        ("m", "ls"),
        ("i", "ls\r"),
        ("o", "\x1b[1mls\r\n"),
        ("r", "120x40"),
        ("o", "a "),
        ("o", "é b\ufffd\r\n"),
    ]


def test_version_3_and_another_channel(archive):
    head, events = cast(archive, archive.terminal, "--asciicast-version", "3")
    assert head["term"] == {"cols": 100, "rows": 30, "type": "xterm"}
    assert events[-1] == ("x", "3")
    assert cast(archive, archive.terminal, "--channel", "1")[1] == [("o", "sftp bytes")]
    archive.run("export", archive.terminal, "--format", "asciicast", "--channel", "7", status=1)
    assert "shows nothing on channel 7" in archive.errors


def test_a_database_session_as_a_cast_is_its_text(archive):
    head, events = cast(archive, archive.session)
    assert head["width"] == 120
    assert "DROP DATABASE customers\r\n" in "".join(text for _, text in events)
