"""What conditions see: of a session, of a request, of its acts, and of counters as they are now."""

import time

import pytest

from recgate.decisions import ALLOW
from recgate.model import Principal
from recgate.policy import Act
from recgate.sansio.frames import Request
from tests.rulehouse import decide, session, sql


@pytest.mark.parametrize(
    "when",
    [
        'principal.name == "alice" && principal.issuer == "corp" && principal.subject == "17"',
        'principal.method == "token" && "mfa" in principal.amr && principal.acr == "" && principal.source == ""',
        'principal.groups == ["dba", "sre"]',
        'target.name == "prod-db" && target.protocol == "postgres" && target.host == "db.internal"',
        'target.port == 5432 && target.via == ""',
        'target.labels.env == "prod" && target.labels.missing == "" && !has(target.labels.missing)',
        'session.source == "10.1.2.3" && session.reason == ""',
        'request.kind == "sql" && request.text == "select 1" && !request.opaque',
        'request.path == "" && request.port == 0 && request.host == "" && !request.pty && request.database == ""',
    ],
)
def test_what_is_there_is_seen_and_what_is_not_is_zero(when):
    assert decide(when, sql()) is not ALLOW
    assert decide(f"!({when})", sql()) is ALLOW


def test_details_of_another_type_are_taken_for_missing():
    request = Request("forward", "h:1", details={"host": 7, "port": "22", "pty": 1, "path": None})
    assert (
        decide('request.host == "" && request.port == 0 && !request.pty && request.path == ""', request)
        is not ALLOW
    )
    request = Request("forward", "h:1", details={"host": "h", "port": 22, "direction": "local"})
    assert (
        decide('request.host == "h" && request.port == 22 && request.direction == "local"', request)
        is not ALLOW
    )


def test_every_fact_is_seen():
    act = Act("V", ("table a.b",), ("a.b",), ("a.b.c",), ("a.b.d",), ("f",), has_where=False, has_limit=False)
    for when in (
        'request.verb == "V"',
        'request.objects == ["table a.b"]',
        '"a.b" in request.tables',
        'request.columns_read.exists(c, c == "a.b.c")',
        'request.columns_written.all(c, c.endsWith(".d"))',
        'request.functions == ["f"] && !request.has_where && !request.has_limit',
    ):
        assert decide(when, sql(act)) is not ALLOW


def at(day, hour):
    """Give a clock that stands, in this machine's time zone."""
    return lambda: time.mktime((2026, 11, day, hour, 5, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("when", "counter", "matches"),
    [
        ("session.requests > 5", {"requests": 5}, False),
        ("session.requests > 5", {"requests": 6}, True),
        ("5 < session.requests", {"requests": 6}, True),
        ("session.denied in [3, 4]", {"denied_requests": 4}, True),
        ("session.denied in [3, 4]", {"denied_requests": 5}, False),
        ("session.files >= 2", {"files": 2}, True),
        ("session.files != 2", {"files": 2}, False),
        ("session.seconds > 60", {"started": time.time() - 100}, True),
        ("session.seconds <= 60", {"started": time.time() - 100}, False),
        ("session.hour == 23 && session.weekday == 7", {"now": at(29, 23)}, True),
        ("session.hour == 23 && session.weekday == 7", {"now": at(30, 0)}, False),
    ],
)  # fmt: skip
def test_counters_are_as_they_are_now(monkeypatch, when, counter, matches):
    of = session()
    for name, value in counter.items():
        if name == "now":
            monkeypatch.setattr(type(of), "now", lambda self, value=value: value())
        else:
            setattr(of, name, value)
    assert (decide(when, sql(), of) is not ALLOW) is matches


def test_bytes_are_those_of_the_wire_at_the_next_request():
    of = session()
    assert decide("session.bytes_in > 10 || session.bytes_out > 100", sql(), of) is ALLOW
    of.wire.data[1] = 101
    assert decide("session.bytes_out > 100", sql(), of) is not ALLOW
    of.wire.data[0] = 11
    assert decide("session.bytes_in > 10", sql(), of) is not ALLOW


def test_names_that_look_alike_are_not_the_same():
    other = session(Principal("corp", "18", "аlice", frozenset({"DBA"})))  # noqa: RUF001 - Cyrillic
    assert decide('principal.name == "alice" || "dba" in principal.groups', sql(), other) is ALLOW
    assert decide('request.verb == "DROP"', sql(Act("DRОP"))) is ALLOW  # noqa: RUF001 - Cyrillic
