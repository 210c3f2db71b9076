"""Transcripts: of real sessions against what the clients saw, and of odd ones message by message."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cbor2
import psycopg
import pytest

from plugins.postgres.tests.gate import Gate
from plugins.postgres.tests.talk import (
    BOUND,
    CLOSED,
    PARSED,
    READY,
    SYNC,
    ask,
    bind,
    close,
    done,
    error,
    execute,
    parameter,
    parse,
    row,
)
from plugins.postgres.tests.test_postgres_real import SAID, connect, gate, no_drop, psql
from recgate.recording.frames import RecordedFrame
from recgate.transcript.entries import Entry
from recgate_postgres.messages import message
from recgate_postgres.transcript import PostgresTranscriber
from recgate_postgres.transcript_state import MAX_STATE

COLUMNS = message(
    b"T",
    b"\0\2id\0"
    b"\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"
    b"name\0"
    b"\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0",
)


def frames_of(*said: tuple[str, bytes]) -> list[RecordedFrame]:
    """Frames a millisecond apart: F and B are the two sides, G a stand-in, D a decision."""
    sides = {"F": (0, "F"), "B": (1, "B"), "G": (2, "F"), "D": (2, "decision")}
    return [RecordedFrame(n, n * 1000, 0, *sides[kind], data) for n, (kind, data) in enumerate(said)]


def read(frames: Iterable[RecordedFrame], *, rows: bool = False) -> list[Entry]:
    """Transcribe in one go."""
    transcriber = PostgresTranscriber({}, None, rows)
    entries = [entry for frame in frames for entry in transcriber.feed(frame)]
    return [*entries, *transcriber.finish()]


def body(entry: Entry) -> dict[str, Any]:
    """An entry's body, to be looked into."""
    return dict(entry.body)


def summary(entries: Iterable[Entry]) -> list[tuple[object, ...]]:
    """What an entry says, without times."""
    return [(e.n, e.kind, e.body.get("text"), e.body.get("rows"), e.body.get("error")) for e in entries]


@pytest.fixture
def recorded(debian) -> Callable[[Callable[[Gate], None]], list[RecordedFrame]]:
    """Record what somebody does."""

    def record(what: Callable[[Gate], None]) -> list[RecordedFrame]:
        with gate(debian, decide=no_drop) as opened:
            what(opened)
            opened.seen[0].done.wait(30)
            return opened.seen[0].frames

    return record


def by_psql(opened: Gate) -> None:
    psql(
        opened,
        "create temp table t (a int, b text); insert into t values (1, 'x'), (2, null); select * from t order by a",
        "select 1/0",
        "drop table t",
        "\\copy t from stdin",
        "select 'ü' as umlaut",
        stdin="3\ty\n",
    )


def by_psycopg(opened: Gate) -> None:
    with connect(opened) as connection, connection.cursor(binary=True) as cursor:
        cursor.execute("select %s::int4 as i, %s::text as t, %s::numeric as n", (5, "häß", 3.25))
        for number in range(8):
            cursor.execute("select generate_series(1, %s)", (number,), prepare=True)
        with pytest.raises(psycopg.Error):
            cursor.execute("drop table nothing", prepare=True)
        with pytest.raises(psycopg.Error), connection.pipeline():  # noqa: PT012
            connection.execute("select 'before'")
            connection.execute("drop table nothing")
            connection.execute("select 'after'")
        with connection.cursor().copy("copy (select generate_series(1, 3)) to stdout") as copy:
            assert len(list(copy)) == 3


