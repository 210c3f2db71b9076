"""Where the ledger's tiles are and what is in them: C2SP tlog-tiles, so that any file server can be a mirror of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from recgate.errors import LedgerDamaged
from recgate.ledger.merkle import HASH

__all__ = [
    "CHECKPOINT_NAME",
    "ENTRIES",
    "MAX_BUNDLE",
    "MAX_ENTRY",
    "WIDTH",
    "hash_tile",
    "join_entries",
    "split_entries",
    "split_hashes",
    "tile_name",
    "widths",
]

CHECKPOINT_NAME: Final = "checkpoint"
ENTRIES: Final = "entries"
WIDTH: Final = 256  # hashes or entries of a full tile
# tlog-tiles allows 65,535 bytes; ours are some hundred.
MAX_ENTRY: Final = 4 << 10
_LENGTH: Final = 2
MAX_BUNDLE: Final = WIDTH * (MAX_ENTRY + _LENGTH)


def tile_name(level: int | str, number: int, width: int = WIDTH) -> str:
    """Give the path of a tile below the ledger: `tile/0/x001/234`, or `tile/entries/000.p/17` for a partial one."""
    digits = f"{number % 1000:03d}"
    while number := number // 1000:
        digits = f"x{number % 1000:03d}/{digits}"
    return f"tile/{level}/{digits}" + ("" if width == WIDTH else f".p/{width}")


def widths(size: int) -> Iterable[tuple[int, int, int]]:
    """Give (level, number, width) of the partial tile of each level that a tree of `size` entries has."""
    level = 0
    while size:
        if size % WIDTH:
            yield level, size // WIDTH, size % WIDTH
        level, size = level + 1, size // WIDTH


def join_entries(entries: Iterable[bytes]) -> bytes:
    """Write an entry bundle: each entry behind its length in two bytes."""
    return b"".join(len(entry).to_bytes(_LENGTH, "big") + entry for entry in entries)


def split_entries(data: bytes, what: str) -> list[bytes]:
    """Take an entry bundle apart, from bytes that anybody may have written.

    Raises:
        LedgerDamaged: it breaks off, has too many entries or one that is too long. Says which.
    """
    entries: list[bytes] = []
    offset = 0
    while offset < len(data):
        if len(entries) == WIDTH:
            raise LedgerDamaged(f"{what} has more than {WIDTH} entries")
        begin = offset + _LENGTH
        offset = begin + int.from_bytes(data[offset:begin], "big")
        if offset > len(data) or begin > len(data):
            raise LedgerDamaged(f"{what} breaks off inside its entry {len(entries)}")
        if not 0 < offset - begin <= MAX_ENTRY:
            raise LedgerDamaged(f"entry {len(entries)} of {what} has {offset - begin} bytes")
        entries.append(data[begin:offset])
    return entries


def hash_tile(hashes: Iterable[bytes]) -> bytes:
    """Write a tile of hashes."""
    return b"".join(hashes)


def split_hashes(data: bytes, width: int, what: str) -> list[bytes]:
    """Take a tile of `width` hashes apart. Raises `LedgerDamaged` when it has another size."""
    if len(data) != width * HASH:
        raise LedgerDamaged(f"{what} has {len(data)} bytes instead of {width * HASH}")
    return [data[start : start + HASH] for start in range(0, len(data), HASH)]
