"""`recgate policy check` and `policy try`, on a real configuration and real recordings."""

import pytest

from core.tests.recorded import Archive, furnish
from recgate.cli.policy import policy
from recgate.policy.replaying import PastSession

NO_DROP = """
policies:
  - {name: no-drop, when: 'request.kind == "sql" && request.text.contains("DROP")', then: deny}
  - {name: names, when: 'request.text.contains("SELECT name")', then: alert, message: Look.}
  - {name: second, when: 'request.kind == "sql" && session.requests > 3', then: {hold: {approvers: ["group:a"]}}}
  - {name: bob, when: 'request.kind == "session" && principal.name == "bob"', then: deny}
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return furnish(Archive(tmp_path_factory.mktemp("policies")))


def write(tmp_path, text):
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    return str(file)


def test_what_rules_would_have_done_is_listed(archive, tmp_path):
    rows = archive.run_json("policy", "try", "--policy", write(tmp_path, NO_DROP))
    assert [(row["session"], row["effect"], row["rule"], row["kind"]) for row in rows] == [
        (archive.terminal, "deny", "bob", "session"),
        (archive.other, "deny", "no-drop", "sql"),
        (archive.session, "deny", "no-drop", "sql"),
        (archive.session, "alert", "names", "sql"),
        (archive.session, "hold", "second", "sql"),
    ]
    drop = rows[2]
    assert (drop["user"], drop["target"], drop["text"]) == ("alice", "prod-db", "DROP DATABASE customers")
    assert drop["show"] == f"recgate show {archive.session} --entry {drop['entry']}"
    (shown,) = archive.run_json("show", archive.session, "--entry", str(drop["entry"]))
    assert shown["text"] == "DROP DATABASE customers"


def test_a_table_has_a_link_below_each_line(archive, tmp_path):
    lines = archive.run("policy", "try", "--policy", write(tmp_path, NO_DROP), "--user", "bob").splitlines()
    assert "deny   bob  bob@prod-web  session: prod-web" in lines[0]
    assert lines[1].strip() == f"recgate show {archive.terminal} --entry 0"
    assert "1 of what 1 sessions asked for" in archive.errors


def test_nothing_stopped_is_a_no(archive, tmp_path):
    file = write(tmp_path, "policies: [{name: x, when: 'target.name == \"other\"', then: deny}]\n")
    assert archive.run_json("policy", "try", "--policy", file, status=1) == []
    assert (
        archive.run_json(
            "policy", "try", "--policy", write(tmp_path, NO_DROP), "--until", "2020-01-01", status=1
        )
        == []
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []\n", "has no section `policies`"),
        (
            "policies: [{name: x, when: 'request.verbb == 1', then: deny}]\n",
            "rules.yaml:1: policies[0].when: column 9",
        ),
        ("policies: [\n", "not readable as YAML"),
        ("\xff", "has no section `policies`"),
    ],
)
def test_a_file_that_is_wrong_is_refused(archive, tmp_path, text, words):
    archive.run("policy", "try", "--policy", write(tmp_path, text), status=2)
    assert words in archive.errors


def test_a_policy_that_cannot_be_read_is_refused(archive, tmp_path):
    archive.run("policy", "try", "--policy", str(tmp_path / "missing.yaml"), status=2)
    assert "cannot be read" in archive.errors


def test_odd_rules_are_found(archive):
    config = archive.file.read_text()
    try:
        assert archive.run("policy", "check") == "0 rules, nothing odd about them\n"
        archive.file.write_text(config + "policies: [{name: x, when: 'session.hour > 30', then: deny}]\n")
        assert archive.run("policy", "check", status=1).startswith("x: can never match")
        (row,) = archive.run_json("policy", "check", status=1)
        assert row["rule"] == "x"
        archive.file.write_text(config + "policies: [{name: x, when: 'session.houre > 30', then: deny}]\n")
        archive.run("policy", "check", status=2)
        assert "Did you mean `session.hour`?" in archive.errors
    finally:
        archive.file.write_text(config)


def test_a_past_session_is_what_its_first_frame_says():
    past = PastSession(
        {"user": 7, "started": "x", "address": "[::1]:22", "groups": "dba", "labels": [], "details": {}}
    )
    assert (past.principal.name, past.principal.groups, past.started, past.target.port) == (
        "",
        frozenset(),
        0.0,
        22,
    )
    assert policy.name == "policy"


def test_an_answer_is_judged_at_the_row_that_it_would_have_stopped_at(archive, tmp_path):
    def tried(line: int, then: str = "deny", status: int = 0) -> list[tuple[str, str]]:
        rules = f"policies: [{{name: brake, when: 'session.rows > {line}', then: {then}}}]\n"
        file = write(tmp_path, rules)
        rows = archive.run_json("policy", "try", "--policy", file, "--user", "alice", status=status)
        return [(row["effect"], row["text"]) for row in rows if row["session"] == archive.session]

    entries = [each for each in archive.run_json("show", archive.session) if each["kind"] == "sql"]
    given = [(each["text"], each["rows"]) for each in entries if each["rows"]]
    (text, first), total = given[0], sum(rows for _, rows in given)
    assert tried(first - 1)[0] == ("deny", text)
    assert tried(first - 1, "alert")[0] == ("alert", text)
    assert tried(total - 1)[0] == ("deny", given[-1][0])
    assert tried(total, status=1) == []
