"""The ledger's key changes under everybody who writes to it; the ledger and its name go on."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from recgate.errors import LedgerDamaged
from recgate.keys import GatewayKeys
from recgate.keys.rotation import rotate_identity, rotate_ledger
from recgate.ledger.entries import pack_entry, read_entry
from recgate.ledger.note import Vkey, parse_note
from recgate.recording.leaves import LedgerPlan


@pytest.fixture
def keys(tmp_path):
    found = GatewayKeys(tmp_path / "data", "gate-1")
    found.prepare()
    return found


def plan(own, **more):
    return LedgerPlan(
        directory=str(own.data_dir / "ledger"),
        gateway="gate-1",
        origin=own.ledger_origin,
        subjects=bytes(32),
        **{"key": own.ledger.private_bytes_raw(), "keys": str(own.directory), **more},
    )


def entry(number):
    return pack_entry("node", number, "x")


def published(keys, name="ledger"):
    trust = json.loads((keys.data_dir / "trust.json").read_text())
    return [Vkey.parse(each["vkey"]) for each in trust.get(name, [])]


def walls(ledger):
    return [
        read_entry(each).wall for bundle in ledger.backwards() for each in bundle if read_entry(each).wall < 9
    ]


def test_writers_that_were_there_before_take_the_new_key_up(keys):
    gateway, worker = plan(keys).open(), plan(keys).open()
    gateway.append([entry(1)])
    worker.append([entry(2)])
    before = parse_note(gateway.publish())
    (old,) = published(keys)
    said = rotate_ledger(keys)
    (new,) = published(keys)
    assert (old.name, published(keys, "former_ledger")) == (new.name, [old])
    worker.append([entry(3)])  # it has not heard of it, and may still sign
    plan(keys).log_rotation("ledger", *said)
    worker.append([entry(4)])
    gateway.append([entry(5)])
    after = parse_note(gateway.publish())
    assert before.verified(old)
    assert after.verified(new)
    with pytest.raises(LedgerDamaged):
        after.verified(old)
    assert walls(gateway) == [1, 2, 3, 4, 5]
    last = [read_entry(each) for each in next(gateway.backwards()) if read_entry(each).kind == "key"]
    assert [(each.fields["what"], each.fields["old"], each.fields["new"]) for each in last] == [
        ("ledger", _digest(old), _digest(new))
    ]


def _digest(vkey):
    return sha256(vkey.public).digest()


def test_a_start_after_the_rotation_goes_on_with_what_the_old_key_signed(keys):
    plan(keys).open().append([entry(1)])
    rotate_ledger(keys)
    rotate_ledger(keys)
    ledger = plan(keys).open()
    ledger.append([entry(2)])
    assert parse_note(ledger.publish()).verified(*published(keys))
    assert len(published(keys, "former_ledger")) == 2


def test_a_key_that_nobody_named_is_refused_as_before(keys, tmp_path):
    plan(keys).open().append([entry(1)])
    other = GatewayKeys(tmp_path / "other", "gate-1")
    other.prepare()
    with pytest.raises(LedgerDamaged, match="is not what this gateway's key has signed"):
        plan(keys, key=other.ledger.private_bytes_raw(), keys=str(other.directory)).open().append([entry(2)])
    with pytest.raises(LedgerDamaged):
        plan(keys, key=other.ledger.private_bytes_raw(), keys="").open().append([entry(2)])


def test_both_keys_can_follow_each_other_in_any_order(keys):
    rotate_identity(keys)
    rotate_ledger(keys)
    rotate_identity(keys)
    trust = json.loads((keys.data_dir / "trust.json").read_text())
    assert [len(trust[name]) for name in ("identity", "ledger", "former_ledger", "successions")] == [
        3,
        1,
        1,
        3,
    ]
    GatewayKeys(keys.data_dir, "gate-1").prepare()
