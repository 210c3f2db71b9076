"""The transcriber's parts by themselves: cutting, runs, scalar formats, names of statements' objects."""

from __future__ import annotations

import random
import struct

import postgast
import pytest

from recgate_postgres.cutting import MAX_SAVED, Cutter
from recgate_postgres.facts import facts_of
from recgate_postgres.messages import message
from recgate_postgres.objects import action, named_objects
from recgate_postgres.rows import Column
from recgate_postgres.runs import MAX_BATCH_ROWS, MAX_NOTICES, Bound, Prepared, Run
from recgate_postgres.scalars import SCALARS


def test_messages_come_whole_however_they_were_cut():
    dice = random.Random(3)
    said = [message(bytes([kind]), dice.randbytes(dice.randrange(40))) for kind in b"QDdCZQDdCZ" * 5]
    data = b"".join(said)
    expected = [(each[0], len(each) - 1, each[5:] if each[:1] in b"QC" else b"", 1) for each in said]
    for size in (1, 2, 5, 17, len(data)):
        cutter = Cutter(b"QC", 1000)
        found = [one for at in range(0, len(data), size) for one in cutter.cut(data[at : at + size])]
        assert found == expected


def test_what_is_not_wanted_is_not_held():
    cutter = Cutter(b"Q", 1000)
    assert cutter.cut(b"d" + struct.pack("!I", 1 << 30)) == [(ord("d"), 1 << 30, b"", 1)]
    for _ in range(100):
        assert cutter.cut(bytes(65_536)) == []
    assert len(cutter.save()[4]) == 0


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_a_long_message_is_cut_at_the_limit(size):
    data = message(b"Q", b"x" * 3_000) + message(b"Q", b"y")
    cutter = Cutter(b"Q", 1_000)
    found = [one for at in range(0, len(data), size) for one in cutter.cut(data[at : at + size])]
    assert found == [(ord("Q"), 3_004, b"x" * 1_000, 1), (ord("Q"), 5, b"y", 1)]


def test_a_saved_state_has_no_gap_in_the_middle():
    data = message(b"Q", b"a" * MAX_SAVED * 2 + b"b" * 100)
    cutter = Cutter(b"Q", 1 << 20)
    cutter.cut(data[:-100])
    again = Cutter(b"Q", 1 << 20)
    again.restore(cutter.save())
    ((_, length, body, _),) = again.cut(data[-100:])
    assert (length, body) == (len(data) - 1, b"a" * MAX_SAVED)


def test_a_length_that_cannot_be_ends_in_nothing():
    cutter = Cutter(b"Q", 100)
    assert cutter.cut(b"Q\0\0\0\0" + message(b"Q", b"x")) == [(ord("Q"), 0, b"", 1), (ord("Q"), 5, b"x", 1)]


def test_rows_that_nobody_decodes_come_together():
    rows = [message(b"D", bytes(size)) for size in (0, 30, 7, 1_000)]
    pieces = [message(b"d", b"1\n"), message(b"d", b"22\n")]
    data = b"".join([*rows, *pieces, message(b"C", b"COPY 2\0"), message(b"1", b""), message(b"1", b"")])
    assert Cutter(b"C", 100).cut(data) == [
        (ord("D"), sum(len(row) - 1 for row in rows), b"", 4),
        (ord("d"), sum(len(piece) - 1 for piece in pieces), b"", 2),
        (ord("C"), 11, b"COPY 2\0", 1),
        (ord("1"), 4, b"", 1),
        (ord("1"), 4, b"", 1),
    ]
    wanted = Cutter(b"D", 10_000).cut(b"".join(rows))
    assert [body for _, _, body, _ in wanted] == [bytes(size) for size in (0, 30, 7, 1_000)]


