"""What a ledger has to say of one recording, taken out of it with proofs: entries, cosigned heads, time stamps.

The ledger is read twice: once for the entries, once for the hashes that lead from them to the heads. What is kept
meanwhile is 32 bytes for each 256 entries, and the leaves of the few bundles that a proof needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recgate.errors import LedgerDamaged, RecgateError
from recgate.ledger.checkpointtext import Checkpoint, parse_checkpoint
from recgate.ledger.entries import Entry, read_entry
from recgate.ledger.logproof import LogProof
from recgate.ledger.merkle import leaf_hash, root_of
from recgate.ledger.note import Note, merge_lines, parse_note
from recgate.ledger.proof import inclusion_proof, subtree_root
from recgate.ledger.reading import LedgerReading
from recgate.ledger.tiles import CHECKPOINT_NAME, WIDTH
from recgate.witness.timestamps import MAX_TOKEN, stamp_path, stamped
from recgate.witness.vouching import kept

__all__ = ["LedgerEvidence", "evidence_of"]

# What stands in the ledger of a recording itself. Who looked at it is the gateway's own affair.
KINDS: Final = frozenset({"open", "seal", "close", "abort", "redact", "erase", "retention"})
_ENDS: Final = frozenset({"close", "abort"})

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class LedgerEvidence:
    """Entries of a session by their index, each with a proof that leads to `checkpoint`; a signed note.

    `cosigned` leads from the `last` of them to other heads, `stamps` to heads that an authority has stamped.
    """

    checkpoint: bytes
    entries: dict[int, bytes] = field(default_factory=dict[int, bytes])
    proofs: list[LogProof] = field(default_factory=list[LogProof])
    cosigned: list[LogProof] = field(default_factory=list[LogProof])
    stamps: list[tuple[int, bytes, LogProof]] = field(default_factory=list[tuple[int, bytes, LogProof]])


def evidence_of(
    ledger: Path,
    session: bytes,
    segments: int | None = None,
    progress: Progress = lambda done, total: None,
) -> LedgerEvidence:
    """Take out of a ledger what it says of a session (16 bytes), or of its first `segments` segments.

    Raises:
        RecgateError: its checkpoint does not reach that far yet, or is not over these entries.
        LedgerDamaged: it cannot be read.
    """
    found: dict[int, Entry] = {}
    raw: dict[int, bytes] = {}

    def visit(index: int, data: bytes) -> None:
        if session in data and (entry := read_entry(data)).session == session and _of(entry, segments):
            found[index], raw[index] = entry, data

    reading = LedgerReading(ledger, (), visit)
    reading.read(progress)
    if reading.note is None or reading.checkpoint is None:
        raise RecgateError(f"{ledger} has no checkpoint yet; a running gateway writes one every ten seconds")
    head = reading.checkpoint
    if raw and max(raw) >= head.size:
        raise RecgateError(
            f"the ledger's checkpoint does not reach entry {max(raw)} of this recording yet; a running gateway writes "
            "one every ten seconds: try again then"
        )
    evidence = LedgerEvidence(reading.note.encode(), raw)
    if not raw:
        return evidence
    last = max((index for index, entry in found.items() if entry.kind in _ENDS), default=max(raw))
    cosigned = _cosigned(ledger, last, reading.note)
    stamps = [size for size in stamped(ledger) if size > last][:1]
    hashes = _Hashes({index // WIDTH for index in raw}, {head.size, *(each for each, _ in cosigned), *stamps})
    hashes.read(ledger, head.size)
    if hashes.root(head.size) != head.root:
        raise RecgateError(f"{ledger}: its checkpoint is not over its entries; see recgate ledger check")
    evidence.proofs = [hashes.proof(index, head.size, evidence.checkpoint) for index in sorted(raw)]
    for size, note in cosigned:
        # A head that witnesses saw of another ledger of that name leads nowhere here: recgate ledger check says so.
        if size <= head.size and hashes.root(size) == parse_checkpoint(note.text).root:
            evidence.cosigned.append(hashes.proof(last, size, note.encode()))
    for size in stamps:
        if size <= head.size:
            text = Checkpoint(head.origin, size, hashes.root(size)).text.encode()
            evidence.stamps.append((size, _token(ledger, size), hashes.proof(last, size, text)))
    return evidence


def _of(entry: Entry, segments: int | None) -> bool:
    """Say whether an entry belongs to what is shown of its session."""
    if segments is None:
        return entry.kind in KINDS
    return entry.kind == "open" or (entry.kind in ("seal", "redact") and entry.number("segment") <= segments)


def _cosigned(ledger: Path, last: int, published: Note) -> list[tuple[int, Note]]:
    """Give the heads behind entry `last` that witnesses have cosigned, apart from the one that is published."""
    notes: dict[str, Note] = {}
    for name, data in kept(ledger):
        try:
            note = parse_note(data)
            size = parse_checkpoint(note.text).size
        except LedgerDamaged:
            continue
        if name == CHECKPOINT_NAME or note.text == published.text or size <= last:
            continue
        before = notes.get(note.text, Note(note.text, ()))
        notes[note.text] = Note(note.text, merge_lines(before.lines, note.lines))
    return sorted(
        ((parse_checkpoint(text).size, note) for text, note in notes.items()), key=lambda each: each[0]
    )


def _token(ledger: Path, size: int) -> bytes:
    with open(stamp_path(ledger, size), "rb") as file:
        return file.read(MAX_TOKEN)


class _Hashes:
    """The hashes of a ledger's tree that proofs take: of `bundles`, and of those in which heads of `sizes` end."""

    def __init__(self, bundles: set[int], sizes: set[int]) -> None:
        self._wanted = bundles | {size // WIDTH for size in sizes}
        self._leaves: dict[int, list[bytes]] = {}
        self._roots: list[bytes] = []  # of full bundles
        self._open: list[bytes] = []

    def read(self, ledger: Path, size: int) -> None:
        """Read the first `size` entries."""

        def visit(index: int, entry: bytes) -> None:
            if index < size:
                self._open.append(leaf_hash(entry))
                if len(self._open) == WIDTH:
                    self._close()

        LedgerReading(ledger, (), visit).read()
        if len(self._roots) * WIDTH + len(self._open) != size:
            raise LedgerDamaged(f"{ledger} has fewer entries than its checkpoint signs")
        self._leaves[len(self._roots)] = self._open

    def _close(self) -> None:
        number = len(self._roots)
        if number in self._wanted:
            self._leaves[number] = self._open
        self._roots.append(root_of(self._open))
        self._open = []

    def _tile(self, level: int, number: int) -> Sequence[bytes]:
        if level == 0:
            return self._leaves[number]
        if level == 1:
            return self._roots[number * WIDTH : (number + 1) * WIDTH]
        full = len(self._roots) // WIDTH ** (level - 1)
        below = range(number * WIDTH, min((number + 1) * WIDTH, full))
        return [root_of(self._tile(level - 1, each)) for each in below]

    def _subtree(self, start: int, end: int) -> bytes:
        return subtree_root(self._tile, start, end)

    def root(self, size: int) -> bytes:
        """Give the root over the first `size` entries."""
        return self._subtree(0, size)

    def proof(self, index: int, size: int, checkpoint: bytes) -> LogProof:
        """Prove that entry `index` is among the first `size`."""
        return LogProof(index, tuple(inclusion_proof(self._subtree, index, size)), checkpoint)
