"""A session id in a target's log proves nothing alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recgate.ids import new_session_id
from recgate.targetlog.arrivals import Arrival
from recgate.targetlog.reconciling import Kind, KnownSession, Reconciliation

FIRST, SECOND, OTHER, ALONE = sorted(new_session_id() for _ in range(4))
KNOWN = {
    FIRST: KnownSession(FIRST, 1_000, 1_060, "db", logged=True, reached=True),
    SECOND: KnownSession(SECOND, 1_030, None, "db", logged=True, reached=True),
    OTHER: KnownSession(OTHER, 1_000, 1_060, "web", logged=True, reached=True),
    ALONE: KnownSession(ALONE, 1_000, 1_060, None, logged=True),
}
GATE = "10.0.0.7"


def arrival(session: str = "", wall: float | None = 1_010, source: str = GATE, line: int = 1) -> Arrival:
    return Arrival(line, wall, "app", source, 5, f"recgate {session} psql" if session else "psql")


def work(**more: object) -> Reconciliation:
    return replace(Reconciliation("db", KNOWN, frozenset({GATE})), **more)  # type: ignore[arg-type]


def test_a_session_is_where_it_says() -> None:
    found = work().take(arrival(FIRST))
    assert (found.kind, found.session) == (Kind.RECORDED, FIRST)
    assert found.what == "rests on: session id, its time, the gateway's address"


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        (arrival(new_session_id()), "nobody knows that session"),
        (arrival(OTHER), "that one went to web"),
        (arrival(FIRST, 994), "lasted from 1970-01-01 00:16:40Z to 1970-01-01 00:17:40Z"),
        (arrival(FIRST, 1_066), "lasted from"),
        (arrival(SECOND, 1_024), "to now"),
        (arrival(FIRST, source="10.0.0.9"), "10.0.0.9 is no gateway's address"),
        (arrival(FIRST, source=""), "the log has no address"),
        (arrival(source="10.0.0.9"), "brings no session id, and is from elsewhere"),
    ],
)
def test_a_borrowed_id_is_seen_and_takes_nothing_from_its_owner(brought: Arrival, words: str) -> None:
    reconciliation = work()
    found = reconciliation.take(brought)
    assert found.kind is Kind.UNRECORDED
    assert words in found.what
    assert reconciliation.take(arrival(FIRST, line=2)).kind is Kind.RECORDED


def test_an_id_that_comes_twice_is_one_too_many() -> None:
    reconciliation = work(gateways=frozenset())
    assert reconciliation.take(arrival(FIRST, line=4)).kind is Kind.RECORDED
    found = reconciliation.take(arrival(FIRST, line=9, source="10.0.0.9"))
    assert found.kind is Kind.UNRECORDED
    assert "line 4 brought it already" in found.what


def test_what_the_ledger_does_not_know_is_no_recording() -> None:
    sessions = {FIRST: replace(KNOWN[FIRST], logged=False)}
    found = work(sessions=sessions).take(arrival(FIRST))
    assert (found.kind, "the ledger does not know it" in found.what) == (Kind.UNRECORDED, True)
    assert work(sessions=sessions).take(arrival()).kind is Kind.UNRECORDED


def test_a_match_says_what_it_lacks() -> None:
    assert "the ledger alone" in work().take(arrival(ALONE)).what
    assert "no time" in work(gateways=frozenset()).take(arrival(FIRST, None)).what


def test_without_an_id_address_and_time_must_do_once_each() -> None:
    reconciliation = work()
    found = [reconciliation.take(arrival(wall=1_040)) for _ in range(3)]
    assert [each.session for each in found] == [SECOND, FIRST, ""]
    assert found[2].kind is Kind.UNRECORDED
    assert reconciliation.counts[Kind.RECORDED] == 2
    assert work().take(arrival(wall=None)).kind is Kind.UNRECORDED


def test_where_sessions_bring_ids_nothing_else_is_one() -> None:
    found = work(tagged=True).take(arrival(wall=1_040))
    assert (found.kind, found.what) == (
        Kind.UNRECORDED,
        "comes from the gateway's address and brings no session id",
    )


def test_the_gateways_own_connection_is_from_the_gateway() -> None:
    own = Arrival(1, 1_010, "app", GATE, 5, "recgate catalog")
    assert work(tagged=True).take(own).kind is Kind.GATEWAY
    assert work().take(replace(own, source="10.0.0.9")).kind is Kind.UNRECORDED
    assert work(gateways=frozenset()).take(own).kind is Kind.UNRECORDED


def test_recordings_that_are_not_in_the_log_are_named_within_its_time() -> None:
    reconciliation = work()
    reported = list(reconciliation.report([arrival(FIRST, 1_000), arrival("", 1_100, "10.0.0.9")]))
    assert [each.kind for each in reported] == [Kind.RECORDED, Kind.UNRECORDED, Kind.UNLOGGED]
    assert reported[2].session == SECOND
    assert not list(work().conclude())
    assert [each.session for each in work().conclude(900, 1_020)] == [FIRST]
    denied = {FIRST: replace(KNOWN[FIRST], reached=False)}
    assert not list(work(sessions=denied).conclude(900, 1_020))
    unsure = {FIRST: replace(KNOWN[FIRST], reached=None)}
    assert "unless it never got there" in next(work(sessions=unsure).conclude(900, 1_020)).what
