"""`recgate search` on real recordings."""

from __future__ import annotations

import pytest

from recgate.cli.search import MAX_TEXT, _around
from recgate.providers import SearchQuery


def hits(archive, *words):
    known = (archive.session, archive.other, archive.terminal)
    return [
        (hit["session"], hit["entry"])
        for hit in archive.run_json("search", *words)
        if hit["session"] in known
    ]


def test_who_ran_the_drop_database(archive):
    lines = archive.run("search", "DROP", "DATABASE").splitlines()
    assert lines[0].startswith(f"{archive.other}  alice → prod-db  20")
    assert lines[1].split()[1:] == ["1", "sql", "DROP", "DATABASE", "customers"]
    assert lines[2].startswith(archive.session)


def test_json_has_what_scripts_rely_on(archive):
    hit = archive.run_json("search", "verb:drop", f"session:{archive.session}")[0]
    assert list(hit) == ["session", "entry", "t", "user", "target", "kind", "text", "part"]
    assert (hit["user"], hit["target"], hit["kind"], hit["text"]) == (
        "alice",
        "prod-db",
        "sql",
        "DROP DATABASE customers",
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (['"drop database"'], [("other", 1), ("session", 1)]),
        (["database", "drop", "user:alice"], [("other", 1), ("session", 1)]),
        (["verb:select"], [("session", 3)]),
        (["/NAME$/i"], [("session", 3)]),
        (["user:bob", "ls", "kind:shell"], [("terminal", 4)]),
        (["kind:closed", "target:prod-w*"], [("terminal", 10)]),
        (["drop", "since:1h", "until:today"], [("other", 1), ("session", 1)]),
    ],
)
def test_queries(archive, words, found):
    assert hits(archive, *words) == [(getattr(archive, name), entry) for name, entry in found]


def test_each_statement_of_one_message_leads_to_its_own_entry(archive):
    for word, number in (("select", "3"), ("alter", "3.1")):
        (line,) = archive.run("search", f"verb:{word}", f"session:{archive.session}").splitlines()[1:]
        assert line.split()[1] == number
        (hit,) = archive.run_json("search", f"verb:{word}", f"session:{archive.session}")
        (entry,) = archive.run_json("show", archive.session, "--entry", f"{hit['entry']}.{hit['part']}")
        assert entry["text"].lower().startswith(word)


def test_nothing_found_is_status_1(archive):
    for query in ("hunter2", "user:nobody drop", "drop until:1h"):
        assert archive.run("search", query, status=1) == ""


def test_a_wrong_query_is_status_2_with_a_remedy(archive):
    archive.run("search", "usr:alice", status=2)
    assert "did you mean user:?" in archive.errors
    archive.run("search", "/(/", status=2)
    assert "is no pattern" in archive.errors


def test_the_limit_is_said(archive):
    assert len(archive.run("search", "drop", "--limit", "1").splitlines()) == 2
    assert "the first 1 are shown" in archive.errors


def test_what_is_found_does_not_act_on_the_terminal(archive):
    archive.record([(0, "line", b"ask \x1b]0;owned\x07 trapword")])
    assert "\x1b" not in archive.run("search", "trapword")
    assert "\\x1b]0;owned" in archive.run("search", "trapword")


def test_a_long_text_is_shown_around_what_was_found():
    text = "x " * 200 + "the needle stands here" + " y" * 200
    shown = _around(text, SearchQuery(terms=("needle",)))
    assert shown.startswith("…")
    assert "needle" in shown[:MAX_TEXT]
    assert _around(text, SearchQuery(terms=("x",))).startswith("x x")
    assert _around(text, SearchQuery(regex="needle")).startswith("x x")
