"""The growing tree gives the root that RFC 6962 gives, and goes on from what it wrote down."""

from __future__ import annotations

import pytest

from core.tests.plaintree import plain_root
from recgate.errors import LedgerDamaged
from recgate.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_of


def test_every_size_has_its_root():
    entries = [bytes([number]) for number in range(130)]
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT == plain_root([])
    for size, entry in enumerate(entries, start=1):
        frontier.add(leaf_hash(entry))
        assert (
            frontier.root() == plain_root(entries[:size]) == root_of([leaf_hash(e) for e in entries[:size]])
        )
        frontier = Frontier(frontier.size, frontier.roots)


def test_a_copy_grows_by_itself():
    frontier = Frontier()
    frontier.add(leaf_hash(b"one"))
    other = frontier.copy()
    other.add(leaf_hash(b"two"))
    assert (frontier.size, frontier.root()) == (1, plain_root([b"one"]))


@pytest.mark.parametrize(("size", "roots"), [(1, []), (2, [bytes(32)] * 2), (1, [bytes(31)])])
def test_a_frontier_of_another_size_is_refused(size, roots):
    with pytest.raises(LedgerDamaged, match="full subtrees"):
        Frontier(size, roots)
