"""Hold a ledger's tiles against its entries: what `verify` does not need is what mirrors and witnesses are served.

Nothing is believed of a tile. One that says something else than the entries give would hand out proofs that fail, or
entries that nobody signed, and nobody would know since when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from recgate.errors import LedgerDamaged
from recgate.ledger.merkle import Frontier
from recgate.ledger.tiles import ENTRIES, WIDTH, hash_tile, join_entries, tile_name, widths

__all__ = ["TileCheck"]

MAX_WRONG: Final = 50  # tiles that are named


class TileCheck:
    """Gets every entry and its leaf hash, in order; `wrong` gives the tiles that are not what they give, and why.

    `get` gives a tile by its name, or None where there is none. What it holds is the edge of the tree: a tile of hashes
    a level, and a bundle.
    """

    def __init__(self, get: Callable[[str], bytes | None]) -> None:
        self._get = get
        self._entries: list[bytes] = []
        self._levels: list[list[bytes]] = [[]]
        self._counts = [0]  # of full tiles before the edge
        self._other: list[str] = []
        self._lost: list[
            tuple[str, int]
        ] = []  # with the size that a ledger has at least when it must be there

    def add(self, entry: bytes, leaf: bytes) -> None:
        """Take the next entry."""
        self._entries.append(entry)
        self._push(0, leaf)

    def _push(self, level: int, found: bytes) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._counts.append(0)
        hashes = self._levels[level]
        hashes.append(found)
        if len(hashes) < WIDTH:
            return
        number = self._counts[level]
        self._full(tile_name(level, number), hash_tile(hashes), (number + 1) * WIDTH ** (level + 1))
        if level == 0:
            self._entries.clear()
        tree = Frontier()
        for each in hashes:
            tree.add(each)
        hashes.clear()
        self._counts[level] += 1
        self._push(level + 1, tree.root())

    def _full(self, name: str, wanted: bytes, size: int) -> None:
        data = self._read(name)
        if data is None and len(self._lost) < MAX_WRONG:
            self._lost.append((name, size))
        elif data not in (None, wanted) and len(self._other) < MAX_WRONG:
            self._other.append(name)

    def _read(self, name: str) -> bytes | None:
        try:
            return self._get(name)
        except (LedgerDamaged, OSError):
            return b""

    def wrong(self, size: int) -> Iterator[tuple[str, str]]:
        """Give name and words for each tile that goes with a head of so many entries, and is not what it must be."""
        for name in self._other:
            yield name, "is not what the entries give"
        for name, least in self._lost:
            if least <= size and self._read(name) is None:
                yield name, "is missing"
        for level, number, width in widths(size):
            if level < len(self._levels) and self._counts[level] == number:
                yield from self._partial(
                    tile_name(level, number, width), hash_tile(self._levels[level][:width])
                )
                if level == 0:
                    yield from self._partial(
                        tile_name(ENTRIES, number, width), join_entries(self._entries[:width])
                    )

    def _partial(self, name: str, wanted: bytes) -> Iterator[tuple[str, str]]:
        data = self._read(name)
        # The full one takes its place, and then it may go.
        if data is None and self._read(name.partition(".p/")[0]) is None:
            yield name, "is missing"
        elif data not in (None, wanted):
            yield name, "is not what the entries give"
