"""The hash tree over the ledger's entries (RFC 6962 §2.1), grown at its right edge and never read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from recgate.errors import LedgerDamaged

__all__ = ["EMPTY_ROOT", "HASH", "Frontier", "leaf_hash", "node_hash", "root_of"]

HASH: Final = 32  # bytes of SHA-256
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees, of which the left one is full, as their parent."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Give the root over hashes of equal subtrees: all the leaves of a tree, or a tile."""
    frontier = Frontier()
    for each in hashes:
        frontier.add(each)
    return frontier.root()


class Frontier:
    """The roots of the full subtrees on the right edge, the largest first: all that a growing tree needs to remember.

    There are as many as the size has binary ones, so 2⁶³ entries need 63 hashes.
    """

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self._roots = list(roots)
        if len(self._roots) != size.bit_count() or any(len(root) != HASH for root in self._roots):
            raise LedgerDamaged(f"a tree of {size} entries does not have {len(self._roots)} full subtrees")

    @property
    def roots(self) -> tuple[bytes, ...]:
        """Give what the constructor takes back."""
        return tuple(self._roots)

    def add(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        size, node, roots = self.size, leaf, self._roots
        while size & 1:
            node = hashlib.sha256(b"\x01" + roots.pop() + node).digest()
            size >>= 1
        roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Give the hash that stands for everything added so far."""
        if not self._roots:
            return EMPTY_ROOT
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = node_hash(left, node)
        return node

    def copy(self) -> Frontier:
        """Give one that grows by itself."""
        return Frontier(self.size, self._roots)
