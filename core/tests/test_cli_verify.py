"""`recgate verify` on real recordings: what holds, what does not, and where."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from core.tests.recorded import SQL, Archive
from recgate.cli import main


def offline(*words, status):
    """Run it as an auditor does: with a directory and a key, and nothing of the gateway's."""
    result = CliRunner().invoke(main, ["verify", *map(str, words)])
    assert result.exit_code == status, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def copy(archive, tmp_path):
    """The store as somebody else has it."""
    place = tmp_path / "copy"
    shutil.copytree(archive.data / "recordings", place)
    for path in place.rglob("*"):
        path.chmod(0o700)
    return place


def segment_of(place, session):
    (found,) = place.rglob(f"{session}/000001.seg")
    return found


def test_a_whole_recording_is_complete(archive):
    lines = archive.run("verify", archive.session).splitlines()
    assert lines[0].startswith(f"{archive.session}  complete    1 segments, 8 frames, ")
    assert lines[0].endswith("bytes  client-closed")
    levels = {line.split()[0]: line.split("  ")[1:] for line in lines[2:7]}
    assert [line.split()[0] for line in lines[2:7]] == ["file", "logged", "complete", "witnessed", "contents"]
    assert "ok" in " ".join(levels["file"])
    assert "ok" in " ".join(levels["logged"])
    assert "ok" in " ".join(levels["complete"])
    assert lines[-1] == "1 recording: 1 complete"


def test_an_abbreviation_is_enough(archive):
    assert archive.run_json("verify", archive.session[:-1].lower())[0]["session"] == archive.session


def test_offline_with_a_directory_and_a_key(archive, copy):
    trust = archive.data / "trust.json"
    known = (archive.session, archive.other, archive.terminal)
    lines = offline("--store", copy, "--trust", trust, "--json", *known, status=0).splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["session"], row["status"]) for row in rows] == [(session, "complete") for session in known]
    assert {"session", "status", "levels", "problems"} <= set(rows[0])
    whole = copy / "one"
    shutil.copytree(segment_of(copy, archive.session).parent, whole / archive.session)
    assert offline("--store", whole, "--trust", trust, status=0).endswith("1 recording: 1 complete\n")
    assert offline("--store", copy, "--trust", trust, archive.session, status=0)


def test_without_a_key_nothing_is_believed_and_the_fingerprint_is_said(archive, copy):
    shown = offline("--store", copy, archive.session, status=1)
    assert "untrusted" in shown
    assert "signed by gate-1 with SHA256:" in shown


def test_a_changed_byte_is_found_and_named(archive, copy):
    segment = segment_of(copy, archive.session)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    trust = archive.data / "trust.json"
    (row,) = [
        json.loads(line)
        for line in offline(
            "--store", copy, "--trust", trust, "--json", archive.session, status=1
        ).splitlines()
    ]
    assert row["status"] == "altered"
    assert any(problem["where"].startswith("000001.seg") for problem in row["problems"])
    shown = offline("--store", copy, "--trust", trust, status=1)
    assert "1 altered" in shown
    assert "    000001.seg" in shown


def test_a_recording_that_is_not_there_is_missing(archive):
    absent = "01" + "A" * 24
    (row,) = archive.run_json("verify", absent, status=1)
    assert (row["session"], row["status"]) == (absent, "missing")


def test_what_is_live_is_no_failure_of_all(tmp_path):
    fresh = Archive(tmp_path)
    fresh.record(SQL)
    (live,) = fresh.record(SQL, closed=False)
    shown = fresh.run("verify", "--all")
    assert "2 recordings: 1 unsealed, 1 complete" in shown
    fresh.run("verify", live, status=1)


def test_a_level_that_is_not_there_can_be_required(archive):
    archive.run("verify", archive.session, "--require", "contents")
    archive.run("verify", archive.session, "--require", "witnessed", status=1)
    archive.run("verify", archive.session, "--require", "contents", "--no-contents", status=1)


def test_it_is_said_what_to_name(archive, tmp_path):
    archive.run("verify", status=2)
    archive.run("verify", "--all", archive.session, status=2)
    (tmp_path / "empty").mkdir()
    offline("--store", tmp_path / "empty", status=1)
