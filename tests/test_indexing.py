"""What the sealing worker puts into catalog and search index, with the real ones of both plugins."""

from __future__ import annotations

import tracemalloc

import pytest

from core.tests.tinyproto import Tape, tiny
from recgate.errors import LocalProtocolError, RecgateError
from recgate.providers import SearchQuery, SessionFilter
from recgate.transcript.indexing import Indexer, row_of
from recgate_catalog_sql.catalog import SqlCatalog
from recgate_search_fts5.index import FtsIndex

ENDED = {"reason": "client-closed", "ended": 1_000_007_000_000}


@pytest.fixture
def catalog(tmp_path):
    made = SqlCatalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    yield made
    made.close()


@pytest.fixture
def search(tmp_path):
    made = FtsIndex(tmp_path / "search.sqlite")
    yield made
    made.close()


def found(search, **query):
    return [(hit.session, hit.entry, hit.text) for hit in search.find(SearchQuery(**query))]


def record(indexer, tape, cuts=()):
    """Index a tape in segments, as the worker does."""
    indexer.restore("01TAPE", tape.opened, None)
    session, at = tape.opened["session"], 0
    for cut in (*cuts, len(tape.frames)):
        indexer.feed(session, tape.opened, tape.frames[at:cut])
        indexer.save(session)
        at = cut
    indexer.finish(session, ENDED, "sealed")


def statements():
    tape = Tape()
    tape.client("ask DROP DATABASE customers")
    tape.target("done 0")
    tape.gateway(
        "decision", {"kind": "sql", "text": "TRUNCATE audit", "effect": "deny", "rule": "no-truncate"}
    )
    tape.client("ask SELECT 1\nask SELECT 2")
    tape.gateway("mask", {"rule": "pii", "count": 3})
    tape.target("done 5\ndone 2")
    tape.gateway("closed", {"reason": "client-closed"})
    return tape


def test_a_session_is_listed_as_live_and_then_with_its_counts(catalog, search):
    tape = statements()
    indexer = Indexer(tiny(), catalog, search)
    indexer.restore("01TAPE", tape.opened, None)
    row = catalog.get("01TAPE")
    assert (row.status, row.user, row.groups, row.started, row.ended) == (
        "live",
        "alice",
        ("dba",),
        1000.0,
        None,
    )
    indexer.feed("01TAPE", tape.opened, tape.frames[:4])
    indexer.save("01TAPE")
    assert (catalog.get("01TAPE").requests, catalog.get("01TAPE").denied) == (1, 1)
    indexer.feed("01TAPE", tape.opened, tape.frames[4:])
    indexer.save("01TAPE")
    indexer.finish("01TAPE", ENDED, "sealed")
    (row,) = catalog.find(SessionFilter())
    assert (row.status, row.reason, row.ended) == ("sealed", "client-closed", 1000.007)
    assert (row.requests, row.rows, row.denied, row.masked) == (3, 7, 1, 3)
    sent = [sum(len(frame.data) for frame in tape.frames if frame.side == side) for side in (0, 1)]
    assert [row.bytes_client, row.bytes_upstream] == sent


@pytest.mark.parametrize("cut", range(9))
def test_every_segment_border_gives_the_same_index(catalog, search, cut):
    record(Indexer(tiny(), catalog, search), statements(), (cut,))
    assert found(search, terms=("select",)) == [("01TAPE", 4, "SELECT 1"), ("01TAPE", 4, "SELECT 2")]
    assert found(search, terms=("drop", "customers"), fields=(("user", "alice"),)) == [
        ("01TAPE", 1, "DROP DATABASE customers")
    ]
    assert found(search, fields=(("decision", "deny"),)) == [("01TAPE", 3, "TRUNCATE audit")]


