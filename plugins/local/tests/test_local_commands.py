"""`recgate user`, `key` and `token`, as an administrator and as scripts use them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from recgate.cli import main
from recgate_local.keycommands import key
from recgate_local.plugin import recgate_commands
from recgate_local.tokencommands import token
from recgate_local.usercommands import user

CONFIG = """\
gateway: {name: gate-1, data_dir: data}
listeners: [{protocol: metrics, bind: "127.0.0.1:0"}]
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)
    (tmp_path / "recgate.yaml").write_text(CONFIG)

    def invoke(*arguments, status=0, **options):
        found = CliRunner().invoke(main, list(map(str, arguments)), **options)
        assert found.exit_code == status, found.output
        return found

    return invoke


@pytest.fixture
def public_key(tmp_path) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice@laptop", "-f", tmp_path / "id"],
        check=True,
    )
    return tmp_path / "id.pub"


def rows(found):
    return [json.loads(line) for line in found.stdout.splitlines()]


def test_users_are_added_listed_and_removed(run):
    assert (
        run("user", "add", "alice", "--group", "dba", "--group", "sre").stdout == "alice: made, in dba, sre\n"
    )
    assert run("user", "add", "alice").stdout == "alice: is there, in dba, sre\n"
    run("user", "add", "bob")

    first, second = rows(run("user", "ls", "--json"))
    assert (first["name"], first["groups"], first["keys"], first["tokens"]) == ("alice", ["dba", "sre"], 0, 0)
    assert first["created"].endswith("Z")
    assert second["groups"] == []
    assert [row["name"] for row in rows(run("user", "ls", "--group", "dba", "--json"))] == ["alice"]
    assert "dba, sre" in run("user", "ls").stdout

    assert run("user", "rm", "alice", "--group", "dba").stdout == "alice: no longer in dba\n"
    run("user", "rm", "alice")
    assert "there is no user 'alice'" in run("user", "rm", "alice", status=1).stderr


def test_a_name_that_cannot_be_is_refused_with_status_2(run):
    assert "cannot be a user" in run("user", "add", "alice ", status=2).stderr


def test_a_token_is_printed_alone(run):
    run("user", "add", "alice")
    text = run("token", "issue", "--user", "alice", "--label", "ci").stdout

    assert text.startswith("rg_")
    assert text.count("\n") == 1
    assert len(text) == 47


def test_tokens_are_listed_without_their_text_and_revoked(run):
    run("user", "add", "alice")
    issued = json.loads(
        run("token", "issue", "--user", "alice", "--group", "x", "--ttl", "1h", "--scram", "--json").stdout
    )
    listed = run("token", "ls", "--json")
    (row,) = rows(listed)

    assert issued["token"] not in listed.stdout
    assert (row["id"], row["user"], row["groups"], row["scram"], row["status"]) == (
        issued["id"],
        "alice",
        ["x"],
        True,
        "valid",
    )
    assert row["expires"] == issued["expires"]
    assert run("token", "revoke", row["id"]).stdout == f"{row['id']}: revoked\n"
    assert rows(run("token", "ls", "--json"))[0]["status"] == "revoked"
    assert run("token", "ls", "--valid").stdout == ""
    assert "revoked" in run("token", "ls").stdout
    run("token", "revoke", row["id"])


def test_a_token_given_as_an_id_is_not_repeated(run):
    run("user", "add", "alice")
    text = run("token", "issue", "--user", "alice").stdout.strip()
    found = run("token", "revoke", text, status=1)

    assert text not in found.output


def test_a_token_for_somebody_new_makes_them_and_prints_the_token_alone(run):
    done = run("token", "issue", "--user", "bob", "--group", "dba")

    assert done.stdout.startswith("rg_")
    assert len(done.stdout.splitlines()) == 1
    assert "bob is new" in done.stderr
    assert [row["name"] for row in rows(run("user", "ls", "--json"))] == ["bob"]
    assert run("token", "issue", "--user", "bob").stderr == ""


