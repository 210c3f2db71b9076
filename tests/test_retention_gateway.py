"""Recordings of the shipped gateway are held, erased and removed by rule: verify tells all of these from a loss."""

from __future__ import annotations

import json
import shutil

import pytest

from core.tests.recorded import SQL, Archive


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path)
    archive.session, archive.other = archive.record(SQL, SQL[:2])
    return archive


def verified(archive, status=0, **named):
    return {each["session"]: each for each in archive.run_json("verify", "--all", status=status)}


def trail(archive, event):
    lines = map(json.loads, (archive.data / "audit.jsonl").read_text().splitlines())
    return [each for each in lines if each["event"] == event]


def place_of(archive, session):
    return next((archive.data / "recordings").rglob(session))


def test_an_erased_recording_is_gone_everywhere_and_not_missing(archive):
    archive.run("erase", archive.session, "--reason", "asked by the person", "--yes")
    assert not list((archive.data / "recordings").rglob(archive.session))
    assert archive.session not in archive.run("sessions")
    archive.run("search", "alter", status=1)
    found = verified(archive)
    assert {session: each["status"] for session, each in found.items()} == {
        archive.session: "erased",
        archive.other: "complete",
    }
    assert found[archive.session]["levels"]["complete"] == "ok"
    (told,) = trail(archive, "recording.erased")
    assert told["reason"] == "asked by the person"
    (entry,) = archive.run_json(
        "ledger", "entries", "--kind", "erase", "--audit", str(archive.data / "audit.jsonl")
    )
    assert entry["words"]["reason"] == "asked by the person"
    assert "asked" not in archive.run("ledger", "entries")


def test_one_that_was_removed_without_a_leaf_stays_missing(archive):
    archive.run("erase", archive.session, "--reason", "asked by the person", "--yes")
    place = place_of(archive, archive.other)
    place.chmod(0o700)
    shutil.rmtree(place)
    found = verified(archive, status=1)
    assert found[archive.other]["status"] == "missing"
    assert found[archive.session]["status"] == "erased"


def test_a_hold_wins_over_erasure_and_over_rules_until_it_is_lifted(archive):
    archive.run("retention", "hold", archive.session, "--reason", "case 17")
    archive.run("erase", archive.session, "--reason", "asked", "--yes", status=2)
    assert "a legal hold wins" in archive.errors
    archive.file.write_text(archive.file.read_text() + "recording: {retention: {default: 1ms}}\n")
    assert "1 removed" in archive.run("retention", "run")
    assert {each["status"] for each in verified(archive).values()} == {"complete", "erased"}
    assert place_of(archive, archive.session).is_dir()
    archive.run("retention", "lift", archive.session, "--reason", "case closed")
    assert "1 removed" in archive.run("retention", "run")
    assert {each["status"] for each in verified(archive).values()} == {"erased"}
    kinds = [
        each["kind"]
        for each in archive.run_json("ledger", "entries")
        if each["kind"] in ("hold", "retention")
    ]
    assert kinds == ["hold", "retention", "hold", "retention"]


def test_a_crash_between_leaf_and_removal_heals_at_the_next_run(archive, monkeypatch):
    from recgate_store_file.store import FileStore

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "delete", killed)
        with pytest.raises(AssertionError):
            archive.run("erase", archive.session, "--reason", "asked", "--yes")
    found = verified(archive)[archive.session]
    assert found["status"] == "erased"
    assert "its files are here" in found["reason"]
    archive.run("retention", "hold", archive.session, "--reason", "too late", status=2)
    archive.run("retention", "run")
    assert not list((archive.data / "recordings").rglob(archive.session))
    assert verified(archive)[archive.session]["status"] == "erased"


def test_a_rest_of_what_is_being_removed_is_no_loss_and_a_changed_one_is_altered(archive):
    place = place_of(archive, archive.session)
    shutil.copytree(place, archive.path / "kept")
    archive.run("erase", archive.session, "--reason", "asked", "--yes")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(archive.path / "kept", place)
    assert verified(archive)[archive.session]["status"] == "erased"
    place.chmod(0o700)
    segment = place / "000001.seg"
    segment.chmod(0o600)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    assert verified(archive, status=1)[archive.session]["status"] == "altered"


def test_without_its_key_an_encrypted_recording_is_whole_and_unreadable(tmp_path):
    archive, auditor = Archive(tmp_path), tmp_path / "auditor"
    archive.run("auditor", "new", "-o", str(auditor))
    public = next(word for word in auditor.read_text().split() if word.startswith("rgpub1"))
    archive.file.write_text(archive.file.read_text() + f"recording: {{seal_to: [{public}]}}\n")
    archive.session, archive.other = archive.record(SQL, SQL)
    assert "DROP" in archive.run("show", archive.session, "--identity", str(auditor))
    archive.run("erase", archive.session, "--reason", "asked", "--yes", "--keep-files")
    found = verified(archive)[archive.session]
    assert (found["status"], found["levels"]["file"]) == ("erased", "ok")
    assert "DROP" not in archive.run("show", archive.session, "--identity", str(auditor), status=2)
    assert "DROP" in archive.run("show", archive.other, "--identity", str(auditor))
    archive.run("retention", "ls", "--removed")


def test_files_that_nobody_can_make_unreadable_must_go(archive):
    archive.run("erase", archive.session, "--reason", "asked", "--yes", "--keep-files", status=2)
    assert "its files must go" in archive.errors
    assert verified(archive)[archive.session]["status"] == "complete"
