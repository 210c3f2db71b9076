"""The entries that do not fill a bundle yet, in one file that is only ever appended to.

    tail  = head batch*                      ; each behind its length and CRC-32, four bytes each
    head  = [1, bundle, [root…], signature]  ; which bundle it becomes, the full subtrees before it, and the
                                             ; signature of the batch before it; none of the first tail
    batch = [[entry…], signature]            ; over the checkpoint text of the tree that ends with this batch

An append is one write and one sync. Every batch carries the ledger's signature over the head that it leads to, so
what is not under a checkpoint yet is under a signature all the same, and publishing one needs no new statement.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from recgate.errors import LedgerDamaged, RecordingDamaged
from recgate.ledger.merkle import Frontier, leaf_hash
from recgate.ledger.tiles import MAX_BUNDLE, MAX_ENTRY, WIDTH
from recgate.recording.cbor import as_list, decode_strict, encode

__all__ = ["MAX_TAIL", "WRITING", "Tail", "newest_tail", "pack_batch", "pack_head", "read_tail", "tail_path"]

WRITING: Final = "writing"  # the directory; it is nobody's but the gateway's
VERSION: Final = 1
SIGNATURE: Final = 64
_FRAME: Final = 8
# A full bundle in batches of one, each with its frame, its signature and a few heads.
MAX_TAIL: Final = MAX_BUNDLE + WIDTH * (_FRAME + SIGNATURE + 32) + (8 << 10)


@dataclass(slots=True)
class Tail:
    """What such a file holds. `frontier` is the tree behind its last whole batch, `whole` the bytes up to there.

    `cut` bytes behind that are an append that was never acknowledged: its process died over it.
    """

    number: int
    before: Frontier
    frontier: Frontier
    whole: int
    entries: list[bytes] = field(default_factory=list[bytes])
    leaves: list[bytes] = field(default_factory=list[bytes])
    ends: list[tuple[int, bytes]] = field(
        default_factory=list[tuple[int, bytes]]
    )  # size and signature of each batch
    cut: int = 0
    inherited: bytes = b""

    @property
    def signature(self) -> bytes:
        """Give the signature over the head that the last batch led to; none of a ledger without entries."""
        return self.ends[-1][1] if self.ends else self.inherited

    def take(self, entries: Sequence[bytes], signature: bytes, size: int) -> None:
        """Add a batch of `size` bytes."""
        for entry in entries:
            leaf = leaf_hash(entry)
            self.frontier.add(leaf)
            self.leaves.append(leaf)
        self.entries += entries
        self.ends.append((self.frontier.size, signature))
        self.whole += size


def tail_path(directory: Path, number: int) -> Path:
    """Give the file of the entries that will be bundle `number`."""
    return directory / WRITING / f"{number:012d}"


def newest_tail(directory: Path) -> int | None:
    """Give the number of the newest tail, or None where there is none, or none to be seen by this user."""
    try:
        names = os.listdir(directory / WRITING)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return max((int(name) for name in names if name.isascii() and name.isdigit()), default=None)


def pack_head(number: int, before: Frontier, signature: bytes) -> bytes:
    """Write the head of a tail."""
    return _frame(encode([VERSION, number, list(before.roots), signature]))


def pack_batch(entries: Sequence[bytes], signature: bytes) -> bytes:
    """Write a batch."""
    return _frame(encode([list(entries), signature]))


def read_tail(path: Path) -> Tail:
    """Read a tail up to its last whole batch.

    Raises:
        FileNotFoundError: there is none: it has become a bundle meanwhile.
        LedgerDamaged: it is not a tail, or damaged elsewhere than at its end.
    """
    with open(path, "rb", opener=_open_plain) as file:
        data = file.read(MAX_TAIL + 1)
    what = f"{WRITING}/{path.name}"
    if len(data) > MAX_TAIL:
        raise LedgerDamaged(f"{what} is longer than a bundle can be")
    body, offset = _unframe(data, 0)
    if body is None:
        raise LedgerDamaged(f"{what} has no head")
    tail = _head(body, offset, what)
    while offset < len(data):
        body, end = _unframe(data, offset)
        if body is None:
            # A batch that broke off is the last thing in the file; behind anything else, something changed it.
            if 0 < end < len(data):
                raise LedgerDamaged(f"{what} is damaged at byte {offset}")
            tail.cut = len(data) - offset
            return tail
        entries, signature = _batch(body, what, offset)
        if len(tail.entries) + len(entries) > WIDTH:
            raise LedgerDamaged(f"{what} has more than {WIDTH} entries")
        tail.take(entries, signature, end - offset)
        offset = end
    return tail


def _head(body: bytes, offset: int, what: str) -> Tail:
    try:
        items = as_list(decode_strict(body, f"the head of {what}"), f"the head of {what}", 4)
        version, number, roots, signature = items
        hashes = as_list(roots, f"the head of {what}")
    except RecordingDamaged as error:
        raise LedgerDamaged(str(error)) from None
    if version != VERSION or type(number) is not int or f"{number:012d}" != what.rpartition("/")[2]:
        raise LedgerDamaged(f"{what} says that it is something else")
    if type(signature) is not bytes or len(signature) != (SIGNATURE if number else 0):
        raise LedgerDamaged(f"the head of {what} has no signature")
    if not all(type(each) is bytes for each in hashes):
        raise LedgerDamaged(f"the head of {what} has no hashes")
    before = Frontier(number * WIDTH, cast("list[bytes]", hashes))
    return Tail(number, before, before.copy(), offset, inherited=signature)


def _batch(body: bytes, what: str, offset: int) -> tuple[list[bytes], bytes]:
    where = f"the batch at byte {offset} of {what}"
    try:
        entries, signature = as_list(decode_strict(body, where), where, 2)
        listed = as_list(entries, where)
    except RecordingDamaged as error:
        raise LedgerDamaged(str(error)) from None
    if type(signature) is not bytes or len(signature) != SIGNATURE or not listed:
        raise LedgerDamaged(f"{where} is not entries and a signature")
    found = [entry for entry in listed if type(entry) is bytes and 0 < len(entry) <= MAX_ENTRY]
    if len(found) != len(listed):
        raise LedgerDamaged(f"{where} has an entry of another size than entries have")
    return found, signature


def _frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def _unframe(data: bytes, offset: int) -> tuple[bytes | None, int]:
    """Give a frame's body and where it ends; no body when it is not whole."""
    begin = offset + _FRAME
    size = int.from_bytes(data[offset : offset + 4], "big")
    end = begin + size
    body = data[begin:end]
    if not size or len(body) != size or zlib.crc32(body) != int.from_bytes(data[offset + 4 : begin], "big"):
        return None, end if size else 0
    return body, end


def _open_plain(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
