"""Commands are on record before they are done: in the ledger by hash and digest, in the audit trail in words."""

from __future__ import annotations

import json
import shutil

import pytest

from core.tests.recorded import SQL, Archive
from recgate.ledger.tail import WRITING


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path)
    (archive.session,) = archive.record(SQL)
    return archive


def trail(archive):
    return [json.loads(line) for line in (archive.data / "audit.jsonl").read_text().splitlines()]


def acts(archive, *kinds):
    words = [word for kind in kinds for word in ("--kind", kind)]
    return archive.run_json("ledger", "entries", *words, "--audit", str(archive.data / "audit.jsonl"))


def test_who_looks_at_a_recording_is_in_the_ledger(archive):
    archive.run("show", archive.session[:8])
    archive.run("show", archive.session, "--entry", "3.1", "--secrets")
    archive.run("replay", archive.session)
    archive.run("export", archive.session, "--format", "jsonl")
    found = acts(archive, "view", "export")
    assert [(each["kind"], each["what"]) for each in found] == [
        ("view", "show"),
        ("view", "show entry 3.1 with secrets"),
        ("view", "replay"),
        ("export", "jsonl"),
    ]
    assert {each["session"] for each in found} == {archive.session}
    told = [each for each in trail(archive) if each["event"] in ("recording.viewed", "recording.exported")]
    assert [each["entry"] for each in told] == [each["entry"] for each in found]
    archive.run("verify", "--all", "--require", "logged", "--require", "complete")


def test_who_looks_through_all_of_them_says_for_what(archive):
    archive.run("search", "drop")
    (found,) = acts(archive, "admin")
    assert found["act"] == "recordings.searched"
    assert found["words"]["query"] == "drop"
    assert "drop" not in archive.run("ledger", "entries")
    assert "query=drop" in archive.run("ledger", "entries", "--audit", str(archive.data / "audit.jsonl"))


def test_words_that_were_changed_are_not_those_of_the_entry(archive):
    archive.run("search", "drop")
    path = archive.data / "audit.jsonl"
    path.write_text(path.read_text().replace('"drop"', '"shop"'))
    assert "words" not in acts(archive, "admin")[0]


def test_what_is_not_on_record_is_not_shown(archive):
    shutil.rmtree(archive.data / "ledger" / WRITING)
    for words in (
        ("show", archive.session),
        ("search", "drop"),
        ("export", archive.session, "--format", "jsonl"),
    ):
        assert "DROP" not in archive.run(*words, status=2)
        assert "--store DIR" in archive.errors


def test_a_copy_is_read_without_a_trace(archive, tmp_path):
    before = archive.run_json("ledger", "entries")
    assert "DROP" in archive.run("show", archive.session, "--store", str(archive.data / "recordings"))
    assert archive.run_json("ledger", "entries") == before