def test_what_psql_did(recorded):
    entries = read(recorded(by_psql), rows=True)
    said = [
        (entry.kind, body(entry).get("text"), body(entry)["rows"], body(entry).get("error"))
        for entry in entries
    ]

    assert said == [
        ("sql", "create temp table t (a int, b text)", 0, None),
        ("sql", "insert into t values (1, 'x'), (2, null)", 2, None),
        ("rows", None, [["1", "x"], ["2", None]], None),
        ("sql", "select * from t order by a", 2, None),
        ("sql", "select 1/0", 0, "22012: division by zero"),
        ("sql", "drop table t", 0, f"42501: {SAID}"),
        ("rows", None, [["3\ty"]], None),
        ("sql", "COPY  t FROM STDIN ", 1, None),
        ("rows", None, [["ü"]], None),
        ("sql", "select 'ü' as umlaut", 1, None),
    ]
    refused = entries[5]
    assert refused.body["decision"] == {
        "effect": "deny", "rule": "no-drop", "reason": "Dropping goes through a migration."
    }  # fmt: skip
    assert ("verb", "drop") in refused.terms
    assert ("object", "table") in refused.terms
    assert ("table", "t") in refused.terms
    assert [entry.n for entry in entries[:4]] == [entries[0].n] * 4
    assert all(body(entry)["duration_ms"] >= 0 for entry in entries if entry.kind == "sql")


def test_what_psycopg_did(recorded):
    entries = read(recorded(by_psycopg), rows=True)
    first = next(entry for entry in entries if entry.kind == "sql")

    assert entries[0].body["rows"] == [["5", "häß", "3.25"]]
    assert first.body["binds"] == ["5", "häß", "3.25"]
    assert first.body["columns"] == ["i", "t", "n"]
    counted = [
        body(entry)["rows"]
        for entry in entries
        if entry.kind == "sql" and "series(1, $1" in str(body(entry)["text"])
    ]
    assert counted == list(range(8))
    said = [(body(entry)["text"], body(entry)["error"]) for entry in entries if entry.kind == "sql"]
    # psycopg stops a pipeline at the first error that it has read: on a slow machine this is never sent.
    behind = ("select 'after'", "not run: an earlier message of the series failed")
    assert [each for each in said if each != behind][-4:] == [
        ("drop table nothing", f"42501: {SAID}"),
        ("select 'before'", None),
        ("drop table nothing", f"42501: {SAID}"),
        ("copy (select generate_series(1, 3)) to stdout", None),
    ]
    assert ("select 'after'", None) not in said


@pytest.mark.parametrize("what", [by_psql, by_psycopg])
def test_any_state_can_be_saved_and_taken_up(recorded, what):
    frames = recorded(what)
    for rows in (False, True):
        whole = read(frames, rows=rows)
        transcriber = PostgresTranscriber({}, None, rows)
        entries: list[Entry] = []
        for frame in frames:
            entries += transcriber.feed(frame)
            state = transcriber.save()
            assert len(state) <= MAX_STATE
            transcriber = PostgresTranscriber({}, state, rows)
        assert entries == whole


@pytest.mark.parametrize("what", [by_psql, by_psycopg])
def test_cutting_frames_differently_changes_no_meaning(recorded, what):
    frames = recorded(what)
    whole = summary(read(frames))
    for size in (1, 3, 50):
        cut: list[RecordedFrame] = []
        for frame in frames:
            step = size if frame.kind in "FB" and (frame.side != 2 or frame.kind == "B") else len(frame.data)
            for at in range(0, len(frame.data), step):
                piece = frame.data[at : at + step]
                cut.append(RecordedFrame(frame.seq, frame.t, 0, frame.side, frame.kind, piece))
        assert summary(read(cut)) == whole


def test_entries_are_json(recorded):
    for entry in read(recorded(by_psycopg), rows=True):
        json.dumps(body(entry))


def test_indexing_counts_rows_and_decodes_none(recorded):
    entries = read(recorded(by_psql))
    assert {entry.kind for entry in entries} == {"sql"}
    assert [body(entry)["rows"] for entry in entries] == [0, 2, 2, 0, 0, 1, 1]
    assert entries[2].body["columns"] == ["a", "b"]
    assert body(entries[2])["bytes"] > 0


