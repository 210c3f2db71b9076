"""The directory itself: names, files, keys, and what its file looks like from outside."""

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from recgate_local import sshkeys, tokens, users
from recgate_local.database import VERSION, Database
from recgate_local.errors import DirectoryFailed, Refused
from recgate_local.names import check_group, check_user, could_be_user


@pytest.fixture
def database(tmp_path) -> Database:
    return Database(tmp_path / "local.sqlite")


def change(database, what, *arguments):
    with database.writing() as connection:
        return what(connection, *arguments)


@pytest.mark.parametrize(
    "name", ["alice", "Alice_1", "alice@example.com", "a", "svc-backup", "a+b", "x" * 64]
)
def test_names_that_users_may_have(name):
    assert check_user(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " alice",
        "alice ",
        "al ice",
        "alice\n",
        "alice\0",
        "\uff41lice",
        "alic\u0435",
        "a,b",
        "../x",
        "-a",
        ".a",
        "x" * 65,
        "a\u200bb",
        "a\u202eb",
        "a:b",
        "a/b",
        "a'b",
    ],
)
def test_names_that_users_may_not_have(name):
    """Threats 5 and 24."""
    with pytest.raises(Refused, match="cannot be a user"):
        check_user(name)
    assert not could_be_user(name)


@pytest.mark.parametrize("name", ["dba", "team/db", "corp:dba", "a b", "", "\uff44ba", "x,y"])
def test_names_of_groups(name):
    good = name in ("dba", "team/db", "corp:dba")
    if good:
        assert check_group(name) == name
    else:
        with pytest.raises(Refused, match="cannot be a group"):
            check_group(name)


def test_what_is_refused_cannot_play_with_the_terminal():
    """Threat 24."""
    with pytest.raises(Refused) as refused:
        check_user("a\x1b[2J\u202e")

    assert str(refused.value).isprintable()


def test_a_user_that_differs_only_in_case_is_refused(database):
    """Threat 5."""
    change(database, users.add, "alice", [], 1.0)

    with pytest.raises(Refused, match="Alice differs from the user alice only in case"):
        change(database, users.add, "Alice", [], 2.0)
    with database.reading() as connection:
        assert [user.name for user in users.listed(connection, 0.0)] == ["alice"]


def test_a_refusal_changes_nothing(database):
    with pytest.raises(Refused):
        change(database, users.add, "bob", ["good", "not good"], 1.0)

    with database.reading() as connection:
        assert not users.exists(connection, "bob")


def test_a_user_joins_and_leaves_groups(database):
    assert change(database, users.add, "alice", ["b", "a"], 1.0) is True
    assert change(database, users.add, "alice", ["c"], 2.0) is False
    change(database, users.leave, "alice", ["b"])

    with database.reading() as connection:
        assert users.groups_of(connection, "alice") == {"a", "c"}
    with pytest.raises(Refused, match="not in the group 'b'"):
        change(database, users.leave, "alice", ["b"])


def test_removing_a_user_removes_every_way_in(database):
    change(database, users.add, "alice", ["a"], 1.0)
    change(database, tokens.issue, tokens.Wish("alice"), 1.0)
    assert change(database, users.remove, "alice") is True
    assert change(database, users.remove, "alice") is False

    with database.reading() as connection:
        for table in ("users", "memberships", "tokens", "keys", "certificates"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0  # noqa: S608


def test_a_tokens_text_is_nowhere_in_the_file(database):
    """Law 4."""
    change(database, users.add, "alice", [], 1.0)
    _, text = change(database, tokens.issue, tokens.Wish("alice", scram=True, label="ci"), 1.0)

    assert len(text) == len("rg_") + 43
    for path in database.path.parent.iterdir():
        content = path.read_bytes()
        assert text.encode() not in content
        assert text[3:].encode() not in content


def test_tokens_are_not_alike():
    made = {tokens.new_secret() for _ in range(200)}

    assert len(made) == 200
    assert all(len(text) == 46 for text in made)
    # The last digit of 256 bits in base 62 takes every value; a constant would mean that bits are lost.
    assert len({text[-1] for text in made}) > 40


@pytest.mark.parametrize("label", ["a\nb", "x" * 201, "a\x1b[2J"])
def test_labels_that_are_refused(database, label):
    change(database, users.add, "alice", [], 1.0)
    with pytest.raises(Refused, match="a label has at most"):
        change(database, tokens.issue, tokens.Wish("alice", label=label), 1.0)


def test_a_token_for_nobody_is_refused_with_the_remedy(database):
    with pytest.raises(Refused, match=r"there is no user 'bob'\. Make it: `recgate user add bob`"):
        change(database, tokens.issue, tokens.Wish("bob"), 1.0)


def test_the_file_is_its_owners_alone_whatever_the_umask(database):
    before = os.umask(0)
    try:
        change(database, users.add, "alice", [], 1.0)
    finally:
        os.umask(before)

    for path in database.path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_one_writes_another_sees_at_once(database):
    other = Database(database.path)
    with database.reading() as connection:
        change(other, users.add, "alice", [], 1.0)
        assert users.exists(connection, "alice")


def test_a_file_put_in_place_of_another_is_what_counts(database, tmp_path):
    change(database, users.add, "alice", [], 1.0)
    backup = Database(tmp_path / "backup.sqlite")
    change(backup, users.add, "bob", [], 1.0)
    with database.reading() as connection:
        assert users.exists(connection, "alice")
    backup.close()
    for suffix in ("-wal", "-shm"):
        database.path.with_name(database.path.name + suffix).unlink(missing_ok=True)
    backup.path.replace(database.path)

    with database.reading() as connection:
        assert users.exists(connection, "bob")
        assert not users.exists(connection, "alice")


@pytest.mark.parametrize("rights", [0o640, 0o602, 0o666])
def test_a_file_that_others_may_get_at_is_refused(database, rights):
    change(database, users.add, "alice", [], 1.0)
    database.close()
    database.path.chmod(rights)

    with pytest.raises(DirectoryFailed, match=rf"others may get at it \(mode {rights:04o}\). Run `chmod 600"):
        change(database, users.add, "bob", [], 1.0)
    with pytest.raises(DirectoryFailed, match="others may get at it"), database.reading():
        pass


def test_a_file_of_somebody_else_is_refused(database):
    change(database, users.add, "alice", [], 1.0)
    database.close()
    os.chown(database.path, 12_345, -1)

    with pytest.raises(DirectoryFailed, match="belongs to uid 12345, who could be anybody by it"):
        change(database, users.add, "bob", [], 1.0)


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path):
    (tmp_path / "local.sqlite").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DirectoryFailed, match="No such file"):
        change(Database(tmp_path / "local.sqlite"), users.add, "alice", [], 1.0)
    assert not (tmp_path / "elsewhere").exists()


