"""`recgate ledger`, and `recgate verify` with a ledger: on what a real worker has recorded, and on copies of it."""

from __future__ import annotations

import json
import shutil

import pytest

from core.tests.recorded import SQL, Archive
from recgate.ledger.tail import WRITING


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path)
    archive.session, archive.other = archive.record(SQL, SQL[:2])
    return archive


@pytest.fixture
def copy(archive):
    """What an auditor is given: recordings, ledger and trust file, without anything that is the gateway's alone."""
    place = archive.path / "copy"
    place.mkdir()
    shutil.copytree(archive.data / "recordings", place / "recordings")
    shutil.copytree(archive.data / "ledger", place / "ledger", ignore=shutil.ignore_patterns(WRITING))
    shutil.copy(archive.data / "trust.json", place)
    return place


def offline(archive, copy, *words, **how):
    return archive.run_json(
        "verify", *words, "--store", str(copy / "recordings"), "--trust", str(copy / "trust.json"), **how
    )


def test_the_head_is_signed_and_says_how_large_it_is(archive):
    (head,) = archive.run_json("ledger", "head")
    assert head["sound"]
    assert head["size"] == head["signed"] == head["checkpoint"] >= 7
    assert head["origin"].startswith("recgate/gate-1/")
    assert head["signers"] == [head["origin"]]
    for words in ((), ("head",), ("ls",), ("check",)):
        assert head["origin"] in archive.run("ledger", *words)
    assert "it is what was signed" in archive.run("ledger", "check")


def test_entries_are_listed_by_kind_and_session(archive):
    entries = archive.run_json("ledger", "entries", "--session", archive.session)
    assert [each["kind"] for each in entries] == ["open", "seal", "close"]
    assert {each["session"] for each in entries} == {archive.session}
    assert [each["kind"] for each in archive.run_json("ledger", "entries", "--kind", "node")] == ["node"]
    last = archive.run_json("ledger", "entries")[-1]
    assert archive.run_json("ledger", "entries", "--start", str(last["entry"])) == [last]
    assert "alice" not in archive.run("ledger", "entries")
    archive.run("ledger", "entries", "--session", "ZZZZZZ", status=1)


def test_before_the_first_start_there_is_none(tmp_path):
    archive = Archive(tmp_path)
    archive.run("ledger", status=1)
    assert "begins it when it first starts" in archive.errors


def test_verify_holds_recordings_against_the_ledger(archive):
    reports = archive.run_json("verify", "--all", "--require", "logged", "--require", "complete")
    assert {each["status"] for each in reports} == {"complete"}
    assert "of them signed" in archive.run("verify", "--all")


def test_an_outsider_needs_the_copy_alone(archive, copy):
    reports = offline(archive, copy, "--require", "logged", "--require", "complete")
    assert [each["session"] for each in reports] == [archive.session, archive.other]
    shutil.move(copy / "ledger", archive.path / "elsewhere")
    reports = offline(archive, copy)
    assert {each["levels"]["logged"] for each in reports} == {"not available"}
    assert "say --ledger DIR" in archive.run(
        "verify", "--store", str(copy / "recordings"), "--trust", str(copy / "trust.json")
    )
    offline(archive, copy, "--require", "logged", status=1)
    offline(archive, copy, "--ledger", str(archive.path / "elsewhere"), "--require", "logged")


def test_a_session_that_was_removed_whole_is_named(archive, copy):
    (place,) = (copy / "recordings").rglob(archive.other)
    place.chmod(0o700)
    shutil.rmtree(place)
    reports = offline(archive, copy, status=1)
    assert [(each["session"], each["status"]) for each in reports] == [
        (archive.session, "complete"),
        (archive.other, "missing"),
    ]
    assert "nothing of it is in the store" in reports[1]["problems"][0]["what"]


def test_a_ledger_that_was_rolled_back_is_held_against_a_kept_checkpoint(archive, copy):
    kept = copy / "kept"
    archive.record(SQL[:2])
    shutil.copy(archive.data / "ledger" / "checkpoint", kept)
    reports = offline(archive, copy, "--checkpoint", str(kept), status=1)
    assert reports[-1]["session"] == "ledger"
    assert "it was rolled back" in json.dumps(reports[-1]["problems"])
    assert {each["levels"]["logged"] for each in reports[:-1]} == {"failed"}
    (check,) = archive.run_json(
        "ledger",
        "check",
        "--ledger",
        str(copy / "ledger"),
        "--trust",
        str(copy / "trust.json"),
        "--checkpoint",
        str(kept),
        status=1,
    )
    assert not check["sound"]
    archive.run("verify", "--all", "--checkpoint", str(kept))


def test_a_changed_entry_fails_every_recording_and_is_named(archive, copy):
    partial = copy / "ledger" / "tile" / "entries" / "000.p"
    bundle = max(partial.iterdir(), key=lambda path: int(path.name))
    data = bytearray(bundle.read_bytes())
    data[-20] ^= 1
    bundle.write_bytes(data)
    text = archive.run(
        "verify", "--store", str(copy / "recordings"), "--trust", str(copy / "trust.json"), status=1
    )
    assert "is not what was signed" in text
    assert "altered" in text


def test_a_ledger_that_is_gone_is_said_where_the_trust_file_names_it(archive):
    shutil.rmtree(archive.data / "ledger")
    assert "checkpoint: there is none" in archive.run("verify", "--all", status=1)


def test_what_is_no_checkpoint_is_a_wrong_use(archive, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not a note")
    archive.run("verify", "--all", "--checkpoint", str(wrong), status=2)
    assert "is no checkpoint" in archive.errors
