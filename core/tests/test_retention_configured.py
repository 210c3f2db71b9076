"""At a gateway, a removal takes the key, the row and the files, and its entry says by whom; the keeper goes round."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace

import pytest
import trio

from core.tests.recorded import EXTRA, SQL, Archive
from recgate import config as configuration
from recgate.errors import RecordingFailed
from recgate.ids import session_bytes
from recgate.keys import GatewayKeys
from recgate.ledger.acts import Actor, Acts
from recgate.ledger.entries import NOBODY, read_entry
from recgate.plugins import Registry
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.recording.plan import ledger_plan
from recgate.retention.configured import book_of, remover_of
from recgate.retention.keeping import Keeper


class House:
    def __init__(self, path, more="") -> None:
        archive = Archive(path)
        self.session, self.other = archive.record(SQL, SQL[:2])
        archive.file.write_text(archive.file.read_text() + more)
        self.config = configuration.load(archive.file, Registry(EXTRA))
        self.registry = Registry.of(self.config, EXTRA)
        self.plan = ledger_plan(self.config, GatewayKeys.of(self.config))
        self.acts = Acts(self.plan)
        self.events: list[tuple[str, object]] = []
        self.audit = SimpleNamespace(
            emit=lambda kind, **fields: self.events.append((kind, fields.get("session")))
        )

    @property
    def removals(self):
        found = [read_entry(each) for batch in self.plan.open().backwards() for each in batch]
        return [each for each in found if each.kind in ("erase", "retention")]


def test_a_removal_takes_key_row_and_files_and_says_by_whom(tmp_path):
    house = House(tmp_path)
    keys = ErasureKeys(house.config.data_dir / ERASURE_FILE)
    keys.of(session_bytes(house.session))
    remover_of(house.config, house.registry, house.acts).remove(house.session, "erase", "local:7", "asked")
    assert list(house.registry.store.sessions()) == [house.other]
    assert house.registry.catalog.get(house.session) is None
    with pytest.raises(Exception, match="erasure key was destroyed"):
        keys.find(session_bytes(house.session))
    (entry,) = house.removals
    assert entry.bytes("who") == house.acts.who(Actor.local(7))
    house.registry.catalog.close()
    house.registry.search.close()


def test_the_keeper_removes_by_rule_and_leaves_what_is_held(tmp_path):
    house = House(tmp_path, "recording: {retention: {default: 1ms}}\n")
    book_of(house.config).hold(house.other, "local:7", "case 17")
    trio.run(Keeper(house).go_round)  # type: ignore[arg-type]
    assert house.events == [("recording.removed", house.session)]
    assert [each.bytes("who") for each in house.removals] == [NOBODY]
    assert list(house.registry.store.sessions()) == [house.other]
    house.registry.catalog.close()
    house.registry.search.close()


def test_without_rules_and_book_the_keeper_opens_nothing(tmp_path):
    house = House(tmp_path)
    trio.run(Keeper(house).go_round)  # type: ignore[arg-type]
    assert (house.events, house.removals) == ([], [])


@pytest.mark.parametrize(
    "error", [RecordingFailed("full"), sqlite3.OperationalError("locked"), OSError("gone")]
)
def test_a_round_that_fails_ends_no_gateway_and_the_next_one_finishes_it(tmp_path, monkeypatch, error):
    house = House(tmp_path, "recording: {retention: {default: 1ms}}\n")

    def broken(_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(house.registry.search, "purge", broken)
        trio.run(Keeper(house).go_round)  # type: ignore[arg-type]
    assert {kind for kind, _ in house.events} == {"retention.failed"}
    assert set(house.registry.store.sessions()) == {house.session, house.other}

    house.events.clear()
    trio.run(Keeper(house).go_round)  # type: ignore[arg-type]
    assert sorted(house.events) == sorted(
        ("recording.removed", each) for each in (house.session, house.other)
    )
    assert list(house.registry.store.sessions()) == []
    house.registry.catalog.close()
    house.registry.search.close()
