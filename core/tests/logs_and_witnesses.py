"""A log small enough to prove by hand, and witnesses over it, for tests."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.ledger.checkpointtext import Checkpoint
from recgate.ledger.merkle import leaf_hash, root_of
from recgate.ledger.note import ED25519, Note, Vkey, sign_note
from recgate.ledger.proof import consistency_proof
from recgate.witness.request import pack_request

__all__ = ["SmallLog"]


class SmallLog:
    """A log of entries in memory, which may be made to tell another story."""

    def __init__(self, origin: str = "recgate/gate-1/0123456789abcdef", count: int = 0) -> None:
        self.origin = origin
        self.key = Ed25519PrivateKey.generate()
        self.entries = [b"entry %d" % number for number in range(count)]

    @property
    def vkey(self) -> Vkey:
        return Vkey(self.origin, ED25519, self.key.public_key().public_bytes_raw())

    def subtree(self, start: int, end: int) -> bytes:
        return root_of([leaf_hash(entry) for entry in self.entries[start:end]])

    def head(self, size: int | None = None) -> Checkpoint:
        size = len(self.entries) if size is None else size
        return Checkpoint(self.origin, size, self.subtree(0, size))

    def checkpoint(self, size: int | None = None) -> bytes:
        text = self.head(size).text
        return Note(text, (sign_note(text, self.origin, self.key),)).encode()

    def request(self, old: int, size: int | None = None) -> bytes:
        size = len(self.entries) if size is None else size
        proof = consistency_proof(self.subtree, old, size) if old <= size else []
        return pack_request(old, proof, self.checkpoint(size))
