"""`recgate export` on real recordings, read back by the rules of each format."""

from __future__ import annotations

import json
import os
import stat

import pytest


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


def test_a_pipe_is_written_to_and_stays_a_pipe(archive, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    archive.run("export", archive.session, "--format", "csv", "--entry", "3", "-o", str(pipe))
    assert os.read(reader, 100).startswith(b"value\nAnn\n")
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    archive.run("export", archive.session, "--format", "jsonl", "-o", str(tmp_path), status=2)
    assert "cannot be written: Is a directory" in archive.errors


def test_what_cannot_be_written_is_said(archive, tmp_path):
    place = str(tmp_path / "no" / "out")
    archive.run("export", archive.session, "--format", "jsonl", "-o", place, status=2)
    assert "choose another place with -o" in archive.errors


@pytest.mark.parametrize(
    "words", [("--format", "jsonl", "--channel", "1"), ("--format", "jsonl", "--entry", "1"), ()]
)
def test_options_that_do_not_fit_are_refused(archive, words):
    archive.run("export", archive.session, *words, status=2)
