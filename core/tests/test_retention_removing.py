"""What is removed, in which order, what a crash leaves, and what is never due."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core.tests.recordings import Maker, Shelf
from recgate.ids import session_bytes, session_text
from recgate.providers import SessionRow
from recgate.retention.book import RetentionBook, RetentionFailed
from recgate.retention.removing import Remover, due
from recgate.retention.rules import RetentionRules

DAY = 86_400.0


class Deletable(Shelf):
    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps

    name = "shelf"

    def delete(self, session: str) -> None:
        self.steps.append("store")
        self.content.pop(session, None)


class Rows:
    """A catalog and an index that only note what they are asked to forget."""

    def __init__(self, word: str, steps: list[str]) -> None:
        self.word, self.steps = word, steps

    def purge(self, session: str) -> None:
        self.steps.append(self.word)


class House:
    def __init__(self, path: Path) -> None:
        self.steps: list[str] = []
        self.maker = Maker(path)
        self.session = self.maker.record([(0, "F", b"select 1")], end={"reason": "client-closed"})
        self.store = Deletable(self.steps)
        self.store.content[self.session] = dict(self.maker.shelf(self.session).content[self.session])
        self.book = RetentionBook(path / "retention.sqlite3")
        self.journal = path / "live"
        self.failing = ""

    def step(self, word: str) -> None:
        if word == self.failing:
            raise OSError(28, "No space left on device")
        self.steps.append(word)

    @property
    def remover(self) -> Remover:
        return Remover(
            self.book,
            self.store,  # type: ignore[arg-type]
            Rows("catalog", self.steps),  # type: ignore[arg-type]
            Rows("index", self.steps),  # type: ignore[arg-type]
            self.journal,
            lambda removal: self.step(f"leaf {removal.kind}"),
            lambda session: self.step("key"),
        )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_the_leaf_is_written_before_anything_is_gone(house: House) -> None:
    house.remover.remove(house.session, "erase", "unix:eve", "wrong person")
    assert house.steps == ["leaf erase", "index", "catalog", "key", "store"]
    assert house.store.objects(house.session) == []
    assert [each.why for each in house.book.removals(done=True)] == ["wrong person"]


@pytest.mark.parametrize("place", ["leaf erase", "key"])
def test_what_a_failure_leaves_is_finished_later(house: House, place: str) -> None:
    house.failing = place
    with pytest.raises(OSError, match="No space"):
        house.remover.remove(house.session, "erase", "unix:eve", "wrong person")
    assert house.store.objects(house.session)
    house.failing = ""
    assert [each.session for each in house.remover.finish()] == [house.session]
    assert house.store.objects(house.session) == []
    assert house.remover.finish() == []


def test_what_is_held_or_live_stays_whole(house: House) -> None:
    house.book.hold(house.session, "unix:eve", "case 17")
    with pytest.raises(RetentionFailed, match="legal hold"):
        house.remover.remove(house.session, "retention", "retention", "over")
    house.book.lift(house.session)
    os.makedirs(house.journal / house.session)
    with pytest.raises(RetentionFailed, match="not sealed yet"):
        house.remover.remove(house.session, "retention", "retention", "over")
    assert house.steps == []
    assert house.store.objects(house.session)


def test_a_store_that_cannot_delete_says_so(house: House) -> None:
    class Kept(Shelf):
        name = "tape"

    remover = replace(house.remover, store=Kept())
    with pytest.raises(RetentionFailed, match="the store tape cannot delete"):
        remover.remove(house.session, "retention", "retention", "over")


# -- due ---------------------------------------------------------------------------------------------------


NOW = 2_000 * DAY
RULES = RetentionRules(100 * DAY, {"data": {"pii": 10 * DAY}})


def named(day: float) -> str:
    """Give a session id that was opened on that day."""
    return session_text(int(day * DAY * 1000).to_bytes(6) + session_bytes("01KB0000000000000000000001")[6:])


def found(sessions: Mapping[str, SessionRow], held: tuple[str, ...] = ()) -> list[str]:
    shelf = Shelf()
    shelf.content = {session: {} for session in sorted(sessions)}
    labels = {"crm": {"data": "pii"}, "ops": {}}
    return [
        each.session
        for each in due(RULES, shelf, sessions.get, labels.get, held, lambda: NOW)  # type: ignore[arg-type]
    ]


def row(session: str, target: str, ended: float | None, status: str = "sealed") -> SessionRow:
    return SessionRow(session, "alice", (), target, "tiny", "", 0.0, ended, status)


def test_what_is_due_goes_by_the_end_and_the_labels_of_its_target() -> None:
    old, young, pii, gone = named(1_800), named(1_950), named(1_980), named(1_880)
    sessions = {
        old: row(old, "ops", 1_801 * DAY),
        young: row(young, "ops", 1_951 * DAY),
        pii: row(pii, "crm", 1_981 * DAY),
        gone: row(gone, "removed-target", 1_899.5 * DAY),
    }
    assert found(sessions) == [old, gone, pii]
    sessions[old] = row(old, "ops", 1_900.5 * DAY)  # opened long ago, and ended lately
    assert found(sessions) == [gone, pii]
    assert found(sessions, held=(gone, pii)) == []


@pytest.mark.parametrize("status", ["live", "unsealed"])
def test_what_has_not_ended_is_never_due(status: str) -> None:
    old = named(100)
    assert found({old: row(old, "ops", None, status)}) == []


def test_what_no_row_tells_of_goes_by_its_last_seal(house: House) -> None:
    def asked(clock: float) -> list[str]:
        return [
            each.session
            for each in due(RULES, house.store, lambda _: None, lambda _: {}, (), lambda: clock)  # type: ignore[arg-type]
        ]

    assert asked(1e11) == [house.session]
    assert asked(0.0) == []
    house.store.content[house.session]["000001.seg"] = b"damaged"
    assert asked(1e11) == []
