"""What is kept of what masks remove is bounded, and what is not kept is counted."""

from __future__ import annotations

from recgate.mask.keeping import MAX_KEPT, MAX_ORIGINAL, Kept


def test_values_are_kept_in_order() -> None:
    kept = Kept()
    for value in (b"one", b"two", b"one"):
        kept.add(value)
    assert (kept.values, kept.facts()) == ([b"one", b"two", b"one"], {})


def test_a_value_above_the_limit_is_counted() -> None:
    kept = Kept()
    kept.add(bytes(MAX_ORIGINAL + 1))
    kept.add(bytes(MAX_ORIGINAL))
    assert (len(kept.values), kept.facts()) == (1, {"unkept": 1})


def test_all_values_of_a_frame_have_a_limit() -> None:
    kept = Kept()
    for _ in range(MAX_KEPT // MAX_ORIGINAL + 2):
        kept.add(bytes(MAX_ORIGINAL))
    assert sum(map(len, kept.values)) == MAX_KEPT
    assert kept.facts() == {"unkept": 2}


def test_nothing_of_a_value_shows() -> None:
    kept = Kept()
    kept.add(b"4111111111111111")
    assert "4111" not in repr(kept)
