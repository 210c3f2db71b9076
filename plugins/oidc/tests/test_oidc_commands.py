"""`recgate signin`, as an administrator and as scripts use it."""

import json
import time
from dataclasses import replace

import pytest
import trio
from click.testing import CliRunner

from plugins.oidc.tests.test_oidc_logins import ALICE
from recgate.cli import main
from recgate_oidc.commands import BY_ADMINISTRATOR
from recgate_oidc.logins import Logins, new_token

CONFIG = """\
gateway: {name: gate-1, data_dir: data}
listeners: [{protocol: metrics, bind: "127.0.0.1:0"}]
identity: [{oidc: {name: corp, issuer: "https://idp.example", client_id: gate, audience: "https://gate.example"}}]
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)
    (tmp_path / "recgate.yaml").write_text(CONFIG)
    (tmp_path / "data").mkdir(mode=0o700)

    def invoke(*arguments, status=0):
        found = CliRunner().invoke(main, list(arguments))
        assert found.exit_code == status, found.output
        return found

    return invoke


@pytest.fixture
def books(run, tmp_path):
    made = Logins(tmp_path / "data" / "oidc.sqlite")
    now = time.time()
    for identifier, name in (("a1", "alice"), ("a2", "alice"), ("b1", "bob")):
        one = replace(ALICE, id=identifier, name=name, subject=name, issued=now, expires=now + 60)
        trio.run(made.add, one, new_token())
    trio.run(made.add, replace(ALICE, id="old", issued=now - 90, expires=now - 30), new_token())
    yield made
    made.close()


def standing(run, *words):
    return {json.loads(line)["id"] for line in run("signin", "ls", "--json", *words).stdout.splitlines()}


def test_those_that_stand_are_listed(run, books):
    assert standing(run) == {"a1", "a2", "b1"}
    assert standing(run, "--user", "bob") == {"b1"}
    assert "alice" in run("signin", "ls").stdout


def test_one_is_ended_by_its_id(run, books):
    run("signin", "end", "a1")

    assert standing(run) == {"a2", "b1"}
    gone = trio.run(books.by_id, "a1")
    assert gone.why == BY_ADMINISTRATOR
    assert gone.refresh is None


def test_all_of_a_user_are_ended(run, books):
    run("signin", "end", "--user", "alice")

    assert standing(run) == {"b1"}


def test_what_is_not_there_is_a_no_and_is_not_repeated(run, books):
    found = run("signin", "end", "rgl_pasted-by-mistake", status=1)

    assert "rgl_" not in found.output
    run("signin", "end", "old", status=1)
    assert standing(run) == {"a1", "a2", "b1"}


@pytest.mark.parametrize("words", [(), ("a1", "--user", "alice")])
def test_it_must_be_clear_which_is_meant(run, books, words):
    run("signin", "end", *words, status=2)

    assert standing(run) == {"a1", "a2", "b1"}
