"""Every kind of entry has a sentence of its own, and only words that an entry has the digest of stand beside it."""

from __future__ import annotations

import json

import pytest

from core.tests.test_ledger_entries import OF
from recgate.cli.ledgerwords import bound_words, entry_fields, entry_words, read_words
from recgate.errors import RecgateError
from recgate.ledger.acts import Words
from recgate.ledger.entries import NOBODY, SHAPES, pack_entry, read_entry


def entry(kind, **given):
    return read_entry(pack_entry(kind, 1, *(given.get(name, OF[wanted]) for name, wanted in SHAPES[kind])))


def test_every_kind_is_a_sentence_of_its_own():
    said = {kind: entry_words(entry(kind)) for kind in SHAPES}
    assert len(set(said.values())) >= len(SHAPES) - 2  # view, export and unseal have their own words within
    assert said["seal"].endswith("segment 7, frames 7 to 13, seal 0000000000000000…")
    assert said["hold"].endswith("put on legal hold by the gateway")
    assert entry_words(entry("hold", on=False, who=b"\1" * 16)).endswith(
        "not on hold any more by who:" + "01" * 8
    )
    assert "denied" in entry_words(entry("decide", approved=False))


def test_fields_are_as_json_has_them():
    fields = dict(entry_fields(entry("decide")))
    assert fields == {
        "session": "0" * 26,
        "request": "0" * 26,
        "approved": True,
        "who": NOBODY.hex(),
        "why": "00" * 32,
    }


def test_words_are_found_by_their_digest(tmp_path):
    words, trail = Words.of("user.added", user="alice", groups=["dba"], made=True), tmp_path / "audit.jsonl"
    line = {"time": 1.5, "event": words.event, **words.fields, "entry": 3}
    rest = ["", "{", "[1]", '{"event": 1, "salt": ""}', '{"event": "login.failed"}', "[" * 5_000]
    trail.write_text("\n".join([*rest, json.dumps(line), ""]))
    known = read_words([trail])
    assert bound_words(entry("admin", details=words.digest), known) == words
    assert bound_words(entry("hold", why=words.digest), known) == words
    assert bound_words(entry("admin"), known) is None
    assert bound_words(entry("view"), known) is None
    with pytest.raises(RecgateError, match="cannot be read"):
        read_words([tmp_path])
