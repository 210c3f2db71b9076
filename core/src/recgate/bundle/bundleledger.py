"""What a bundle has of a ledger: entries that are proven to be in it, and who vouches for the head that they lead to.

Nothing counts that is not proven. That there are no other entries about the session cannot be shown this way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from recgate.bundle.container import ContainerReader
from recgate.bundle.layout import (
    CHECKPOINT,
    COSIGNED,
    ENTRIES,
    MAX_HEADS,
    PROOF,
    PROOFS,
    STAMPS,
    TOKEN,
    numbered,
)
from recgate.errors import LedgerDamaged, RecordingDamaged
from recgate.ids import session_bytes
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.cosignature import cosignatures
from recgate.ledger.entries import read_entry
from recgate.ledger.logproof import MAX_LOG_PROOF, LogProof, parse_log_proof
from recgate.ledger.note import MAX_NOTE, Note, parse_note
from recgate.ledger.tiles import MAX_ENTRY
from recgate.recording.ledgered import SessionLeaves, moment
from recgate.recording.report import Answer, Report, Status
from recgate.recording.trust import Trust
from recgate.witness.timestamps import MAX_TOKEN, verify_stamp

__all__ = ["BundleLedger"]

T = TypeVar("T")

MAX_FINDINGS: Final = 50
_SECOND: Final = 10**9


@dataclass(slots=True)
class _Sound:
    findings: list[tuple[Status, str, str, str]] = field(default_factory=list[tuple[Status, str, str, str]])

    @property
    def sound(self) -> bool:
        return not self.findings


class BundleLedger:
    """The ledger of one bundle, read and checked when it is made. What does not hold is in `conclude`'s report."""

    def __init__(self, container: ContainerReader, session: str, trust: Trust) -> None:
        self.reading = _Sound()
        self.since = 0
        self.origin = ""
        self.said: list[str] = []
        self._container = container
        self._session = session
        self._trust = trust
        self._leaves = SessionLeaves()
        self._entries: dict[int, bytes] = {}
        self._last = -1
        self._vouched = False
        note = self._guarded(CHECKPOINT, self._checkpoint)
        if note is not None:
            self._read_entries(note)

    def of(self, session: str) -> SessionLeaves | None:
        """Give what is proven of the session."""
        return self._leaves if session == self._session else None

    def read(self) -> bool:
        """Say that nothing comes any more."""
        return False

    # -- entries ---------------------------------------------------------------------------------------

    def _found(self, where: str, what: str, status: Status = Status.ALTERED, level: str = "logged") -> None:
        if len(self.reading.findings) < MAX_FINDINGS:
            self.reading.findings.append((status, where, what, level))

    def _guarded(self, name: str, read: Callable[[str], T]) -> T | None:
        """Whatever cannot be read or believed is a finding, at its place."""
        try:
            return read(name)
        except KeyError:
            self._found(name, "is missing")
        except (LedgerDamaged, RecordingDamaged) as error:
            self._found(name, str(error))
        return None

    def _checkpoint(self, name: str) -> Note | None:
        note = parse_note(self._container.get(name, MAX_NOTE))
        head = parse_checkpoint(note.text)
        self.origin = head.origin
        return note if self._is_signed(name, note, head.origin) else None

    def _is_signed(self, name: str, note: Note, origin: str) -> bool:
        keys = [key for key in self._trust.ledgers if key.name == origin]
        if not keys:
            what = f"is of {origin}, which is not among the trusted ledgers"
            self._found(name, what, Status.UNTRUSTED)
            return False
        note.verified(*keys)
        return True

    def _read_entries(self, note: Note) -> None:
        numbers = [numbered(name, ENTRIES, ".cbor") for name in self._container.members]
        for index in sorted(number for number in numbers if number is not None):
            proof = self._proof(f"{PROOFS}{index}{PROOF}", index)
            if proof is None:
                continue
            if proof.checkpoint != note.encode():
                self._found(f"{PROOFS}{index}{PROOF}", "leads to another head than the bundle's checkpoint")
                continue
            self._leaves.take(index, read_entry(self._entries[index]))
        leaves = self._leaves
        seals = [entry for entry, *_ in leaves.sealed()]
        end = leaves.closed or leaves.gone or leaves.aborted
        self._last = end[0] if end is not None else max(seals, default=-1)

    def _proof(self, name: str, index: int) -> LogProof | None:
        """Give a proof that holds, of an entry that is about this session."""

        def read(name: str) -> LogProof | None:
            proof = parse_log_proof(self._container.get(name, MAX_LOG_PROOF))
            if index not in self._entries:
                self._entries[index] = self._container.get(f"{ENTRIES}{index}.cbor", MAX_ENTRY)
            entry = self._entries[index]
            if proof.index != index or not proof.proves(entry):
                raise LedgerDamaged(f"does not prove that entry {index} is in the ledger")
            if read_entry(entry).session != session_bytes(self._session):
                raise LedgerDamaged(f"is about another session than this one (entry {index})")
            return proof

        return self._guarded(name, read)

    # -- who vouches -----------------------------------------------------------------------------------

    def vouch(self) -> None:
        """Look at what trusted witnesses and authorities say of the last entry."""
        if self._last < 0:
            return
        trust = self._trust
        self._guarded(
            CHECKPOINT, lambda name: self._cosigned(parse_note(self._container.get(name, MAX_NOTE)))
        )
        names = list(self._container.members)
        cosigned = [name for name in names if numbered(name, COSIGNED, PROOF) is not None][:MAX_HEADS]
        for name in cosigned:
            proof = self._proof(name, self._last)
            if proof is not None:
                self._guarded(name, lambda name, proof=proof: self._other_head(name, proof))
        for name in names:
            size = numbered(name, STAMPS, TOKEN)
            proof = self._proof(f"{STAMPS}{size}{PROOF}", self._last) if size is not None else None
            if proof is not None and trust.authorities:
                self._guarded(name, lambda name, proof=proof: self._stamped(name, proof))
        if not self._vouched and (trust.witnesses or trust.authorities):
            what = (
                "no trusted witness vouches for the last entry of this session; export it again when one does"
            )
            self._found("ledger", what, Status.INCOMPLETE, "witnessed")

    def _other_head(self, name: str, proof: LogProof) -> None:
        note = parse_note(proof.checkpoint)
        if self._is_signed(name, note, parse_checkpoint(note.text).origin):
            self._cosigned(note)

    def _cosigned(self, note: Note) -> None:
        size = parse_checkpoint(note.text).size
        for each in cosignatures(note, self._trust.witnesses):
            self._say(each.witness.name, size, each.time)

    def _stamped(self, name: str, proof: LogProof) -> None:
        time = verify_stamp(self._container.get(name, MAX_TOKEN), proof.text, self._trust.authorities)
        self._say("time stamp", proof.head().size, time)

    def _say(self, who: str, size: int, time: int) -> None:
        self._vouched = True
        self.said.append(f"{who} vouches for the first {size} entries, as of {moment(time * _SECOND)}")

    def conclude(self, report: Report) -> None:
        """Add what is wrong, and set the level `witnessed`. `complete` takes a whole ledger."""
        for status, where, what, level in self.reading.findings:
            report.found(status, where, what, level)
        levels = report.levels
        if levels["complete"] is Answer.OK or not self.reading.sound:
            levels["complete"] = Answer.UNAVAILABLE
        if self._vouched and levels["witnessed"] is Answer.UNAVAILABLE and self.reading.sound:
            levels["witnessed"] = Answer.OK
