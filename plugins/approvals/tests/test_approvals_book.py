"""The book itself: what many write at once, what a damaged row does, and that rows say nothing of a request's text."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from plugins.approvals.tests.approvalhouse import House, lead
from recgate.errors import RecgateError
from recgate_approvals.asking import Asked, Shown
from recgate_approvals.book import Decided, NotSo
from recgate_approvals.rows import row_of
from tests.rulehouse import alice


def asked(text: str = "DELETE FROM goods") -> Asked:
    return Asked("hold", alice, "prod-db", ("group:leads",), 1, 600.0, shown=Shown(text), digest="d")


def test_of_many_decisions_at_once_exactly_one_counts(tmp_path: Path) -> None:
    house = House(tmp_path)
    made = house.book.open("ID", asked(), "alice", house.now)
    outcomes: list[str] = []

    def say(number: int) -> None:
        effect = "approve" if number % 2 else "deny"
        who = lead(f"lead-{number}")
        word = Decided(0, effect, who.name, who, "now", house.now, counts=True)
        try:
            outcomes.append(house.book.decide(made, word, (), house.now).status)
        except NotSo:
            outcomes.append("late")

    threads = [threading.Thread(target=say, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outcomes.count("late") == 7
    ended = house.book.get("ID")
    assert ended is not None
    assert len(ended.decisions) == 1


def test_a_row_says_nothing_of_its_text(tmp_path: Path) -> None:
    house = House(tmp_path)
    made = house.book.open("ID", asked("SELECT 'secret'"), "alice", house.now)
    assert "secret" not in repr(row_of(made, mine=False, may=True)) + repr(made)
    assert house.book.shown("ID").text == "SELECT 'secret'"


def test_an_id_is_found_by_how_it_begins_where_that_is_one(tmp_path: Path) -> None:
    house = House(tmp_path)
    for id_ in ("01AB", "01AC"):
        house.book.open(id_, asked(), "alice", house.now)
    assert house.book.get("01ab") is not None
    for id_ in ("01A", "", "%", "02"):
        assert house.book.get(id_) is None


def test_a_file_that_is_none_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "approvals.sqlite"
    path.write_bytes(b"x" * 4_096)
    path.chmod(0o600)
    with pytest.raises(RecgateError, match=r"approvals\.sqlite: file is not a database"):
        House(tmp_path)
