"""`recgate export --format bundle` and `verify BUNDLE`: one believes what the other writes, and nothing else."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.tests.recorded import SQL, Archive
from recgate.bundle.container import ContainerWriter
from recgate.cli import main
from recgate.cli.bundles import is_bundle
from recgate.recipients.keys import X25519, Identity


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("bundles"))
    (archive.session,) = archive.record(SQL)
    return archive


@pytest.fixture
def bundle(made, tmp_path):
    made.run("export", made.session, "--format", "bundle", "-o", str(tmp_path / "bundle.zip"))
    return tmp_path / "bundle.zip"


def verified(*words, status=0):
    result = CliRunner().invoke(main, ["verify", *map(str, words), "--json"])
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def rewritten(bundle: Path, change) -> Path:
    """Make the bundle again with other content: what somebody could do who has nobody's keys."""
    with zipfile.ZipFile(bundle) as file:
        objects = {name: file.read(name) for name in file.namelist()}
    change(objects)
    with open(bundle, "wb") as out:
        writer = ContainerWriter(out)
        for name, content in objects.items():
            writer.add(name, content)
        writer.finish()
    return bundle


def test_a_bundle_needs_nothing_but_the_keys_to_believe(made, bundle):
    assert bundle.stat().st_mode & 0o777 == 0o600
    row = verified(bundle, "--trust", made.data / "trust.json")
    assert (row["status"], row["session"], row["problems"]) == ("complete", made.session, [])
    assert row["levels"] == {
        "file": "ok",
        "logged": "ok",
        "complete": "not available",
        "witnessed": "not available",
        "contents": "ok",
    }
    with zipfile.ZipFile(bundle) as file:
        assert file.testzip() is None
        assert "recgate verify THIS-FILE --trust trust.json" in file.read("README.txt").decode()


def test_the_same_recording_makes_the_same_bundle(made, bundle):
    assert made.run_bytes("export", made.session, "--format", "bundle") == bundle.read_bytes()


def test_without_a_key_it_is_untrusted_and_fingerprints_are_said(made, bundle):
    result = CliRunner().invoke(main, ["verify", str(bundle)])
    assert result.exit_code == 1
    assert "untrusted" in result.stdout
    assert "signed by gate-1 with SHA256:" in result.stdout


def test_chosen_frames_are_proven_with_the_ledgers_word_for_them(made, tmp_path):
    place = tmp_path / "frames.zip"
    made.run("export", made.session, "--format", "bundle", "--frames", "1-2", "-o", str(place))
    row = verified(place, "--trust", made.data / "trust.json")
    assert (row["status"], row["levels"]["logged"], len(row["frames_shown"])) == ("proven", "ok", 2)
    assert verified(place, status=1)["frames_shown"] == []
    with zipfile.ZipFile(place) as file:
        assert not [name for name in file.namelist() if name.startswith("recording/")]


def test_a_level_can_be_required(made, bundle):
    verified(bundle, "--trust", made.data / "trust.json", "--require", "logged")
    verified(bundle, "--trust", made.data / "trust.json", "--require", "witnessed", status=1)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("recording/000001.seg", "altered"),
        ("recording/header.cbor", "altered"),
        ("ledger/checkpoint", "altered"),
        ("bundle.cbor", "altered"),
    ],
)
def test_a_changed_object_is_found_though_its_checksum_was_made_again(made, bundle, name, status):
    def change(objects):
        data = bytearray(objects[name])
        data[len(data) // 2] ^= 1
        objects[name] = bytes(data)

    row = verified(rewritten(bundle, change), "--trust", made.data / "trust.json", status=1)
    assert row["status"] == status


@pytest.mark.parametrize("prefix", ["ledger/", "ledger/proofs/", "ledger/entries/", "recording/000001.seg"])
def test_what_was_taken_out_is_missed(made, bundle, prefix):
    def change(objects):
        for name in [name for name in objects if name.startswith(prefix)]:
            del objects[name]

    row = verified(rewritten(bundle, change), "--trust", made.data / "trust.json", status=1)
    assert row["status"] in ("unknown", "altered", "incomplete")


def test_what_does_not_belong_is_named(made, bundle):
    row = verified(
        rewritten(bundle, lambda objects: objects.update({"../../evil": b"x"})),
        *("--trust", made.data / "trust.json"),
        status=1,
    )
    assert row["problems"] == [{"where": "'../../evil'", "what": "does not belong to a bundle"}]


def test_an_auditor_reads_what_is_sealed_with_the_erasure_key_in_it(tmp_path):
    identity = Identity.generate(X25519)
    key = tmp_path / "auditor.key"
    key.write_bytes(identity.text.reveal())
    key.chmod(0o600)
    archive = Archive(tmp_path)
    archive.file.write_text(
        archive.file.read_text()
        + f"recording: {{seal_to: [{identity.recipient.text}]}}\nobservers: [{{jsonl: {{}}}}]\n"
    )
    (session,) = archive.record(SQL)
    place, trust = tmp_path / "bundle.zip", archive.data / "trust.json"
    archive.run("export", session, "--format", "bundle", "-o", str(place))
    assert verified(place, "--trust", trust)["levels"]["contents"] == "not available"
    to = identity.recipient.text
    archive.run("export", session, "--format", "bundle", "--to", to, "-o", str(place))
    assert verified(place, "--trust", trust, "--identity", key)["levels"]["contents"] == "ok"
    other = Identity.generate(X25519).recipient.text
    archive.run("export", session, "--format", "bundle", "--to", other, "-o", str(tmp_path / "no"), status=2)
    assert not list(tmp_path.glob("*no*"))


def test_bundles_are_known_by_either_end(tmp_path, bundle):
    data = bytearray(bundle.read_bytes())
    assert is_bundle(str(bundle))
    data[0] ^= 1
    (tmp_path / "first").write_bytes(data)
    assert is_bundle(str(tmp_path / "first"))
    (tmp_path / "none").write_bytes(b"no bundle")
    assert not is_bundle(str(tmp_path / "none"))


def broken_signature(data: bytes) -> bytes:
    """Change one letter in the middle of the signature that a note ends with."""
    return data[:-20] + (b"B" if data[-20:-19] == b"A" else b"A") + data[-19:]


def wrong_hash(data: bytes) -> bytes:
    magic, index, first, rest = data.split(b"\n", 3)
    return b"\n".join((magic, index, (b"B" if first[:1] == b"A" else b"A") + first[1:], rest))


@pytest.mark.parametrize(
    ("prefixes", "change", "what"),
    [
        (("ledger/proofs/",), wrong_hash, "does not prove that entry"),
        (("ledger/proofs/",), broken_signature, "leads to another head"),
        (("ledger/proofs/", "ledger/checkpoint"), broken_signature, "is not over this text"),
    ],
)
def test_a_proof_counts_only_under_the_head_that_the_ledgers_key_signed(made, bundle, prefixes, change, what):
    def changed(objects):
        for name in [name for name in objects if name.startswith(prefixes)]:
            objects[name] = change(objects[name])

    row = verified(rewritten(bundle, changed), "--trust", made.data / "trust.json", status=1)
    assert row["status"] == "altered"
    assert what in str(row["problems"])
    assert row["levels"]["logged"] == "failed"
