"""Commitments: what a seal signs stands for every frame, and one frame can be shown without the others.

A leaf commits to a frame's place and, through a salt, to its data: whoever holds both can prove them,
whoever holds the leaf alone learns nothing, not even by guessing. The root is RFC 6962 §2.1.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from recgate.recording.frames import SALT_BYTES, RecordedFrame

__all__ = ["EMPTY_ROOT", "leaf_hash", "merkle_paths", "merkle_root", "root_of_path", "salt_key", "salter"]

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_SHA256_BLOCK: Final = 64
# What a leaf hashes begins with the leaf's domain byte (RFC 6962 §2.1) and the head of an array of six.
_LEAF: Final = b"\x00\x86"
_DIGEST: Final = b"\x58\x20"
_COPY_BELOW: Final = 4096


def salt_key(secret: bytes, segment: int) -> bytes:
    """Derive a segment's salt key from the journal's salt secret, which dies with the journal.

    Derived and not drawn, so that a segment sealed again after a crash commits to the same frames alike, and
    the header's commitment to the first frame holds whoever seals it.
    """
    return hmac.digest(secret, b"recgate segment salt" + segment.to_bytes(8, "big"), "sha256")


def salter(key: bytes) -> Callable[[int], bytes]:
    """Give the function from a frame's number to its salt: HMAC-SHA-256 over eight bytes, cut to 16."""
    padded = key.ljust(_SHA256_BLOCK, b"\0")
    # RFC 2104 with both key blocks hashed beforehand: a third of the cost of a fresh HMAC a frame.
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def salt(seq: int) -> bytes:
        inside, outside = inner.copy(), outer.copy()
        inside.update(seq.to_bytes(8, "big"))
        outside.update(inside.digest())
        return outside.digest()[:SALT_BYTES]

    return salt


def leaf_hash(frame: RecordedFrame, head: bytes) -> bytes:
    """Commit to one frame: SHA-256(0x00 ‖ CBOR([seq, t, channel, side, kind, SHA-256(salt ‖ data)])).

    `head` is that of `encode_head`.
    """
    data = frame.data
    if len(data) < _COPY_BELOW:
        content = hashlib.sha256(frame.salt + data).digest()
    else:
        hashing = hashlib.sha256(frame.salt)
        hashing.update(data)
        content = hashing.digest()
    return hashlib.sha256(b"".join((_LEAF, head, _DIGEST, content))).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Compute the Merkle tree hash over leaf hashes (RFC 6962 §2.1, without hashing the leaves again)."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    sha256 = hashlib.sha256
    while len(level) > 1:
        # The last of an odd level moves up unchanged, which is the RFC's split at the largest power of two.
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def merkle_paths(leaves: Sequence[bytes], indexes: Iterable[int]) -> dict[int, list[bytes]]:
    """Give the audit path (RFC 6962 §2.1.1) of each leaf asked for: the hashes beside its way up, the lowest first."""
    paths: dict[int, list[bytes]] = {index: [] for index in indexes}
    level, depth = list(leaves), 0
    while len(level) > 1:
        for index, path in paths.items():
            beside = (index >> depth) ^ 1
            if beside < len(level):
                path.append(level[beside])
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level, depth = above, depth + 1
    return paths


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Compute the root of a tree of `size` leaves from one of them and its path; None if the path is no path in it."""
    if not 0 <= index < size:
        return None
    node, rest = leaf, iter(path)
    while size > 1:
        if index ^ 1 < size:
            beside = next(rest, None)
            if beside is None:
                return None
            left, right = (beside, node) if index & 1 else (node, beside)
            node = hashlib.sha256(b"\x01" + left + right).digest()
        index, size = index >> 1, (size + 1) >> 1
    return None if next(rest, None) is not None else node