@pytest.mark.parametrize("ttl", ["5", "x", "-1h", ""])
def test_a_time_to_live_needs_a_unit(run, ttl):
    assert (
        "should be a duration with a unit"
        in run("token", "issue", "--user", "a", f"--ttl={ttl}", status=2).stderr
    )


def test_keys_are_added_listed_and_removed(run, public_key):
    run("user", "add", "alice")
    fingerprint = run("key", "add", "--user", "alice", public_key).stdout.strip()
    real = subprocess.run(
        ["ssh-keygen", "-l", "-f", public_key], check=True, capture_output=True, text=True
    ).stdout.split()[1]

    assert fingerprint == real
    (row,) = rows(run("key", "ls", "--json"))
    assert (row["id"], row["user"], row["kind"], row["comment"]) == (
        real,
        "alice",
        "ssh-ed25519",
        "alice@laptop",
    )
    assert run("key", "rm", real).stdout == f"{real}: removed\n"
    assert "there is no key" in run("key", "rm", real, status=1).stderr


def test_a_key_comes_from_standard_input_too(run, public_key):
    run("user", "add", "alice")

    assert run("key", "add", "--user", "alice", "-", input=public_key.read_text()).stdout.startswith(
        "SHA256:"
    )


def test_a_private_key_is_not_taken(run, public_key):
    run("user", "add", "alice")
    found = run("key", "add", "--user", "alice", public_key.with_suffix(""), status=2)

    assert "that is a private key" in found.stderr
    assert "BEGIN" not in found.output


def test_a_key_is_signed_for_one_user_and_some_hours(run, public_key, tmp_path):
    run("user", "add", "alice")
    found = run("key", "sign", "--user", "alice", "--ttl", "2h", public_key)
    text = subprocess.run(
        ["ssh-keygen", "-L", "-f", tmp_path / "id-cert.pub"], check=True, capture_output=True, text=True
    ).stdout

    assert "user certificate" in text
    assert "Principals: \n                alice\n" in text
    assert "Critical Options: (none)" in text
    assert "id-cert.pub: certificate:" in found.stderr
    (row,) = rows(run("key", "ls", "--json"))
    assert row["id"] == found.stderr.split()[1].rstrip(",")
    assert row["kind"] == "certificate"
    assert run("key", "rm", row["id"]).stdout == f"{row['id']}: revoked\n"
    assert rows(run("key", "ls", "--json"))[0]["status"] == "revoked"


def test_what_cannot_be_signed_is_refused(run, public_key):
    assert "there is no user 'alice'" in run("key", "sign", "--user", "alice", public_key, status=2).stderr
    run("user", "add", "alice")
    assert (
        "at most 366 days"
        in run("key", "sign", "--user", "alice", "--ttl", "400d", public_key, status=2).stderr
    )
    assert (
        "Choose another place"
        in run("key", "sign", "--user", "alice", "-o", "/nowhere/x", public_key, status=2).stderr
    )
    public_key.write_text(public_key.read_text() * 2)
    assert "holds 2 keys" in run("key", "sign", "--user", "alice", public_key, status=2).stderr


def test_the_commands_are_the_plugins():
    assert [command.name for command in recgate_commands()] == ["user", "key", "token"]
    assert [user.name, key.name, token.name] == ["user", "key", "token"]


def test_it_works_as_it_is_typed(run, tmp_path):
    recgate = Path(sys.executable).with_name("recgate")

    def typed(*arguments):
        return subprocess.run(
            [recgate, *arguments, "--config", "recgate.yaml"],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )

    typed("user", "add", "alice", "--group", "dba")
    token_text = typed("token", "issue", "--user", "alice").stdout

    assert token_text.startswith("rg_")
    assert json.loads(typed("user", "ls", "--json").stdout)["tokens"] == 1