def test_several_processes_make_it_at_once(tmp_path):
    for attempt in range(5):
        code = (
            "import sys; from pathlib import Path; from recgate_local.database import Database\n"
            "with Database(Path(sys.argv[1])).writing() as connection:\n"
            '    connection.execute("INSERT INTO users VALUES (?, ?, 1.0)", (sys.argv[2], sys.argv[2]))\n'
        )
        path = str(tmp_path / f"{attempt}.sqlite")
        made = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "abc"]
        assert [each.wait() for each in made] == [0, 0, 0]


def test_questions_from_many_threads_do_not_mix(database):
    for number in range(8):
        change(database, users.add, f"user{number}", [f"group{number}"], 1.0)
    wrong = []

    def ask(number):
        for _ in range(100):
            with database.reading() as connection:
                if users.groups_of(connection, f"user{number}") != {f"group{number}"}:
                    wrong.append(number)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_many_that_start_together_make_one_directory(tmp_path):
    failures = []
    barrier = threading.Barrier(6)

    def start(number):
        barrier.wait()
        try:
            change(Database(tmp_path / "local.sqlite"), users.add, f"user{number}", [], 1.0)
        except DirectoryFailed as exc:
            failures.append(exc)

    threads = [threading.Thread(target=start, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with Database(tmp_path / "local.sqlite").reading() as connection:
        assert len(users.listed(connection, 0.0)) == 6


def test_a_directory_of_a_newer_version_is_refused(database):
    change(database, users.add, "alice", [], 1.0)
    with sqlite3.connect(database.path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()

    with pytest.raises(DirectoryFailed, match="was written by a newer recgate-local"), database.reading():
        pass


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(DirectoryFailed, match="Make its directory writable"),
        Database(tmp_path / "file" / "x").reading(),
    ):
        pass


ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxXNuFx/vlXb1rEiR/OFnt05jYkhGEUUOJFyHm4uCyb"


def test_a_key_file_may_hold_comments_and_several_keys():
    keys = sshkeys.parse_file(f"# mine\n\n{ED25519} alice@laptop \x1b[2J\n{ED25519}\n")

    assert [key.comment for key in keys] == ["alice@laptop [2J", ""]
    assert keys[0].algorithm == "ssh-ed25519"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "there is no public key"),
        ("# nothing\n", "there is no public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "that is a private key"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACB", "'ssh-dss' is not a kind of key that can be registered"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "that is a certificate"),
        ("ssh-ed25519 AAAA", "not a whole public key"),
        ("ssh-ed25519 !!!", "not a whole public key"),
        ("ssh-rsa " + ED25519.split()[1], "says one kind of key and holds another"),
        ('command="x" ' + ED25519, "is not a kind of key"),
        ("ssh-rsa AAAAB3NzaC1yc2E=", "not a whole public key"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAABAwAAAAEA", "that RSA key has 0 bits"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAABAwAAAAF/", "that RSA key has 7 bits"),
        ((ED25519 + "\n") * 101, "or more than 100"),
        ("x" * 300_000, "too long"),
    ],
)
def test_key_files_that_are_refused(text, what):
    with pytest.raises(Refused, match=what):
        sshkeys.parse_file(text)


def test_a_key_has_one_user(database):
    (key,) = sshkeys.parse_file(ED25519)
    change(database, users.add, "alice", [], 1.0)
    change(database, users.add, "bob", [], 1.0)
    first = change(database, sshkeys.add, "alice", key, 1.0)

    assert change(database, sshkeys.add, "alice", key, 2.0) == first
    with pytest.raises(Refused, match="is registered for alice already"):
        change(database, sshkeys.add, "bob", key, 1.0)
    with pytest.raises(Refused, match="there is no user 'carol'"):
        change(database, sshkeys.add, "carol", key, time.time())
