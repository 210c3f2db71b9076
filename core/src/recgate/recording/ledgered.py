"""The levels of `verify` that rest on the ledger: is every item logged, and is everything here that it opened?"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from recgate.errors import LedgerDamaged
from recgate.ids import session_bytes, session_text
from recgate.ledger.checkpointtext import Checkpoint
from recgate.ledger.entries import Entry, read_entry
from recgate.ledger.note import Vkey
from recgate.ledger.reading import LedgerReading
from recgate.recording.report import Answer, Report, Status
from recgate.recording.seal import Header
from recgate.recording.segment import Segment, segment_name

__all__ = ["LEDGER", "LedgerCheck", "LedgerIndex", "Logged", "SessionLeaves", "moment"]

# Entry, segment, first frame, count, digest of the seal: a million segments are to fit into memory.
_SEAL: Final = struct.Struct(">QQQQ32s")
LEDGER: Final = "ledger"  # stands for a session in the report of what is wrong with the ledger itself
_GONE: Final = ("erase", "retention")


@dataclass(slots=True)
class SessionLeaves:
    """What the ledger says of one session. Times are ns."""

    wall: int = 0
    opened: int | None = None  # the entry
    after: int = (
        0  # the latest time that an entry before that one has: what is opened there was not there then
    )
    commitments: set[bytes] = field(default_factory=set[bytes])
    seals: bytearray = field(default_factory=bytearray)
    closed: tuple[int, int, int, bytes] | None = None  # entry, segments, frames, digest of the last seal
    aborted: tuple[int, str] | None = None
    gone: tuple[int, str, int] | None = None  # entry, kind, wall
    contradiction: str = ""

    def sealed(self) -> Iterator[tuple[int, int, int, int, bytes]]:
        """Give (entry, segment, first, count, digest) of each seal that was logged."""
        return _SEAL.iter_unpack(self.seals)

    def take(self, index: int, entry: Entry) -> None:
        """Add an entry about this session."""
        match entry.kind:
            case "open":
                if self.opened is None:
                    self.opened, self.wall = index, entry.wall
                self.commitments.add(entry.bytes("opened"))
            case "seal":
                numbers = (entry.number("segment"), entry.number("first"), entry.number("count"))
                self.seals += _SEAL.pack(index, *numbers, entry.bytes("seal"))
            case "close":
                close = (index, entry.number("segments"), entry.number("frames"), entry.bytes("seal"))
                if self.closed is not None and self.closed[1:] != close[1:]:
                    self.contradiction = f"entries {self.closed[0]} and {index} give it different ends"
                self.closed = self.closed or close
            case "abort":
                self.aborted = index, str(entry.fields["reason"])
            case _ if entry.kind in _GONE:
                self.gone = index, entry.kind, entry.wall
            case _:
                pass


class Sound(Protocol):
    """Says whether what was read holds."""

    @property
    def sound(self) -> bool:
        """Nothing is wrong with it."""
        ...


class Logged(Protocol):
    """What a recording is held against: a whole ledger, or what a bundle has of one."""

    @property
    def since(self) -> int:
        """When it begins, ns."""
        ...

    @property
    def reading(self) -> Sound:
        """How reading it went."""
        ...

    def of(self, session: str) -> SessionLeaves | None:
        """Give what it says of a session, or None where it says nothing."""
        ...

    def read(self) -> bool:
        """Read what has come since; says whether anything has."""
        ...


class LedgerIndex:
    """A ledger, read once and checked, and what it says by session."""

    def __init__(
        self,
        directory: Path,
        keys: Sequence[Vkey],
        older: Sequence[tuple[str, Checkpoint]] = (),
        visit: Callable[[int, bytes], None] | None = None,
        now: int | None = None,
    ) -> None:
        self._also = visit
        # A clock that was ahead must not make all that comes after it look as if it had been dated back.
        self._now = time.time_ns() if now is None else now
        self._latest = 0
        self.reading = LedgerReading(directory, keys, self._visit, older)
        self.sessions: dict[bytes, SessionLeaves] = {}
        self.since = 0  # when it begins, ns

    def read(self, progress: Callable[[int, int], None] = lambda done, total: None) -> bool:
        """Read it, or what has come since; says whether anything has."""
        before = self.reading.size
        self.reading.read(progress)
        return self.reading.size > before

    def names(self) -> list[str]:
        """List the sessions that it has opened."""
        return sorted(session_text(raw) for raw, leaves in self.sessions.items() if leaves.opened is not None)

    def of(self, session: str) -> SessionLeaves | None:
        """Give what it says of a session, or None where it says nothing."""
        return self.sessions.get(session_bytes(session))

    def report(self) -> Report | None:
        """Give what is wrong with the ledger itself, or None."""
        if self.reading.sound:
            return None
        report = Report(LEDGER, reason=str(self.reading.directory))
        for finding in self.reading.findings:
            report.found(
                Status.UNTRUSTED if finding.untrusted else Status.ALTERED,
                finding.where,
                finding.what,
                "logged",
            )
        return report

    def _visit(self, index: int, data: bytes) -> None:
        if self._also is not None:
            self._also(index, data)
        try:
            entry = read_entry(data)
        except LedgerDamaged as error:
            self.reading.found(f"entry {index}", f"is none: {error}")
            return
        if index == 0:
            self.since = entry.wall
        if (session := entry.session) is not None:
            leaves = self.sessions.setdefault(session, SessionLeaves())
            if leaves.opened is None:
                leaves.after = self._latest
            leaves.take(index, entry)
        if self._latest < entry.wall <= self._now:
            self._latest = entry.wall


class LedgerCheck:
    """The levels `logged` and `complete` of one recording; segments come in their order."""

    def __init__(self, report: Report, index: Logged) -> None:
        self._report = report
        self._index = index
        self._leaves = index.of(report.session) or SessionLeaves()
        self._seals: dict[int, list[tuple[int, int, int, bytes]]] = {}
        for entry, segment, first, count, seal in self._leaves.sealed():
            self._seals.setdefault(segment, []).append((entry, first, count, seal))
        self._seen: set[int] = set()
        self._last = 0
        self._owed: list[
            tuple[int, str, str]
        ] = []  # what no leaf stands for: segment (0: the header), where, what

    def header(self, header: Header, where: str) -> None:
        """Compare who opened it, and when the ledger began."""
        leaves = self._leaves
        if leaves.opened is None:
            since = moment(self._index.since)
            if header.wall < self._index.since:
                what = f"the ledger does not know it: it was opened before the ledger began, at {since}"
            else:
                what = f"the ledger does not know it, though it goes back to {since}"
            self._owed.append((0, where, what))
        elif leaves.commitments != {header.opened}:
            self._altered(where, f"the ledger logged another opening (entry {leaves.opened})")

    def segment(self, segment: Segment, number: int, where: str) -> None:
        """Compare a segment with its leaf."""
        self._seen.add(number)
        self._last = number
        logged = self._seals.get(number)
        if logged is None:
            if self._leaves.opened is not None:
                self._owed.append((number, where, "the ledger does not know it"))
            return
        for entry, _, _, seal in logged:
            if seal != segment.seal_digest:
                self._altered(where, f"is not what the ledger logged (entry {entry})")
                return

    def unread(self, number: int) -> None:
        """A segment is there, and the file's own level has said that it cannot be read."""
        self._seen.add(number)

    @property
    def lacking(self) -> bool:
        """Say whether something is here that no leaf stands for."""
        return bool(self._owed)

    def conclude(self, *, pending: bool, ended: bool) -> None:
        """Look for what is in the ledger and not here. `pending`: more is in the journal; `ended`: an end is here."""
        report, leaves = self._report, self._leaves
        if leaves.gone is not None:
            self._lawfully_gone(leaves.gone, ended=ended)
            self._levels(pending=pending)
            return
        for number in sorted(set(self._seals) - self._seen):
            entry, first, count, _ = self._seals[number][0]
            what = f"missing: the ledger has it (entry {entry}, frames {first} to {first + count - 1})"
            report.found(Status.INCOMPLETE, segment_name(number), what, "complete")
        if leaves.contradiction:
            self._altered("the end", leaves.contradiction)
        if leaves.closed is not None and not ended:
            entry, segments, frames, _ = leaves.closed
            what = f"missing: the ledger has it (entry {entry}: {segments} segments, {frames} frames)"
            report.found(Status.INCOMPLETE, "the end", what, "complete")
        if leaves.aborted is not None and leaves.closed is None:
            entry, reason = leaves.aborted
            report.found(Status.INCOMPLETE, "the end", f"given up: {reason} (entry {entry})", "complete")
        if ended and leaves.closed is None and leaves.opened is not None and not self._owed:
            self._owed.append((self._last, "the end", "the ledger does not know that it ended"))
        for number, where, what in self._owed:
            # The leaf of what has just been stored comes before its part leaves the journal. Of a ledger that is
            # damaged nobody can say what it does not know.
            if self._index.reading.sound and not (pending and number in (0, self._last)):
                report.found(Status.UNKNOWN, where, what, "logged")
        self._levels(pending=pending)

    @property
    def gone(self) -> bool:
        """Say whether the ledger says that it was removed."""
        return self._leaves.gone is not None

    def _lawfully_gone(self, gone: tuple[int, str, int], *, ended: bool) -> None:
        """It was removed, and something of it is here: a copy, what has lost its key, or what is being removed."""
        report, (entry, kind, wall) = self._report, gone
        left = "its files are here" if ended else f"{report.segments} of {len(self._seals)} segments are here"
        report.reason = f"{kind} at {moment(wall)} (entry {entry}); {left}"
        if report.status in (Status.COMPLETE, Status.RECOVERED):
            report.status = Status.ERASED

    def absent(self, *, pending: bool) -> bool:
        """Say what it means that the store has nothing of it; tells whether the ledger has an explanation."""
        report, leaves = self._report, self._leaves
        if leaves.opened is None or pending:
            return False
        if leaves.gone is not None:
            entry, kind, wall = leaves.gone
            report.status = Status.ERASED
            report.reason = f"{kind} at {moment(wall)} (entry {entry})"
            report.levels["logged"] = report.levels["complete"] = Answer.OK
            self._levels(pending=False)
            return True
        sealed = len(self._seals)
        what = f"the ledger opened it at {moment(leaves.wall)} (entry {leaves.opened})"
        if leaves.aborted is not None and not sealed:
            what += f" and gave it up: {leaves.aborted[1]} (entry {leaves.aborted[0]})"
            report.found(Status.INCOMPLETE, report.session, what, "complete")
        else:
            what += (
                f" and logged {sealed} segments; nothing of it is in the store"
                if sealed
                else "; nothing came of it"
            )
            report.found(Status.MISSING, report.session, what, "complete")
        self._levels(pending=False)
        return True

    def _levels(self, *, pending: bool) -> None:
        levels = self._report.levels
        if not self._index.reading.sound:
            levels["logged"] = levels["complete"] = Answer.FAILED
            return
        for level in ("logged", "complete"):
            # What goes on is not complete yet, and nothing is wrong with it.
            if levels[level] is Answer.UNAVAILABLE and not (pending and level == "complete"):
                levels[level] = Answer.OK

    def _altered(self, where: str, what: str) -> None:
        self._report.found(Status.ALTERED, where, what, "logged")


def moment(ns: int) -> str:
    """Write a time in ns as people read it."""
    try:
        return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "a time that no clock shows"
