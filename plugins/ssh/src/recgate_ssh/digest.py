"""The SHA-256 of a file that passes in parts, or the reason why there is none.

A hash under way cannot be serialised. It lives as long as the transcriber does, across segments; after a crash
in mid-file the transcript says that the digest is missing instead of giving a wrong one. Pure code.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

__all__ = ["RunningDigest"]

LOST: Final = "indexing was interrupted while the file was under way"
UNORDERED: Final = "not transferred from beginning to end"


class RunningDigest:
    """Hashes what comes in order from offset 0; anything else spoils it."""

    __slots__ = ("_hash", "absent", "size")

    def __init__(self) -> None:
        self._hash: Any = hashlib.sha256()
        self.size = 0
        self.absent = ""

    def update(self, offset: int, data: bytes | memoryview) -> None:
        """Take the bytes at `offset`."""
        if offset != self.size:
            self.absent = self.absent or UNORDERED
        if not self.absent:
            self._hash.update(data)
        self.size = max(self.size, offset + len(data))

    def spoil(self, why: str) -> None:
        """Give no digest."""
        self.absent = self.absent or why

    @property
    def body(self) -> dict[str, object]:
        """Give `sha256`, or `sha256_absent` with the reason."""
        return {"sha256_absent": self.absent} if self.absent else {"sha256": self._hash.hexdigest()}

    def save(self) -> list[Any]:
        """Give what can be kept of the state."""
        return [self.size, self.absent]

    @classmethod
    def restore(cls, state: list[Any]) -> RunningDigest:
        """Go on counting. The digest is lost, unless nothing had been hashed yet."""
        digest = cls()
        digest.size, digest.absent = state[0], state[1] or (LOST if state[0] else "")
        return digest
