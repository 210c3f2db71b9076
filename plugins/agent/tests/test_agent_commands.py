"""`recgate agent` as it is typed, on the gateway and where agents run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from recgate.cli import main
from recgate_agent.commands import MAX_TTL, agent
from recgate_agent.roster import Roster

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("RECGATE_CONFIG", "RECGATE_AGENT_TOKEN", "RECGATE_AGENT_STATE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    near = {"protocol": "postgres", "allow": ["group:dba"], "options": {"database": "app"}}
    targets = [
        {**near, "name": "far", "address": "db.internal:5432", "via": "agent"},
        {**near, "name": "near", "address": "db:5432"},
    ]
    config = {"gateway": {"name": "gate", "data_dir": str(tmp_path / "data")}, "targets": targets}
    (tmp_path / "recgate.yaml").write_text(yaml.safe_dump(config))

    def invoke(*words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, ["agent", *words], input=stdin)

    return invoke


def test_a_token_is_alone_on_its_line(run: Run, tmp_path: Path) -> None:
    made = run("issue", "--name", "relay", "--target", "far")
    assert (made.exit_code, made.stderr) == (0, "")
    assert made.stdout.startswith("rga_")
    (row,) = Roster(tmp_path / "data").read().invitations
    assert (row.name, row.targets, row.expires - row.issued) == ("relay", ("far",), 900)
    (shown,) = map(json.loads, run("ls", "--json").stdout.splitlines())
    assert (shown["agent"], shown["status"], "token" in shown) == ("relay", "invited", False)
    assert "invited" in run("ls").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "relay", "--target", "nowhere"), "there is no target 'nowhere'"),
        (("--name", "relay", "--target", "near"), "Give it `via: agent`"),
        (("--name", "Relay", "--target", "far"), "an agent's name has lower-case letters"),
        (("--name", "relay\n", "--target", "far"), "an agent's name has lower-case letters"),
        (("--name", "relay"), "Missing option '--target'"),
        (("--name", "relay", "--target", "far", "--ttl", "25h"), "at most a day"),
        (("--name", "relay", "--target", "far", "--ttl", "60"), "a duration with a unit"),
    ],
)
def test_a_token_that_cannot_be(run: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    made = run("issue", *words)
    assert (made.exit_code, made.stdout) == (2, "")
    assert said in made.stderr
    assert not (tmp_path / "data" / "agents.json").exists()


def test_agents_are_listed_revoked_and_removed(run: Run, tmp_path: Path) -> None:
    assert run("ls").exit_code == 1
    roster = Roster(tmp_path / "data")
    roster.enroll(roster.invite("relay", ["far"], 60, 1.0), bytes(32), "10.0.0.1:9", 2.0)
    (row,) = map(json.loads, run("ls", "--json").stdout.splitlines())
    assert row["key"].startswith("SHA256:")
    assert (row["status"], row["enrolled"], row["connected"]) == ("enrolled", "1970-01-01T00:00:02Z", None)
    assert run("revoke", "relay").stdout == "relay: revoked\n"
    assert "revoked" in run("ls").stdout
    assert run("rm", "relay").stdout == "relay: removed\n"
    for words in (("rm", "relay"), ("revoke", "relay\x1b[2J")):
        gone = run(*words)
        assert gone.exit_code == 1
        assert "there is no agent 'relay" in gone.stderr
        assert "\x1b" not in gone.stderr


def test_where_nothing_is_enrolled_it_says_how(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recgate.yaml").unlink()
    told = run()
    assert told.exit_code == 2
    assert f"{tmp_path}/home/.config/recgate/agent: no agent is enrolled here" in told.stderr
    assert str(tmp_path / "elsewhere") in run("--state", str(tmp_path / "elsewhere")).stderr


def test_what_is_no_token_is_not_sent_and_not_repeated(run: Run, tmp_path: Path) -> None:
    made = run("enroll", "https://127.0.0.1:9", stdin="hunter2\n")
    assert made.exit_code == 2
    assert "that is no one-time token" in made.stderr
    assert "hunter2" not in made.stderr
    assert run("enroll", "http://127.0.0.1:9", stdin="x").exit_code == 2
    assert not (tmp_path / "home").exists()


def test_a_gateway_that_is_not_there_leaves_nothing(run: Run, tmp_path: Path) -> None:
    made = run("enroll", "https://127.0.0.1:9", "--state", str(tmp_path / "s"), stdin=f"rga_{'x' * 43}\n")
    assert made.exit_code == 2
    assert "https://127.0.0.1:9: " in made.stderr
    assert list((tmp_path / "s").iterdir()) == []


def test_tokens_do_not_last() -> None:
    assert MAX_TTL <= 24 * 3600
    assert isinstance(agent, click.Group)
