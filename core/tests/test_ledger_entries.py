"""Entries are what their kind says, in one encoding, and nobody's name is in them."""

from __future__ import annotations

import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import LedgerDamaged
from recgate.ledger.entries import MAX_TEXT, NOBODY, SHAPES, digest_of, pack_entry, read_entry, who_is
from recgate.ledger.tiles import MAX_ENTRY

OF = {
    "session": bytes(16),
    "request": bytes(16),
    "digest": bytes(32),
    "uint": 7,
    "who": NOBODY,
    "text": "a word",
    "bool": True,
}


@pytest.mark.parametrize("kind", SHAPES)
def test_every_kind_comes_back(kind):
    fields = [OF[wanted] for _, wanted in SHAPES[kind]]
    entry = read_entry(pack_entry(kind, 12, *fields))
    assert (entry.kind, entry.wall, list(entry.fields.values())) == (kind, 12, fields)
    assert entry.session == (bytes(16) if any(wanted == "session" for _, wanted in SHAPES[kind]) else None)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_field_of_another_type_is_refused(kind):
    fields = [OF[wanted] for _, wanted in SHAPES[kind]]
    for place in range(len(fields)):
        for wrong in (
            None,
            -1,
            1 << 63,
            b"short",
            "x" * 201,
            [1],
            1.5,
            1 if isinstance(fields[place], bool) else True,
        ):
            data = cbor2.dumps([kind, 1, *fields[:place], wrong, *fields[place + 1 :]], canonical=True)
            with pytest.raises(LedgerDamaged):
                read_entry(data)
    with pytest.raises(LedgerDamaged):
        read_entry(cbor2.dumps([kind, 1, *fields, 1], canonical=True))


@pytest.mark.parametrize(
    "value", [[], ["open"], ["nothing", 1], [1, 1], ["node", True, "x"], ["node", -1, "x"], {}, "open"]
)
def test_what_is_no_entry_is_refused(value):
    with pytest.raises(LedgerDamaged):
        read_entry(cbor2.dumps(value, canonical=True))


@given(st.binary(max_size=60))
def test_garbage_gives_no_other_exception(data):
    with contextlib.suppress(LedgerDamaged):
        read_entry(data)


def test_a_long_name_is_cut_to_what_an_entry_holds():
    data = pack_entry("node", 1, "g" * 5000)
    assert len(data) < MAX_ENTRY
    assert read_entry(data).fields["gateway"] == "g" * MAX_TEXT


def test_who_depends_on_every_part():
    first = who_is(bytes(32), "https://idp", "alice")
    assert first == who_is(bytes(32), "https://idp", "alice")
    others = {
        who_is(bytes(31) + b"\1", "https://idp", "alice"),
        who_is(bytes(32), "https://idpalice", ""),
        who_is(bytes(32), "https://idp", "bob"),
    }
    assert first not in others
    assert len(others) == 3
    assert digest_of({"a": 1}) != digest_of({"a": 2})
