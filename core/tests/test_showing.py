"""Entries as people read them."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from recgate.transcript.entries import Entry
from recgate.transcript.results import result_of
from recgate.transcript.showing import (
    HELD_ENTRIES,
    HELD_ROWS,
    arranged,
    clock,
    commands_first,
    entry_lines,
    joined,
    withheld,
)


def shown(kind, body, **more):
    return "\n".join(entry_lines(Entry(12, 63_120_500, 0, 0, kind, body, **more)))


def test_a_statement_with_its_binds_and_outcome():
    body = {"text": "SELECT *\nFROM t WHERE a = $1", "binds": ["x y", None], "rows": 3, "duration_ms": 1.25}
    assert shown("sql", body) == (
        "  1:03.120      12  sql       SELECT *\n"
        "            FROM t WHERE a = $1\n"
        '            $1 = "x y"  $2 = null\n'
        "            → 3 rows, 1.25 ms"
    )


def test_what_returns_no_rows_says_what_it_did():
    assert shown("sql", {"text": "DROP DATABASE a", "rows": 0, "tag": "DROP DATABASE"}).endswith(
        "→ DROP DATABASE"
    )
    assert shown("sql", {"text": "SELECT", "rows": 0, "tag": "SELECT 0"}).endswith("→ 0 rows")


def test_an_error_stands_in_the_place_of_the_rows():
    body = {"text": "DROP TABLE t", "rows": 0, "error": {"code": "42501", "message": "no"}, "duration_ms": 2}
    assert shown("sql", body).splitlines()[1] == "            → ERROR code=42501  message=no (2 ms)"


def test_rows_are_a_table():
    body = {"columns": ["id", "name"], "rows": [["1", "Ann"], ["22", None]]}
    assert shown("rows", body, part=1) == (
        "  1:03.120    12.1  rows\n"
        "            id │ name\n"
        "            ─────────\n"
        "            1  │ Ann\n"
        "            22 │"
    )


def test_commands_files_and_decisions():
    assert shown("shell", {"command": "rm -rf /tmp/x", "exit": 1}).endswith(
        "shell     rm -rf /tmp/x\n            → exit 1"
    )
    assert shown("file", {"direction": "upload", "path": "/etc/x", "size": 5, "sha256": "ab"}).endswith(
        "file      upload /etc/x  5 bytes\n            sha256 ab"
    )
    assert shown(
        "decision", {"effect": "deny", "kind": "x", "request": "sql", "rule": "r", "reason": "no"}
    ).endswith("decision  deny sql\n            r: no")
    assert shown("mask", {"rule": "pii.email", "place": "mail", "count": 3}).endswith(
        "mask      pii.email \N{MULTIPLICATION SIGN}3  in mail"
    )
    assert shown("resize", {"cols": 80, "title": "a b"}).endswith('resize    cols=80  title="a b"')


def test_a_password_is_withheld_in_what_is_shown():
    entry = Entry(
        1, 0, 0, 0, "sql", {"text": "ALTER ROLE a PASSWORD 's3cret'"}, "ALTER ROLE a PASSWORD 's3cret'"
    )
    assert "s3cret" not in repr(withheld(entry))
    plain = Entry(1, 0, 0, 0, "sql", {"text": "SELECT 1"}, "SELECT 1")
    assert withheld(plain) is plain


def test_what_a_terminal_showed_in_one_go_is_one_entry_and_echoed_keys_are_left_out():
    def screen(n, text, t=0, **body):
        return Entry(n, t, 1, 1, "screen", {"text": f"\x1b[m{text}", **body}, text)

    def key(n, text, **body):
        return Entry(n, 0, 0, 1, "key", {"text": text, **body})

    command = Entry(2, 0, 0, 1, "shell", {"command": "ls", "typed": True}, "ls")
    entries = [
        key(2, "l"),
        screen(3, "l"),
        screen(4, "s\n"),
        command,
        screen(5, "a\n"),
        screen(6, "b\n", 6_000_000),
        screen(7, "e", stream="stderr"),
        key(8, "•••", hidden=True),
        key(9, "in", stream="stdin"),
    ]
    assert [(entry.n, entry.kind, entry.body.get("text")) for entry in joined(entries)] == [
        (3, "screen", "ls\n"),
        (2, "shell", None),
        (5, "screen", "\x1b[ma\n"),
        (6, "screen", "\x1b[mb\n"),
        (7, "screen", "\x1b[me"),
        (8, "key", "•••"),
        (9, "key", "in"),
    ]
    assert len(list(joined(entries, keys=True))) == 8
    assert next(entry_lines(screen(5, "a"))).endswith("screen    a")


def rows_of(n, *values, part=0):
    return Entry(n, 0, 1, 0, "rows", {"columns": ["a"], "rows": [[value] for value in values]}, part=part)


def test_rows_stand_behind_their_statement_as_one_result():
    first, second = (
        Entry(3, 0, 0, 0, "sql", {"text": "one"}),
        Entry(3, 0, 0, 0, "sql", {"text": "two"}, part=1),
    )
    note = Entry(4, 0, 2, 0, "note")
    arrived = [rows_of(3, "x"), note, rows_of(3, "y"), first, rows_of(3, "z", part=1), second]
    assert list(arranged(arrived)) == [note, first, rows_of(3, "x", "y"), second, rows_of(3, "z", part=1)]


def test_many_rows_do_not_wait():
    parts = [rows_of(3, *range(HELD_ROWS // 2)) for _ in range(5)]
    statement = Entry(3, 0, 0, 0, "sql", {"text": "one"})
    shown = list(arranged([*parts, statement]))
    assert shown[:3] == parts[:3]
    assert sum(len(result.rows) for entry in shown if (result := result_of(entry))) == 5 * (HELD_ROWS // 2)
    assert list(arranged(parts[:1])) == parts[:1]


def program(n, channel, kind="shell", **body):
    return Entry(n, 0, 1, channel, kind, body)


def test_what_a_program_wrote_stands_behind_its_command():
    opened, decided = Entry(0, 0, 2, 0, "opened"), Entry(7, 0, 2, 0, "decision")
    first, second = program(3, 1, command="one"), program(5, 2, command="two")
    outputs = [program(n, channel, "screen", stream="stdout") for n, channel in ((4, 1), (6, 2), (8, 1))]
    arrived = [opened, outputs[0], outputs[1], decided, second, outputs[2], first]
    assert list(commands_first(arrived)) == [
        *(opened, first, outputs[0], second, outputs[1], decided, outputs[2])
    ]


def test_a_terminal_waits_for_nothing():
    shown = [program(4, 1, "screen", text="$ "), program(5, 1, command="ls", typed=True), program(3, 1)]
    entries = iter(shown)
    first = commands_first(entries)
    assert next(first) == shown[0]
    assert next(entries) == shown[1]


def test_of_much_output_the_command_stands_behind_it():
    outputs = [program(n, 1, "screen", stream="stdout") for n in range(4, 2 * HELD_ENTRIES)]
    entries = iter([*outputs, program(3, 1, command="yes")])
    shown = commands_first(entries)
    assert next(shown) == outputs[0]
    assert next(entries) == outputs[HELD_ENTRIES]  # no more was read than may be held
    assert list(commands_first(outputs[:2])) == outputs[:2]


def test_the_end_says_why_and_how_much():
    wire = {"client": {"bytes": 155, "frames": 4}, "gateway": {"bytes": 0, "frames": 0}}
    assert shown("closed", {"reason": "client-closed", "exit": {"status": 7}, "wire": wire}).splitlines()[
        1:
    ] == [
        "            exit status=7",
        "            on the wire: client 155 bytes",
    ]


def test_the_clock():
    assert [clock(t) for t in (0, 999_999, 60_000_000, 3_723_004_000)] == [
        "0:00.000",
        "0:00.999",
        "1:00.000",
        "62:03.004",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["text", "binds", "rows", "columns", "error", "command", "exit", "path", "sha256", "effect"]
)
KINDS = st.sampled_from(
    ["sql", "rows", "shell", "file", "key", "screen", "decision", "held", "mask", "opened", "x\x1b"]
)


@given(KINDS, st.dictionaries(KEYS | st.text(), JSON, max_size=5))
def test_whatever_an_entry_holds_is_shown_and_acts_on_nothing(kind, body):
    for line in entry_lines(Entry(1, 2, 0, 0, kind, body)):
        assert not [
            c for c in line if c != "\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        ]