def test_a_large_result_is_never_held():
    data = row(b"1", b"x" * 1000) * 2000
    frames = frames_of(
        ("F", ask("select")),
        ("B", COLUMNS),
        *(("B", data[at : at + 65536]) for at in range(0, len(data), 65536)),
        ("B", done("SELECT 2000") + READY),
    )
    entries = read(frames, rows=True)
    parts = [entry for entry in entries if entry.kind == "rows"]

    assert sum(len(body(entry)["rows"]) for entry in parts) == 2000
    assert max(len(body(entry)["rows"]) for entry in parts) <= 200
    assert {entry.n for entry in parts} == {0}
    assert entries[-1].body["rows"] == 2000


@pytest.mark.parametrize("step", [7, 1_000, 65_536])
def test_what_is_counted_together_is_counted_right(step):
    rows = [row(b"%d" % number, b"x" * (number % 50)) for number in range(500)]
    pieces = [message(b"d", b"%d\n" % number) for number in range(300)]
    result, copied = b"".join(rows), b"".join(pieces)
    entries = read(
        frames_of(
            ("F", ask("select")),
            ("B", COLUMNS),
            *(("B", result[at : at + step]) for at in range(0, len(result), step)),
            ("B", done("SELECT 500") + READY),
            ("F", ask("copy t from stdin")),
            ("B", message(b"G", b"\0\0\0")),
            *(("F", copied[at : at + step]) for at in range(0, len(copied), step)),
            ("F", message(b"c", b"")),
            ("B", done("COPY 300") + READY),
        )
    )

    assert [body(entry)["rows"] for entry in entries] == [500, 300]
    assert [body(entry)["bytes"] for entry in entries] == [len(result) - 5 * 500, len(copied) - 5 * 300]


def test_a_result_without_rows_still_has_columns():
    entries = read(frames_of(("F", ask("select")), ("B", COLUMNS + done("SELECT 0") + READY)), rows=True)
    assert entries[0].body == {"columns": ["id", "name"], "rows": []}


def test_a_skipped_parse_does_not_rename_in_the_transcript_either():
    series = execute("nowhere") + parse("", "select 1") + SYNC
    entries = read(
        frames_of(
            ("F", parse("", "delete from t") + SYNC),
            ("B", PARSED + READY),
            ("F", series),
            ("F", bind() + execute() + SYNC),
            (
                "B",
                error('portal "nowhere" does not exist', "34000") + READY + BOUND + done("DELETE 3") + READY,
            ),
        )
    )
    assert [(body(entry)["text"], body(entry)["rows"]) for entry in entries] == [
        ('FETCH FROM "nowhere"', 0),
        ("delete from t", 3),
    ]


def test_a_series_that_fails_before_its_execute_is_an_attempt():
    entries = read(
        frames_of(("F", parse("s", "selec 1") + SYNC), ("B", error("syntax error", "42601") + READY))
    )
    assert summary(entries) == [(0, "sql", "selec 1", 0, "42601: syntax error")]
    assert entries[0].terms == (("verb", "selec"),)


def test_closing_and_binding_anew():
    entries = read(
        frames_of(
            (
                "F",
                parse("s", "select 1")
                + bind("", "s")
                + execute()
                + close("S", "s")
                + parse("s", "select 2")
                + bind("", "s")
                + execute()
                + SYNC,
            ),
            ("B", PARSED + BOUND + done("SELECT 1") + CLOSED + PARSED + BOUND + done("SELECT 1") + READY),
        )
    )
    assert [body(entry)["text"] for entry in entries] == ["select 1", "select 2"]


def test_suspended_portals_are_entries_of_their_own():
    entries = read(
        frames_of(
            ("F", parse("", "select 1") + bind("p") + execute("p", 2) + SYNC),
            ("B", PARSED + BOUND + row(b"1") * 2 + b"s\0\0\0\4" + b"Z\0\0\0\5T"),
            ("F", execute("p") + SYNC),
            ("B", row(b"1") * 3 + done("SELECT 3") + READY),
        )
    )
    assert [(entry.n, body(entry)["text"], body(entry)["rows"]) for entry in entries] == [
        (0, "select 1", 2),
        (2, "select 1", 3),
    ]


