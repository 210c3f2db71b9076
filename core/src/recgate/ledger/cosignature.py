"""Cosignatures: a witness says when it saw a head, and that the head grew out of the one it saw before.

C2SP tlog-cosignature, both kinds: `cosignature/v1` by Ed25519, which is what we make, and `subtree/v1` by ML-DSA-44,
which witnesses of others make.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import Checkpoint, parse_checkpoint
from recgate.ledger.note import COSIGNATURE, MLDSA_COSIGNATURE, Line, Note, Vkey, verify_ed25519

__all__ = ["Cosignature", "cosign", "cosignatures", "witness_key"]

MAX_TIME: Final = (1 << 63) - 1  # seconds since 1970
_TIME_BYTES: Final = 8
_SIGNATURE_SIZES: Final = {COSIGNATURE: 64, MLDSA_COSIGNATURE: 2420}


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A verified statement: at `time`, seconds since 1970, this was the largest head that `witness` had seen."""

    witness: Vkey
    time: int
    line: Line


def witness_key(name: str, key: Ed25519PrivateKey) -> Vkey:
    """Give the key that the cosignatures of a witness are verified with."""
    return Vkey(name, COSIGNATURE, key.public_key().public_bytes_raw())


def cosign(text: str, name: str, key: Ed25519PrivateKey, time: int) -> Line:
    """Cosign the text of a checkpoint at `time`, seconds since 1970. The caller has checked what it vouches for."""
    stamp = time.to_bytes(_TIME_BYTES, "big")
    return Line(name, witness_key(name, key).id, stamp + key.sign(_message(text, time)))


def cosignatures(note: Note, witnesses: Iterable[Vkey]) -> list[Cosignature]:
    """Give what those of the witnesses that cosigned the checkpoint say; the lines of others are passed over.

    Raises:
        LedgerDamaged: a line by one of them does not verify, or the note is not a checkpoint.
    """
    parse_checkpoint(note.text)
    signed = note.signed_by(witnesses, _verifies)
    return [
        Cosignature(key, int.from_bytes(line.signature[:_TIME_BYTES], "big"), line) for key, line in signed
    ]


def _verifies(key: Vkey, line: Line, text: str) -> bool:
    stamp, signature = line.signature[:_TIME_BYTES], line.signature[_TIME_BYTES:]
    time = int.from_bytes(stamp, "big")
    if len(signature) != _SIGNATURE_SIZES.get(key.kind) or not 0 < time <= MAX_TIME:
        return False
    if key.kind == COSIGNATURE:
        return verify_ed25519(key.public, signature, _message(text, time))
    message = _subtree_message(key.name, parse_checkpoint(text), time)
    try:
        MLDSA44PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _subtree_message(name: str, head: Checkpoint, time: int) -> bytes:
    """Give what ML-DSA-44 signs: the whole tree as the subtree that starts at 0."""
    return b"".join(
        [
            b"subtree/v1\n\0",
            _counted(name),
            time.to_bytes(_TIME_BYTES, "big"),
            _counted(head.origin),
            bytes(8),
            head.size.to_bytes(8, "big"),
            head.root,
        ]
    )


def _counted(text: str) -> bytes:
    data = text.encode()
    if not 1 <= len(data) <= 255:
        raise LedgerDamaged("a name does not fit into a cosignature: it has at most 255 bytes")
    return bytes([len(data)]) + data