def test_what_a_crash_left_behind_is_indexed_again_without_doubles(catalog, search):
    tape = statements()
    first = Indexer(tiny(), catalog, search)
    first.restore("01TAPE", tape.opened, None)
    first.feed("01TAPE", tape.opened, tape.frames[:2])
    state = first.save("01TAPE")
    first.feed("01TAPE", tape.opened, tape.frames[2:6])
    first.save("01TAPE")  # in the indexes, but the state was lost with the process
    second = Indexer(tiny(), catalog, search)
    second.restore("01TAPE", tape.opened, state)
    second.feed("01TAPE", tape.opened, tape.frames[2:])
    second.finish("01TAPE", {**ENDED, "reason": "crashed"}, "recovered")
    row = catalog.get("01TAPE")
    assert (row.status, row.requests, row.rows, row.denied) == ("recovered", 3, 7, 1)
    assert [hit[1] for hit in found(search)] == [0, 1, 3, 4, 4, 5, 7]


def test_facts_keep_no_text_of_anybody(catalog, search):
    record(Indexer(tiny(), catalog, search, level="facts"), statements())
    assert found(search, fields=(("verb", "drop"),)) == [("01TAPE", 1, "")]
    assert found(search, terms=("customers",)) == []
    assert found(search, regex="TRUNCATE|alice") == []


def test_off_indexes_nothing_and_still_counts(catalog, search):
    record(Indexer(tiny(), catalog, search, level="off"), statements())
    assert found(search) == []
    assert catalog.get("01TAPE").requests == 3


def test_a_password_in_a_statement_is_not_indexed(catalog, search):
    tape = Tape()
    tape.client("ask ALTER ROLE app PASSWORD 'hunter2'")
    tape.target("done 0")
    record(Indexer(tiny(), catalog, search), tape)
    assert found(search, terms=("hunter2",)) == []
    assert found(search, terms=("alter", "role")) == [("01TAPE", 1, "ALTER ROLE app PASSWORD '•••'")]


def test_a_file_is_found_by_its_name(catalog, search):
    tape = Tape()
    tape.client("put /var/tmp/dump.sql")
    record(Indexer(tiny(), catalog, search), tape)
    assert found(search, fields=(("file", "dump.sql"),)) == [("01TAPE", 1, "upload /var/tmp/dump.sql")]


def test_many_entries_in_one_segment_do_not_pile_up(catalog, search):
    indexer = Indexer(tiny(), catalog, search)
    tape = Tape()
    indexer.restore("01TAPE", tape.opened, None)
    tracemalloc.start()
    for n in range(30):
        tape.frames.clear()
        tape.client("\n".join(f"ask SELECT {n} -- {'x' * 9000}" for _ in range(500)))
        tape.target("done 1\n" * 500)
        indexer.feed("01TAPE", tape.opened, tape.frames)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


def test_a_session_that_could_not_be_taken_up_still_gets_its_end(catalog, search):
    first = Indexer(tiny(), catalog, search)
    first.restore("01TAPE", Tape().opened, None)
    Indexer(tiny(), catalog, search).finish("01TAPE", {**ENDED, "index_problem": "disk full"}, "recovered")
    row = catalog.get("01TAPE")
    assert (row.status, row.ended) == ("recovered", 1000.007)
    assert row.reason == "client-closed (its index is incomplete: disk full)"


def test_a_full_search_index_leaves_no_session_live(catalog, tmp_path):
    class Full(FtsIndex):
        def add(self, session, entries):
            raise RecgateError("disk full")

    tape = Tape()
    tape.client("ask x")
    indexer = Indexer(tiny(), catalog, Full(tmp_path / "full.sqlite"))
    indexer.restore("01TAPE", tape.opened, None)
    indexer.feed("01TAPE", tape.opened, tape.frames)
    with pytest.raises(RecgateError):
        indexer.finish("01TAPE", ENDED, "sealed")
    assert catalog.get("01TAPE").status == "sealed"


def test_a_session_that_was_not_begun_is_our_own_error(catalog, search):
    with pytest.raises(LocalProtocolError):
        Indexer(tiny(), catalog, search).feed("01NONE", {}, [])
    with pytest.raises(LocalProtocolError):
        Indexer(tiny(), catalog, search).finish("01NONE", {}, "sealed")


def test_a_row_can_be_made_of_little():
    assert row_of({"session": "01A"}).id == "01A"
