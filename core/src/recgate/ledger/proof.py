"""Proofs over the ledger's tree: that an entry is in it, that one head grew out of another (RFC 6962 §2.1.1, §2.1.2).

Making a proof asks for the roots of full, aligned subtrees, which tiles give cheaply; checking one needs the proof
and the two roots alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recgate.errors import LedgerDamaged
from recgate.ledger.merkle import EMPTY_ROOT, node_hash, root_of
from recgate.ledger.tiles import WIDTH

__all__ = [
    "MAX_PROOF",
    "Subtree",
    "consistency_proof",
    "inclusion_proof",
    "subtree_root",
    "verify_consistency",
    "verify_inclusion",
]

MAX_PROOF = 63  # hashes: as deep as a tree gets that is counted in 63 bits

_TILE_HEIGHT = 8

# Gives the root over the leaves [start, end) of the tree.
Subtree = Callable[[int, int], bytes]


def subtree_root(hashes: Callable[[int, int], Sequence[bytes]], start: int, end: int) -> bytes:
    """Give the root over the leaves [start, end), as a tree or a proof splits it, from tiles.

    `hashes` gives what there is of the tile (level, number). A tile or two are read for each hash of a proof.
    """
    pieces: list[bytes] = []
    while start < end:
        size = 1 << (end - start).bit_length() - 1
        level = (size.bit_length() - 1) // _TILE_HEIGHT
        unit = WIDTH**level
        first = start // unit
        found = hashes(level, first // WIDTH)[first % WIDTH : first % WIDTH + size // unit]
        if len(found) != size // unit:
            raise LedgerDamaged(
                f"tile {first // WIDTH} of level {level} does not reach to entry {start + size}"
            )
        pieces.append(root_of(found))
        start += size
    if not pieces:
        return EMPTY_ROOT
    node = pieces.pop()
    while pieces:
        node = node_hash(pieces.pop(), node)
    return node


def inclusion_proof(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """Give the path from leaf `index` to the root of the first `size` leaves.

    Raises:
        LedgerDamaged: there is no such leaf in such a tree.
    """
    if not 0 <= index < size:
        raise LedgerDamaged(f"a tree of {size} entries has no entry {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(subtree: Subtree, old: int, size: int) -> list[bytes]:
    """Give the proof that the first `old` leaves are still what a tree of `size` leaves begins with.

    Raises:
        LedgerDamaged: the older tree is the larger one.
    """
    if not 0 <= old <= size:
        raise LedgerDamaged(f"a tree of {size} entries did not grow out of one of {old}")
    if old in (0, size):
        return []
    path: list[bytes] = []
    start, end, whole = 0, size, True
    while old != end:
        middle = start + _left(end - start)
        if old <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        path.append(subtree(start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the proof leads from the hash of leaf `index` to the root of a tree of `size` leaves."""
    if not 0 <= index < size or len(proof) > MAX_PROOF:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether the proof shows that a tree of `size` leaves begins with the older one."""
    if not 0 <= old <= size or len(proof) > MAX_PROOF:
        return False
    if old == size:
        return not proof and old_root == root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    # An older tree that is one full subtree is itself the first hash, which is left out of the proof.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = now = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, now = node_hash(sibling, before), node_hash(sibling, now)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and now == root


def _left(size: int) -> int:
    """Give the largest power of two below `size`: how many leaves the left side of a tree has."""
    return 1 << (size - 1).bit_length() - 1