@pytest.mark.parametrize("size", [1, 3, 50, 64, 4_000])
def test_rows_together_are_as_many_and_as_long_however_they_were_cut(size):
    dice = random.Random(5)
    rows = [message(b"d", dice.randbytes(dice.randrange(60))) for _ in range(50)]
    data = b"".join([*rows, message(b"c", b""), *rows])
    cutter = Cutter(b"", 100)
    found = [one for at in range(0, len(data), size) for one in cutter.cut(data[at : at + size])]
    assert sum(count for kind, _, _, count in found if kind == ord("d")) == 100
    assert sum(length for kind, length, _, _ in found if kind == ord("d")) == 2 * sum(
        len(row) - 1 for row in rows
    )


def test_rows_are_given_in_batches():
    run = Run(1, 0, 0, 0, "select")
    run.columns = (Column("a", 25),)
    due = [run.add([str(number)], 1) for number in range(MAX_BATCH_ROWS)]
    assert due == [False] * (MAX_BATCH_ROWS - 1) + [True]
    (entry,) = run.flush(5)
    assert (entry.n, entry.kind, entry.body["columns"]) == (1, "rows", ["a"])
    assert list(run.flush(6)) == []
    assert run.add(["x" * 300_000], 300_000)


@pytest.mark.parametrize(
    ("tag", "seen", "rows"),
    [
        ("SELECT 5", 5, 5),
        ("INSERT 0 3", 0, 3),
        ("COPY 7", 0, 7),
        ("CREATE TABLE", 0, 0),
        ("", 2, 2),
        ("INSERT 0 1", 1, 1),
    ],
)
def test_rows_are_counted_from_what_came_or_from_the_tag(tag, seen, rows):
    run = Run(1, 1_000, 0, 0, "x")
    run.rows = seen
    entry = run.complete(3_500, facts_of("select 1").searchable(), "x", tag, None)
    assert (entry.body["rows"], entry.body["duration_ms"]) == (rows, 2.5)
    assert (run.rows, run.done) == (0, 1)


def test_notices_are_bounded():
    run = Run(1, 0, 0, 0, "x")
    for _ in range(MAX_NOTICES + 5):
        run.note("again")
    assert len(run.notices) == MAX_NOTICES


def test_a_bound_statement_is_described_in_its_own_formats():
    prepared = Prepared("select $1", struct.pack("!I", 23), (Column("a", 23),))
    run = Run(1, 0, 0, 0, "")
    bound = Bound(prepared, b"\0\1\0\1" + b"\0\1\0\0\0\4\0\0\0\5" + b"\0\1\0\1")
    run.bind(bound, "utf-8")
    assert (run.text, run.binds) == ("select $1", ["5"])
    assert bound.described() == (Column("a", 23, True),)


@pytest.mark.parametrize("oid", sorted(SCALARS))
def test_scalars_fail_in_the_ways_they_say(oid):
    for value in (b"", b"\0", b"\xff" * 7, b"\xff" * 16, bytes(24)):
        try:
            assert isinstance(SCALARS[oid](value), str)
        except (struct.error, ValueError, IndexError, OverflowError):
            continue


@pytest.mark.parametrize(
    ("text", "verb", "objects"),
    [
        ("drop function s.f(int)", "DROP", ["function s.f"]),
        ("create trigger t before insert on x for each row execute function f()", "CREATE", ["trigger t"]),
        ("comment on table a.b is 'x'", "COMMENT", ["table a.b"]),
        ("alter role a rename to b", "ALTER", ["role a"]),
        ("drop owned by a, current_user", "DROP", ["role a", "role current_user"]),
        ("create type s.m as enum ('a')", "CREATE", ["type s.m"]),
        ("listen news", "LISTEN", []),
        ("rollback to savepoint a", "ROLLBACK", []),
        ("reassign owned by a to b", "REASSIGN", ["role a"]),
        ("create foreign table f (a int) server s", "CREATE", ["table f"]),
        ("alter table t owner to bob", "ALTER", ["table t"]),
    ],
)
def test_what_a_statement_names(text, verb, objects):
    node = postgast.parse(text).stmts[0].stmt
    field = node.WhichOneof("node")
    assert field is not None
    statement = getattr(node, field)
    assert list(action(field, statement)) == [verb]
    assert list(named_objects(field, statement)) == objects
