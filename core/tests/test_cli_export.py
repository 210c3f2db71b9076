"""`recgate export` on real recordings, read back by the rules of each format."""

from __future__ import annotations

import json
import os
import stat

import pytest


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


def test_jsonl_is_every_entry_with_its_rows(archive):
    entries = [
        json.loads(line) for line in archive.run("export", archive.session, "--format", "jsonl").splitlines()
    ]
    assert entries == archive.run_json("show", archive.session, "--rows")
    assert [entry["kind"] for entry in entries].count("rows") == 2


def test_csv_is_one_result(archive):
    written = archive.run("export", archive.session, "--format", "csv", "--entry", "3")
    assert written == "value\nAnn\n\x1b[2Jevil\u202e\nBob\n"
    archive.run("export", archive.session, "--format", "csv", status=2)


def test_a_file_is_there_when_it_is_whole_and_for_its_owner_alone(archive, tmp_path):
    there = tmp_path / "out.cast"
    there.write_text("what was there before")
    archive.run("export", archive.terminal, "--format", "asciicast", "-o", str(there))
    assert json.loads(there.read_text().splitlines()[0])["version"] == 2
    assert stat.S_IMODE(there.stat().st_mode) == 0o600
    archive.run("export", archive.session, "--format", "csv", "--entry", "99", "-o", str(there), status=1)
    assert json.loads(there.read_text().splitlines()[0])["version"] == 2
    assert os.listdir(tmp_path) == ["out.cast"]


def test_what_cannot_be_written_is_said(archive, tmp_path):
    place = str(tmp_path / "no" / "out")
    archive.run("export", archive.session, "--format", "jsonl", "-o", place, status=2)
    assert "choose another place with -o" in archive.errors


@pytest.mark.parametrize(
    "words", [("--format", "jsonl", "--channel", "1"), ("--format", "jsonl", "--entry", "1"), ()]
)
def test_options_that_do_not_fit_are_refused(archive, words):
    archive.run("export", archive.session, *words, status=2)