def test_a_refusal_in_the_middle_of_a_pipeline_belongs_to_its_own_statement():
    # The pump records what arrived together together, so the decision stands before what was allowed ahead of it.
    decision = cbor2.dumps(
        {"kind": "sql", "text": "drop table t", "effect": "deny", "rule": "r", "reason": "no"}
    )
    entries = read(
        frames_of(
            ("D", decision),
            ("F", ask("select 1")),
            ("G", ask("recgate_refused_x_1_")),
            ("B", done("SELECT 1") + READY + error("r: no", "42501") + READY),
        )
    )
    assert [(body(entry)["text"], body(entry)["decision"]) for entry in entries] == [
        ("select 1", None),
        ("drop table t", {"effect": "deny", "rule": "r", "reason": "no"}),
    ]


def test_an_approved_request_says_who_decided():
    decision = cbor2.dumps(
        {"kind": "sql", "text": "select 1", "effect": "allow", "rule": "held", "reason": "bob approved"}
    )
    (entry,) = read(frames_of(("D", decision), ("F", ask("select 1")), ("B", done("SELECT 1") + READY)))
    assert entry.body["decision"] == {"effect": "allow", "rule": "held", "reason": "bob approved"}


def test_what_is_unfinished_says_so():
    (entry,) = read(frames_of(("F", ask("select pg_sleep(60)"))))
    assert entry.body["error"] == "unfinished: the recording ends here"


def test_notices_and_notifications():
    notice = message(b"N", b"SNOTICE\0C00000\0Mhello\0\0")
    notify = message(b"A", b"\0\0\0\1news\0it happened\0")
    entries = read(frames_of(("F", ask("do $$$$")), ("B", notice + done("DO") + READY), ("B", notify)))
    assert entries[0].body["notices"] == ["hello"]
    assert (entries[1].kind, body(entries[1])["text"]) == ("note", "NOTIFY news: it happened")


def test_encodings_are_followed():
    text = "select '表'".encode("cp932")
    (entry,) = read(
        frames_of(
            ("B", parameter("client_encoding", "SJIS")),
            ("F", message(b"Q", text + b"\0")),
            ("B", done("SELECT 1") + READY),
        )
    )
    assert entry.body["text"] == "select '表'"


def test_a_function_call():
    call = b"\0\0\3\xb8" + b"\0\1\0\1\0\1" + b"\0\0\0\4\0\0\0\7" + b"\0\1"
    (entry,) = read(frames_of(("F", message(b"F", call)), ("B", message(b"V", b"\0\0\0\4\0\0\0\1") + READY)))
    assert entry.body["text"] == "lo_open()"
    assert len(body(entry)["binds"]) == 1


def test_a_state_stays_small_whatever_was_prepared():
    transcriber = PostgresTranscriber({}, None, False)
    dice = random.Random(1)
    for number in range(3_000):
        text = "".join(dice.choices("abcdefghij", k=200))
        frames = frames_of(("F", parse(f"s{number}", text) + SYNC), ("B", PARSED + READY))
        for frame in frames:
            list(transcriber.feed(frame))
    list(
        transcriber.feed(
            frames_of(("F", parse("big", "x" * 3_000_000) + bind("", "big") + execute() + SYNC))[0]
        )
    )
    state = transcriber.save()
    assert len(state) <= MAX_STATE
    again = PostgresTranscriber({}, state, False)
    assert list(again.feed(frames_of(("B", PARSED + BOUND + done("SELECT 1") + READY))[0]))


def test_a_state_of_another_version_is_refused():
    with pytest.raises(ValueError, match="another version"):
        PostgresTranscriber({}, __import__("zlib").compress(cbor2.dumps([99])), False)


def test_a_damaged_recording_raises_nothing():
    dice = random.Random(7)
    for _ in range(200):
        said: Sequence[tuple[str, bytes]] = [
            (dice.choice("FBGD"), dice.randbytes(dice.randrange(300))) for _ in range(20)
        ]
        for rows in (False, True):
            read(frames_of(*said), rows=rows)
