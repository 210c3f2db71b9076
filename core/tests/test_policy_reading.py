"""A session that may read alone: requests that do not say that they only read are refused."""

from __future__ import annotations

from recgate.decisions import ALLOW
from recgate.policy.reading import WRITES, ReadOnlyPolicy
from recgate.sansio.frames import Request
from tests.rulehouse import ask


def judged(request: Request):
    return ReadOnlyPolicy().decide(ask(request))


def test_only_what_says_that_it_reads_passes() -> None:
    assert judged(Request("sql", "x", details={WRITES: ""})) is ALLOW
    refused = judged(Request("sql", "x", details={WRITES: "INSERT is more than reading"}))
    assert (refused.rule, refused.reason) == (
        "read-only",
        "this session is read-only: INSERT is more than reading",
    )
    assert "does not tell" in judged(Request("sql", "x")).reason
    assert "replication is more than reading" in judged(Request("replication", "x")).reason
