"""The book of holds and removals: a hold wins over every removal, and words outlive what they are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from recgate.retention.book import RetentionBook, RetentionFailed

ONE, TWO = "01KB0000000000000000000001", "01KB0000000000000000000002"


@pytest.fixture
def book(tmp_path: Path) -> RetentionBook:
    return RetentionBook(tmp_path / "retention.sqlite3", lambda: 1_000.0)


def test_what_is_held_is_listed_until_it_is_lifted(book: RetentionBook) -> None:
    made = book.hold(ONE, "unix:eve", "  case 17  ")
    assert (made.why, made.since) == ("case 17", 1_000.0)
    assert book.held(ONE) == made
    assert book.holds() == [made]
    assert book.held(TWO) is None
    assert book.lift(ONE) == made
    assert book.lift(ONE) is None
    assert book.holds() == []


def test_a_hold_wins_over_rule_and_erasure(book: RetentionBook) -> None:
    book.hold(ONE, "unix:eve", "case 17")
    for kind in ("retention", "erase"):
        with pytest.raises(RetentionFailed, match=r"case 17.*a legal hold wins.*recgate retention lift"):
            book.intend(ONE, kind, "unix:bob", "clean up")
    assert book.removals(done=False) == []


def test_what_is_about_to_be_removed_cannot_be_held_any_more(book: RetentionBook) -> None:
    book.intend(ONE, "erase", "unix:bob", "wrong person")
    with pytest.raises(RetentionFailed, match="removed already"):
        book.hold(ONE, "unix:eve", "case 17")


def test_a_second_hold_names_the_first(book: RetentionBook) -> None:
    book.hold(ONE, "unix:eve", "case 17")
    with pytest.raises(RetentionFailed, match="held by unix:eve already: case 17"):
        book.hold(ONE, "unix:mallory", "nothing")
    assert [each.why for each in book.holds()] == ["case 17"]


def test_a_removal_is_unfinished_until_it_is_said_to_be_done(book: RetentionBook) -> None:
    made = book.intend(ONE, "erase", "unix:bob", "wrong person")
    assert book.removals(done=False) == [made]
    book.intend(ONE, "erase", "unix:mallory", "other words")
    assert [each.who for each in book.removals(done=False)] == ["unix:bob"]
    book.done(ONE, "erase")
    assert book.removals(done=False) == []
    assert [(each.session, each.why, each.done) for each in book.removals(done=True)] == [
        (ONE, "wrong person", True)
    ]


@pytest.mark.parametrize("why", ["", "   ", "x" * 1_001])
def test_a_reason_is_demanded(book: RetentionBook, why: str) -> None:
    with pytest.raises(RetentionFailed, match="say why"):
        book.hold(ONE, "unix:eve", why)
    with pytest.raises(RetentionFailed, match="say why"):
        book.intend(ONE, "erase", "unix:eve", why)


def test_the_words_of_a_removal_are_the_same_at_every_try(book: RetentionBook) -> None:
    made = book.intend(ONE, "erase", "local:0", "wrong person")
    assert made.words.event == "recording.erased"
    assert book.intend(ONE, "erase", "local:7", "other words").words == made.words
    assert book.removals(done=False)[0].words.digest == made.words.digest
    assert book.intend(TWO, "retention", "retention", "over").words.event == "recording.removed"
