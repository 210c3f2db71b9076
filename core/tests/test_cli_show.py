"""`recgate show` on real recordings."""

from __future__ import annotations

from core.tests.recorded import SQL, Archive


def test_the_transcript_says_who_and_what(archive):
    lines = archive.run("show", archive.session).splitlines()
    assert lines[0] == f"{archive.session}  alice → prod-db (tiny) from 10.0.0.7:40112"
    assert lines[1].endswith("Z, 0:00, sealed (client-closed)")
    assert [line[14:] for line in lines if line[:12].strip()][2:] == [
        "   0  opened    alice to prod-db from 10.0.0.7:40112",
        "   1  sql       DROP DATABASE customers",
        "   3  sql       SELECT name",
        " 3.1  sql       ALTER ROLE app PASSWORD '•••'",
        "   7  closed    client-closed",
    ]


def test_rows_come_when_asked_for_and_act_on_nothing(archive):
    assert "Ann" not in archive.run("show", archive.session)
    shown = archive.run("show", archive.session, "--rows")
    assert "            Ann\n            \\x1b[2Jevil\\u202e\n" in shown
    assert "\x1b" not in shown


def test_json_is_one_entry_a_line(archive):
    entries = archive.run_json("show", archive.session, "--rows")
    assert [(entry["n"], entry.get("part", 0), entry["kind"]) for entry in entries] == [
        (0, 0, "opened"),
        (1, 0, "sql"),
        (3, 0, "rows"),
        (3, 0, "rows"),
        (3, 0, "sql"),
        (3, 1, "sql"),
        (7, 0, "closed"),
    ]
    assert entries[2]["rows"] == [["Ann"], ["\x1b[2Jevil\u202e"]]
    assert {"n", "t", "side", "channel", "kind"} <= set(entries[1])
    assert archive.run_json("show", archive.session, "--format", "json") == archive.run_json(
        "show", archive.session
    )


def test_one_entry(archive):
    assert archive.run("show", archive.session, "--entry", "1").split()[1:5] == [
        "1",
        "sql",
        "DROP",
        "DATABASE",
    ]
    assert len(archive.run_json("show", archive.session, "--entry", "3")) == 2
    (entry,) = archive.run_json("show", archive.session, "--entry", "3.1")
    assert entry["text"] == "ALTER ROLE app PASSWORD '•••'"
    assert archive.run("show", archive.session, "--entry", "99", status=1) == ""
    assert f"has no entry 99; see `recgate show {archive.session}`" in archive.errors
    archive.run("show", archive.session, "--entry", "x", status=2)
    assert "write its number, such as 12 or 12.1" in archive.errors


def test_a_terminal_is_shown_in_pieces_that_can_be_read(archive):
    lines = archive.run("show", archive.terminal).splitlines()
    assert [line[20:] for line in lines if "screen" in line or "shell" in line] == [
        "screen    sftp bytes",
        "screen    $",
        "shell     ls",
        "screen    ls",
    ]
    assert (
        "            a \ufffd\ufffd b\ufffd" in lines
    )  # this protocol's transcriber decodes each read by itself


def test_what_is_live_is_shown_up_to_now(archive):
    (live,) = archive.record([(0, "line", b"ask SELECT 1"), (1, "line", b"done 5")], closed=False)
    assert [entry["kind"] for entry in archive.run_json("show", live)] == ["opened", "sql"]


def test_a_damaged_recording_is_shown_up_to_the_damage(archive, tmp_path):
    damaged = Archive(tmp_path)
    (session,) = damaged.record(SQL)
    (segment,) = damaged.data.rglob("000001.seg")
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes()[:-40])
    damaged.run("show", session, status=2)
    assert "000001.seg" in damaged.errors
