"""What a log asks a witness, and what it is answered (C2SP tlog-witness, `add-checkpoint`)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import Checkpoint, parse_checkpoint, parse_hash, parse_size
from recgate.ledger.note import MAX_NOTE, MAX_SIGNATURES, Line, Note, parse_line, parse_note
from recgate.ledger.proof import MAX_PROOF

__all__ = [
    "MAX_ANSWER",
    "MAX_REQUEST",
    "SIZE_TYPE",
    "Answer",
    "Asked",
    "pack_request",
    "parse_answer",
    "parse_request",
]

_HASH_LINE: Final = 45  # characters of a hash in base64, with its newline
MAX_REQUEST: Final = MAX_NOTE + 64 + MAX_PROOF * _HASH_LINE
MAX_ANSWER: Final = 64 << 10  # bytes; a few lines, the longest of 3.5 KiB
SIZE_TYPE: Final = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request taken apart: the size that the witness is thought to know, the proof from there, and the new head."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    head: Checkpoint


@dataclass(frozen=True, slots=True)
class Answer:
    """A status as of HTTP with its body, and in our own words why, for logs."""

    status: int
    body: str
    kind: str = "text/plain; charset=utf-8"
    why: str = ""


def pack_request(old: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Write a request."""
    hashes = "".join(base64.b64encode(each).decode() + "\n" for each in proof)
    return f"old {old}\n{hashes}\n".encode() + checkpoint


def parse_request(data: bytes) -> Asked:
    """Take a request apart. Nothing in it may be believed before the head's signature is verified.

    Raises:
        LedgerDamaged: another form, or an old head that is larger than the new one. Says what.
    """
    if len(data) > MAX_REQUEST:
        raise LedgerDamaged(f"a request is longer than {MAX_REQUEST} bytes")
    ahead, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise LedgerDamaged("a request has no empty line before its checkpoint")
    try:
        first, *hashes = ahead.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise LedgerDamaged("a request has other characters than ASCII before its checkpoint") from None
    word, _, size = first.partition(" ")
    if word != "old":
        raise LedgerDamaged("a request does not begin with the old size")
    if len(hashes) > MAX_PROOF:
        raise LedgerDamaged(f"a proof has more than {MAX_PROOF} hashes")
    old = parse_size(size, "the old size")
    proof = tuple(parse_hash(line, "a proof") for line in hashes)
    note = parse_note(checkpoint)
    head = parse_checkpoint(note.text)
    if old > head.size:
        raise LedgerDamaged("the old size is larger than the checkpoint's")
    return Asked(old, proof, note, head)


def parse_answer(body: bytes) -> tuple[Line, ...]:
    """Take the lines of a witness that agreed. Raises `LedgerDamaged` for another form."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise LedgerDamaged("the answer is not UTF-8") from None
    if not text.endswith("\n") or len(lines := text[:-1].split("\n")) > MAX_SIGNATURES:
        raise LedgerDamaged("the answer is not a few lines")
    return tuple(map(parse_line, lines))
