"""What the gateway recorded, as entries."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.recording.frames import RecordedFrame
from recgate.transcript.entries import Entry
from recgate.transcript.gatewayframes import gateway_entry
from recgate.transcript.reading import as_json


def given_frame(kind, body, side=2):
    return gateway_entry(RecordedFrame(7, 1500, 3, side, kind, cbor2.dumps(body)))


def entry_of(kind, body) -> Entry:
    entry = given_frame(kind, body)
    assert entry is not None
    return entry


def test_a_decision_is_searchable_by_effect_rule_and_text():
    body = {
        "kind": "sql",
        "text": "DROP TABLE t",
        "effect": "deny",
        "rule": "no-drop",
        "reason": "through a migration",
    }
    entry = entry_of("decision", body)
    assert entry.terms == (("decision", "deny"), ("rule", "no-drop"))
    assert entry.text == "DROP TABLE t"
    # The request's kind must not take the place of the entry's.
    assert as_json(entry) == {
        "n": 7,
        "t": 1500,
        "side": 2,
        "channel": 3,
        "kind": "decision",
        "request": "sql",
        "text": "DROP TABLE t",
        "effect": "deny",
        "rule": "no-drop",
        "reason": "through a migration",
    }


def test_a_hold_is_found_as_one():
    entry = entry_of("held", {"kind": "sql", "rule": "big", "reason": "wait for dba-leads"})
    assert entry.terms == (("decision", "hold"), ("rule", "big"))
    assert entry.text == "wait for dba-leads"


def test_a_mask_is_found_by_its_rule_and_says_nothing_else():
    entry = entry_of("mask", {"rule": "pii", "place": "customers.email", "count": 3})
    assert (entry.terms, entry.text) == ((("rule", "pii"),), "")


@pytest.mark.parametrize(("kind", "side"), [("counters", 2), ("F", 2), ("decision", 0), ("opened", 1)])
def test_other_frames_are_no_entries_of_the_gateway(kind, side):
    assert given_frame(kind, {}, side) is None


@given(
    st.binary(max_size=200),
    st.sampled_from(["opened", "decision", "mask", "held", "note", "gap", "closed", "resize"]),
)
def test_any_bytes_give_an_entry(data, kind):
    entry = gateway_entry(RecordedFrame(1, 1, 0, 2, kind, data))
    assert entry is not None
    as_json(entry)
