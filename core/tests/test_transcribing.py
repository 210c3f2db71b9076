"""The transcript of a whole session, with a protocol small enough to foresee."""

from __future__ import annotations

from core.tests.tinyproto import Tape, tiny
from recgate.transcript.transcribing import MAX_NUMBERED, SessionTranscriber


def entries(tape, transcriber=None, *, finish=True):
    transcriber = transcriber or SessionTranscriber(tiny(), tape.opened)
    found = [entry for frame in tape.frames for entry in transcriber.feed(frame)]
    return found + (transcriber.finish() if finish else [])


def seen(found):
    return [(entry.n, entry.part, entry.kind, entry.text) for entry in found]


def test_protocol_and_gateway_entries_stand_in_the_order_in_which_they_complete():
    tape = Tape()
    tape.client("ask DROP TABLE t")
    tape.gateway("note", {"text": "a slow one"})
    tape.target("done 3")
    tape.gateway("counters", {"client": 1})
    tape.gateway("closed", {"reason": "client-closed"})
    assert seen(entries(tape)) == [
        (0, 0, "opened", "alice prod-db 10.0.0.7:40112"),
        (2, 0, "note", "a slow one"),
        (1, 0, "sql", "DROP TABLE t"),
        (5, 0, "closed", "client-closed"),
    ]


def test_statements_of_one_frame_are_parts_of_it():
    tape = Tape()
    tape.client("ask one\nask two\nask three")
    tape.target("done 1\ndone 2")
    tape.target("done 3")
    assert seen(entries(tape))[1:] == [(1, 0, "sql", "one"), (1, 1, "sql", "two"), (1, 2, "sql", "three")]


def test_rows_have_the_number_and_part_of_their_statement():
    tape = Tape()
    tape.client("ask one\nask two")
    tape.target("row a,b")
    tape.target("row c\ndone 3\nrow d\ndone 1")
    found = entries(tape, SessionTranscriber(tiny(), tape.opened, rows=True))
    assert [(entry.n, entry.part, entry.kind, entry.body["rows"]) for entry in found[1:]] == [
        (1, 0, "rows", [["a"], ["b"]]),
        (1, 0, "rows", [["c"]]),
        (1, 0, "sql", 3),
        (1, 1, "rows", [["d"]]),
        (1, 1, "sql", 1),
    ]


def test_what_is_incomplete_at_the_end_is_given():
    tape = Tape()
    tape.client("ask SELECT 1")
    assert seen(entries(tape))[1:] == [(1, 0, "sql", "SELECT 1")]


def test_a_saved_state_goes_on_where_it_was_at_every_frame():
    tape = Tape()
    tape.client("ask a\nask b\nask c")
    tape.target("done 1")
    tape.target("done 2")
    tape.client("ask d")
    tape.target("done 3\ndone 4")
    whole = seen(entries(tape))
    for cut in range(len(tape.frames)):
        first = SessionTranscriber(tiny(), tape.opened)
        begun = [entry for frame in tape.frames[:cut] for entry in first.feed(frame)]
        second = SessionTranscriber(tiny(), tape.opened, state=first.save())
        rest = [entry for frame in tape.frames[cut:] for entry in second.feed(frame)]
        assert seen([*begun, *rest, *second.finish()]) == whole


def test_a_failing_transcriber_is_said_once_and_the_gateways_entries_go_on():
    tape = Tape()
    tape.client("ask a")
    tape.target("crash")
    tape.client("ask b")
    tape.gateway("closed", {"reason": "client-closed"})
    found = seen(entries(tape))
    assert [entry[2] for entry in found] == ["opened", "gap", "closed"]
    assert found[1] == (2, 0, "gap", "the transcript ends at frame 2: RuntimeError: crashed as asked")


def test_a_failure_is_remembered_across_a_segment_border():
    tape = Tape()
    tape.target("crash")
    first = SessionTranscriber(tiny(), tape.opened)
    for frame in tape.frames:
        first.feed(frame)
    second = SessionTranscriber(tiny(), tape.opened, state=first.save())
    assert second.feed(tape.client("ask b")) == []
    assert second.feed(tape.target("done")) == []


def test_without_its_plugin_a_session_can_still_be_read():
    tape = Tape(protocol="gone")
    tape.client("ask a")
    tape.gateway("closed", {"reason": "client-closed"})
    found = seen(entries(tape, SessionTranscriber(tiny(), tape.opened)))
    assert [entry[2] for entry in found] == ["opened", "gap", "closed"]
    assert "no plugin for the protocol 'gone' is enabled" in found[1][3]


def test_a_transcriber_that_cannot_be_made_is_a_gap():
    tape = Tape()
    found = entries(tape, SessionTranscriber(tiny(broken=True), tape.opened))
    assert [entry.kind for entry in found] == ["opened", "gap"]


def test_counting_parts_stays_small():
    transcriber = SessionTranscriber(tiny(), {"protocol": "tiny"})
    tape = Tape()
    for _ in range(3 * MAX_NUMBERED):
        transcriber.feed(tape.client("ask a"))
        transcriber.feed(tape.target("done"))
    assert len(transcriber.save()) < 20 * MAX_NUMBERED
