"""RFC 6962 §2.1 word by word, over whole lists: what the ledger's own tree is held against."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def plain_root(entries: Sequence[bytes]) -> bytes:
    """MTH(D[n]) as the RFC writes it."""
    if len(entries) < 2:
        return hashlib.sha256(b"\0" + entries[0] if entries else b"").digest()
    split = _split(len(entries))
    return hashlib.sha256(b"\1" + plain_root(entries[:split]) + plain_root(entries[split:])).digest()


def consistent(entries: Sequence[bytes], old: int, size: int) -> list[bytes]:
    """PROOF(m, D[n]) as the RFC writes it; nothing for an empty older tree, as everybody does it."""
    return _subproof(old, entries[:size], True) if 0 < old < size else []


def _subproof(old: int, entries: Sequence[bytes], whole: bool) -> list[bytes]:
    if old == len(entries):
        return [] if whole else [plain_root(entries)]
    split = _split(len(entries))
    if old <= split:
        return [*_subproof(old, entries[:split], whole), plain_root(entries[split:])]
    return [*_subproof(old - split, entries[split:], False), plain_root(entries[:split])]


def _split(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power
