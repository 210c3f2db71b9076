"""Reading what is sealed to auditors: on the auditor's machine with a key, and on the gateway not at all."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.tests.recorded import EXTRA, SQL, Archive, furnish
from recgate.cli import main
from recgate.cli.index import CATALOG
from recgate.cli.offline import MAX_INDEX
from recgate.recipients.handover import pack
from recgate.recipients.keys import Identity

LEVELS = ["file", "logged", "complete", "witnessed", "contents"]

OURS = Identity.generate()


class Auditor:
    """Somebody with a key and copies: nothing of the gateway's configuration, and no gateway."""

    def __init__(self, path: Path, archive: Archive, identity: Identity) -> None:
        self.path, self.archive, self.identity = path, archive, identity
        self.key = path / "auditor.key"
        self.key.touch(0o600)
        self.key.write_bytes(identity.text.reveal())
        self.store = path / "copy" / "recordings"
        shutil.copytree(archive.data / "recordings", self.store)
        for each in self.store.rglob("*"):
            each.chmod(0o700)
        self.erasure = path / "keys.erasure"
        archive.run("auditor", "hand-over", "--to", identity.recipient.text, "-o", str(self.erasure))
        self.errors = ""

    def run(self, command, *words, status=0, key=True, erasure=True):
        options = ["--store", self.store]
        options += ["--identity", self.key] if key else []
        options += ["--erasure", self.erasure] if erasure else []
        return self.bare(command, *words, *options, status=status)

    def bare(self, *words, status=0):
        result = CliRunner().invoke(main, list(map(str, words)), obj=EXTRA)
        self.errors = result.stderr
        assert result.exit_code == status, f"{result.output}\n{result.stderr}\n{result.exception!r}"
        return result.stdout


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A gateway that seals to one auditor, who has its key elsewhere."""
    archive = Archive(tmp_path_factory.mktemp("sealed"))
    with archive.file.open("a") as file:
        file.write(f"recording: {{seal_to: [{OURS.recipient.text}]}}\n")
    return furnish(archive)


@pytest.fixture
def auditor(sealed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return Auditor(tmp_path, sealed, OURS)


READING = [
    ["show"],
    ["replay"],
    ["export", "--format", "jsonl"],
    ["export", "--format", "asciicast"],
    ["export", "--format", "csv", "--entry", "3"],
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_the_gateway_says_that_an_identity_is_needed(sealed, words):
    sealed.run(words[0], sealed.session, *words[1:], status=2)
    assert "sealed to 1 auditor; read it with the private key of one: --identity KEY" in sealed.errors
    assert "DROP" not in sealed.errors


def test_the_gateway_still_lists_them_and_finds_facts(sealed):
    assert sealed.session in sealed.run("sessions")
    assert sealed.session in sealed.run("search", "verb:drop")
    sealed.run("search", "customers", status=1)


def test_the_gateway_tries_no_rules_over_them(sealed):
    sealed.run("policy", "try", status=1)
    assert sealed.errors.count("sealed to 1 auditor") == 3


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_the_auditor_reads_them_without_any_configuration(sealed, auditor, words):
    assert auditor.run(words[0], sealed.session[:-1].lower(), *words[1:])
    assert "SELECT name" in auditor.run("show", sealed.session)
    assert "DROP DATABASE customers" in auditor.run("replay", sealed.session)


def test_the_terminal_of_a_session_is_played(sealed, auditor):
    assert "ls" in auditor.run("replay", sealed.terminal)


def test_what_is_shown_of_a_session_is_what_it_says_of_itself(sealed, auditor):
    first, second = auditor.run("show", sealed.session).splitlines()[:2]
    assert first.split() == [sealed.session, "alice", "→", "prod-db", "(tiny)", "from", "10.0.0.7:40112"]
    assert second.endswith("sealed (client-closed)")


def test_the_auditor_searches_by_an_index_that_is_gone_afterwards(sealed, auditor):
    found = auditor.run("search", "customers")
    assert sealed.session in found
    assert "DROP DATABASE customers" in found
    assert auditor.run("search", "target:prod-db", "verb:drop")
    assert not auditor.run("search", "nothingofthesort", status=1)
    assert not list(auditor.path.glob("recgate-index-*"))


def test_an_index_that_stays(sealed, auditor):
    place = auditor.path / "index"
    assert auditor.run("index", "-o", place) == f"3 sessions are in {place}\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert (place / CATALOG).exists()
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in place.iterdir())

    found = [
        json.loads(line)
        for line in auditor.bare("search", "customers", "--index", place, "--json").splitlines()
    ]
    assert {each["session"] for each in found} == {sealed.session, sealed.other}
    # What is there is not read again: this time without the key.
    assert auditor.run("index", "-o", place, key=False, erasure=False) == f"3 sessions are in {place}\n"


def test_an_index_goes_nowhere_else(sealed, auditor):
    full = auditor.path / "full"
    full.mkdir(mode=0o700)
    (full / "thesis.txt").write_text("mine")
    auditor.run("index", "-o", full, status=2)
    assert "holds something else than an index" in auditor.errors
    open_ = auditor.path / "open"
    open_.mkdir()
    open_.chmod(0o755)
    auditor.run("index", "-o", open_, status=2)
    assert "others may look into it" in auditor.errors
    auditor.bare("index", "-o", auditor.path / "new", "--identity", auditor.key, status=2)
    assert "say --store DIR" in auditor.errors


def test_a_temporary_index_has_an_end(sealed, auditor, monkeypatch):
    monkeypatch.setattr("recgate.cli.offline.MAX_INDEX", 1000)
    assert MAX_INDEX > 1 << 30
    auditor.run("search", "customers", status=2)
    assert "recgate index -o DIR" in auditor.errors
    assert not list(auditor.path.glob("recgate-index-*"))


def test_rules_are_tried_over_them(sealed, auditor):
    rules = auditor.path / "rules.yaml"
    rules.write_text("policies: [{name: no-drop, when: 'request.text.contains(\"DROP\")', then: deny}]\n")
    shown = auditor.run("policy", "try", "--policy", rules, "--user", "alice")
    assert "no-drop" in shown
    assert sealed.session in shown
    assert not list(auditor.path.glob("recgate-index-*"))


def test_verify_checks_contents_with_an_identity_alone(sealed, auditor):
    trust = ("--trust", sealed.data / "trust.json")

    def levels(**how):
        lines = auditor.run("verify", *trust, "--json", **how).splitlines()
        return [
            (report["status"], report["levels"]["file"], report["levels"]["contents"])
            for report in map(json.loads, lines)
        ]

    assert levels() == [("complete", "ok", "ok")] * 3
    assert levels(key=False) == [("complete", "ok", "not available")] * 3
    auditor.run("verify", *trust, "--require", "contents", sealed.session, key=False, status=1)
    auditor.run("verify", *trust, "--require", "contents", sealed.session)
    stranger = auditor.path / "stranger.key"
    stranger.touch(0o600)
    stranger.write_bytes(Identity.generate().text.reveal())
    said = auditor.bare("verify", *trust, "--store", auditor.store, "--identity", stranger)
    assert said.count("contents not looked at: 000001.seg (frames 0 to") == 3


def test_erasure_keys_are_found_beside_the_store(sealed, auditor):
    auditor.run("show", sealed.session, erasure=False, status=2)
    assert "its erasure key is not here; say --erasure FILE" in auditor.errors
    for place in (auditor.store.parent, auditor.store):
        copy = shutil.copy(sealed.data / "erasure.sqlite3", place)
        assert "customers" in auditor.run("show", sealed.session, erasure=False)
        Path(copy).unlink()


def test_a_key_alone_is_enough_where_the_gateway_is(sealed, auditor):
    assert "customers" in sealed.run("show", sealed.session, "--identity", str(auditor.key))


@pytest.mark.parametrize("wrong", ["for another", "altered", "something else"])
def test_what_was_handed_over_is_for_one_auditor_and_whole(sealed, auditor, wrong):
    data = auditor.erasure.read_bytes()
    if wrong == "for another":
        data = pack([], Identity.generate().recipient)
    elif wrong == "altered":
        data = data[:-1] + bytes([data[-1] ^ 1])
    else:
        data = b"anything"
    auditor.erasure.write_bytes(data)
    auditor.run("show", sealed.session, status=2)
    assert "keys.erasure" in auditor.errors


def test_only_named_sessions_are_handed_over_and_it_is_audited(sealed, auditor):
    auditor.erasure.unlink()
    to = auditor.identity.recipient.text
    said = sealed.run("auditor", "hand-over", "--to", to, "-o", str(auditor.erasure), sealed.other[:-1])
    assert said.startswith("1 erasure keys are in ")
    assert stat.S_IMODE(auditor.erasure.stat().st_mode) == 0o600
    assert "customers" in auditor.run("show", sealed.other)
    auditor.run("show", sealed.session, status=2)
    assert "keys.erasure has no erasure key of it" in auditor.errors
    event = json.loads((sealed.data / "audit.jsonl").read_text().splitlines()[-1])
    assert (event["event"], event["to"], event["sessions"]) == ("erasure-keys.handed-over", to, 1)


def test_nothing_is_handed_over_that_is_not_there(sealed, auditor, archive):
    to = auditor.identity.recipient.text
    archive.run("auditor", "hand-over", "--to", to, "-o", str(auditor.path / "none"), status=2)
    assert "nothing was ever sealed to auditors here" in archive.errors
    sealed.run("auditor", "hand-over", "--to", "rgpub1x", "-o", str(auditor.path / "none"), status=2)
    assert "what --to says" in sealed.errors
    sealed.run("auditor", "hand-over", "--to", to, "-o", str(auditor.erasure), status=2)
    assert "never written over" in sealed.errors


def test_what_is_not_encrypted_is_read_offline_without_any_key(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        main, ["show", archive.session, "--store", str(archive.data / "recordings")], obj=EXTRA
    )
    assert result.exit_code == 0
    assert "DROP DATABASE customers" in result.stdout


def test_nothing_that_is_typed_is_on_the_gateways_disk_once_it_is_sealed(sealed):
    """Journal, index, catalog, log and store: what was in the frames is in none of them."""
    words = [b"customers", b"hunter2", b"SELECT name", b"Ann,"]
    assert any(word in data for _, _, data in SQL for word in words)
    files = [path for path in sealed.data.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        # What an auditor looked for is told in the audit trail, in their own words.
        lines = [line for line in path.read_bytes().split(b"\n") if b'"recordings.searched"' not in line]
        assert not [word for word in words if word in b"\n".join(lines)], path
