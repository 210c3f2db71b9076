"""What somebody has just done is said in one line, with the answer where there is a question."""

from recgate_demo.following import lines_of, unfinished


def lines(entries):
    return [
        line for entry in entries if entry["kind"] != "rows" for line in lines_of(entry, entries, "alice")
    ]


def test_a_dropped_database_names_who_did_it():
    entry = {
        "n": 7,
        "kind": "sql",
        "verb": "drop",
        "text": "drop  database\n scratch",
        "rows": 0,
        "error": None,
    }

    assert lines([entry]) == ["alice · drop database scratch", "  Who ran the DROP DATABASE? alice did."]


def test_a_failed_one_names_the_error():
    entry = {"n": 7, "kind": "sql", "verb": "drop", "text": "DROP DATABASE x", "error": "3D000 there is none"}

    assert lines([entry]) == ["alice · DROP DATABASE x", "  failed: 3D000 there is none"]


def test_a_query_shows_what_it_returned():
    rows = {"n": 4, "kind": "rows", "columns": ["name"], "rows": [["Ada"], ["Luca"]]}
    entry = {"n": 4, "kind": "sql", "verb": "select", "text": "SELECT name FROM customers", "rows": 2}

    assert lines([rows, entry]) == [
        "alice · SELECT name FROM customers",
        "  What data did that query return? 2 rows:",
        "    name",
        "    ────",
        "    Ada",
        "    Luca",
    ]


def test_commands_and_files_are_told():
    command = {"n": 5, "kind": "shell", "command": "rm -rf \x1b[31mlogs", "exit": 0}
    file = {"n": 9, "kind": "file", "direction": "upload", "path": "a.bin", "size": 12, "sha256": "ab" * 32}

    assert lines([command, file]) == [
        "alice · rm -rf ·[31mlogs",
        f"alice · upload a.bin, 12 bytes, SHA-256 {'ab' * 32}",
    ]


def test_a_login_shell_as_such_is_not_a_command():
    assert lines([{"n": 5, "kind": "shell", "command": "", "exit": 0}]) == []


def test_a_statement_that_still_runs_is_told_from_one_that_failed():
    assert unfinished({"n": 7, "kind": "sql", "error": "unfinished: the recording ends here"})
    assert not unfinished({"n": 7, "kind": "sql", "error": "3D000 there is none"})
    assert not unfinished({"n": 7, "kind": "sql", "error": None})
