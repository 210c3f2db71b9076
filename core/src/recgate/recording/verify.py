"""Say whether recordings are what the gateway sealed: whole, unchanged, and where not.

Works offline on a store or a copy of one, with public keys alone. Nothing is believed because it is there: every
item must be signed by the key that the item before it named, and say where it stands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from recgate.errors import RecordingDamaged
from recgate.ids import session_bytes
from recgate.recipients.keyring import NOBODY, Keyring
from recgate.recording.chain import SIDE_NAMES
from recgate.recording.contents import ContentsCheck
from recgate.recording.directory import HEADER_NAME, is_session
from recgate.recording.ledgered import LedgerCheck, Logged
from recgate.recording.reader import Archive, Readable
from recgate.recording.report import Answer, Problem, Report, Status
from recgate.recording.seal import End, Header, Seal, read_header, read_seal
from recgate.recording.segment import Place, Segment, digest, read_segment, segment_name
from recgate.recording.trust import Trust, fingerprint, moment

__all__ = ["Answer", "Problem", "Report", "Status", "verify_all", "verify_chain", "verify_session"]

MAX_STRANGERS: Final = 20  # objects that do not belong, listed by name
# ns. A session may begin while its gateway changes keys, and clocks are set meanwhile.
RETIREMENT_GRACE: Final = 300 * 1_000_000_000


def verify_all(
    store: Readable,
    trust: Trust,
    *,
    journal: Path | None = None,
    contents: bool = True,
    keyring: Keyring = NOBODY,
) -> Iterator[Report]:
    """Verify every recording of a store, oldest first, then what is only in the journal."""
    for session in Archive(store, journal).sessions():
        yield verify_session(session, store, trust, journal=journal, contents=contents, keyring=keyring)


def verify_session(
    session: str,
    store: Readable,
    trust: Trust,
    *,
    journal: Path | None = None,
    contents: bool = True,
    keyring: Keyring = NOBODY,
    ledger: Logged | None = None,
) -> Report:
    """Verify one recording.

    Args:
        session: its id.
        store: where its objects are; nothing else is read.
        trust: the public keys that may have signed it.
        journal: the directory in which a recording that is not sealed yet has its journal.
        contents: recompute the root of every segment from its frames, which takes µs a frame.
        keyring: what opens segments that are sealed to auditors. Of what it does not open, contents are not available.
        ledger: what the recording is held against; read anew when it does not know something that has just come.
    """
    report, lacking = _verify(session, store, trust, journal, contents, keyring, ledger)
    if lacking and ledger is not None and ledger.read():
        report, _ = _verify(session, store, trust, journal, contents, keyring, ledger)
    return report


def _verify(
    session: str,
    store: Readable,
    trust: Trust,
    journal: Path | None,
    contents: bool,
    keyring: Keyring,
    ledger: Logged | None,
) -> tuple[Report, bool]:
    """Verify it once; says as well whether the ledger lacked something."""
    report = Report(session)
    logged = LedgerCheck(report, ledger) if ledger is not None and is_session(session) else None
    pending = journal is not None and is_session(session) and os.path.isdir(journal / session)
    names = list(store.objects(session)) if is_session(session) else []
    if not names:
        if pending:
            report.found(
                Status.UNSEALED, session, "nothing of it is sealed yet; it is live, or waits for the sweeper"
            )
        elif logged is None or not logged.absent(pending=pending):
            report.found(Status.MISSING, session, "the store has no such recording")
        return report, False
    check = _Check(report, store, trust, ContentsCheck(report, keyring) if contents else None, logged)
    check.run(names)
    check.conclude(pending=pending)
    return report, bool(logged is not None and logged.lacking)


def verify_chain(
    session: str, header: bytes, seals: Sequence[bytes], trust: Trust
) -> tuple[Report, Header | None, list[Seal]]:
    """Verify the header and the first seals of a recording without what they seal. Gives what could be read of them.

    That the recording goes on, or has an end, is not looked at.
    """
    report = Report(session)
    check = _Check(report, _Alone(header), trust, None)
    check.run([HEADER_NAME])
    taken: list[Seal] = []
    for number, item in enumerate(seals, start=1):
        name = segment_name(number)
        try:
            seal, signed = read_seal(item)
        except RecordingDamaged as error:
            check.altered(name, str(error))
            break
        place = Place(seal.session, seal.segment, seal.prev)
        check.sealed(Segment(place, (), seal, signed, seal.stored, digest(item)), name, number)
        taken.append(seal)
    return report, check.header, taken


@dataclass(frozen=True, slots=True)
class _Alone:
    """A recording of which there is the header alone."""

    header: bytes

    def get(self, session: str, name: str) -> bytes:
        return self.header

    def objects(self, session: str) -> Sequence[str]:
        return [HEADER_NAME]

    def sessions(self) -> Sequence[str]:
        return []


@dataclass(slots=True)
class _Check:
    """One pass over a recording, from the header to the end.

    `prev` and `key` are what the next item must name and be signed by; None after an item that could not be read,
    because then nothing is known of them, and the loss has been reported.
    """

    report: Report
    store: Readable
    trust: Trust
    contents: ContentsCheck | None
    logged: LedgerCheck | None = None
    header: Header | None = None
    signer: bytes = b""
    prev: bytes | None = None
    key: bytes | None = None
    first: int | None = 0
    mono: int = 0
    end: End | None = None
    ended_at: str = ""
    recovered: bool = False
    whole: bool = True  # every segment so far could be counted
    sides: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in range(3)])

    def altered(self, where: str, what: str) -> None:
        self.report.found(Status.ALTERED, where, what)

    def run(self, names: Sequence[str]) -> None:
        """Go through the objects in the order that their names must have."""
        segments = [name for name in names if name.endswith(".seg")]
        strangers = [name for name in names if name not in (HEADER_NAME, *segments)]
        for name in strangers[:MAX_STRANGERS]:
            self.altered(repr(name), "does not belong to a recording")
        self._header(HEADER_NAME in names)
        number = 0
        for name in segments:
            number += 1
            if name != segment_name(number):
                number = self._gap(name, number)
            self._segment(name, number)

    def _gap(self, name: str, expected: int) -> int:
        digits = name.removesuffix(".seg")
        found = int(digits) if digits.isascii() and digits.isdigit() else 0
        if found > expected:
            last = f" to {segment_name(found - 1)}" if found - 1 > expected else ""
            self.altered(segment_name(expected) + last, "missing, though later segments are there")
        else:
            self.altered(name, f"is not named as segment {expected}")
        self._lose_track()
        return max(found, expected)

    def _lose_track(self) -> None:
        self.prev = self.key = self.first = None
        self.whole = False

    def _header(self, there: bool) -> None:
        report = self.report
        if not there:
            self.altered(HEADER_NAME, "missing")
            return
        try:
            data = self.store.get(report.session, HEADER_NAME)
            header, signed = read_header(data)
        except (RecordingDamaged, KeyError) as error:
            self.altered(HEADER_NAME, str(error))
            return
        self.prev, self.key = digest(data), header.key
        self.header, self.signer = header, signed.key_id
        report.gateway, report.opened, report.stored = header.gateway, header.wall, len(data)
        report.key = fingerprint(signed.key_id)
        if header.session != session_bytes(report.session):
            self.altered(HEADER_NAME, "is of another session")
        if self.logged is not None:
            self.logged.header(header, HEADER_NAME)
        public = self.trust.key(signed.key_id)
        if public is None:
            what = f"signed by {report.key}, which is not among the trusted keys"
            report.found(Status.UNTRUSTED, HEADER_NAME, what)
        elif not signed.verify(public):
            self.altered(HEADER_NAME, "its signature does not fit its content")
        elif late := self._late(signed.key_id, header.wall):
            self.altered(HEADER_NAME, f"its session began {late}")
        elif (own := self.trust.gateway(signed.key_id)) != header.gateway and self.trust.names(
            header.gateway
        ):
            # A gateway that was renamed signs what no other trusted one is called.
            self.altered(
                HEADER_NAME, f"says that it is of {header.gateway}, and is signed by the key of {own}"
            )

    def _late(self, kid: bytes, wall: int) -> str:
        """Say how long after its end an identity key signed, if it did. A thief can say so only of another time."""
        until = self.trust.retired(kid)
        if until is None or wall <= until + RETIREMENT_GRACE:
            return ""
        return f"at {moment(wall)}, and the key that signed it, {fingerprint(kid)}, was retired at {moment(until)}"

    def _segment(self, name: str, number: int) -> None:
        report = self.report
        report.segments += 1
        if self.end is not None:
            self.altered(name, f"follows {self.ended_at}, which ended the recording")
        try:
            data = self.store.get(report.session, name)
            segment = read_segment(data)
        except (RecordingDamaged, KeyError) as error:
            self.altered(self._where(name, None), str(error))
            self._lose_track()
            if self.logged is not None:
                self.logged.unread(number)
            return
        report.stored += len(data)
        where = self._where(name, segment)
        sound = self._place(segment, where, number)
        sound &= self._signature(segment, where)
        if segment.stored != segment.seal.stored:
            sound = False
            self.altered(where, "its content is not what was sealed")
        if self.contents is not None:
            self.contents.segment(segment, where, self.header, sound=sound)
        if self.logged is not None:
            self.logged.segment(segment, number, where)
        self._go_on(name, segment)

    def sealed(self, segment: Segment, name: str, number: int) -> None:
        """Check a seal of which the content is not here."""
        self.report.segments += 1
        if self.end is not None:
            self.altered(name, f"follows {self.ended_at}, which ended the recording")
        where = self._where(name, segment)
        self._place(segment, where, number)
        self._signature(segment, where)
        self._go_on(name, segment)

    def _where(self, name: str, segment: Segment | None) -> str:
        if segment is None:
            return name if self.first is None else f"{name} (from frame {self.first})"
        first, count = segment.seal.first, segment.seal.count
        return f"{name} (frames {first} to {first + count - 1})"

    def _place(self, segment: Segment, where: str, number: int) -> bool:
        seal, before = segment.seal, len(self.report.problems)
        if seal.session != session_bytes(self.report.session):
            self.altered(where, "is of another session")
        if seal.segment != number:
            self.altered(where, f"was sealed as segment {seal.segment}")
        if self.prev is not None and seal.prev != self.prev:
            self.altered(where, "does not follow the item before it")
        if self.first is not None and seal.first != self.first:
            self.altered(where, f"begins with frame {seal.first} instead of {self.first}")
        if seal.count < 1 or sum(frames for frames, _ in seal.sides) != seal.count:
            self.altered(where, "its counts contradict each other")
        if seal.mono < self.mono:
            self.altered(where, "its time runs backwards")
        return len(self.report.problems) == before

    def _signature(self, segment: Segment, where: str) -> bool:
        seal, signed = segment.seal, segment.signed
        if seal.recovered is None:
            if self.recovered:
                self.altered(where, "is signed by a segment key although recovery had lost it")
                return False
            if self.key is not None and not signed.verify(self.key):
                self.altered(where, "is not signed by the key that the item before it names")
                return False
            return True
        self.recovered = True
        public = self.trust.key(signed.key_id)
        if public is None:
            what = f"recovered under {fingerprint(signed.key_id)}, which is not among the trusted keys"
            self.report.found(Status.UNTRUSTED, where, what)
            return False
        if self.header is not None and self.trust.gateway(signed.key_id) != self.trust.gateway(self.signer):
            self.altered(where, "was recovered by another gateway than it was recorded by")
            return False
        if not signed.verify(public):
            self.altered(where, "its signature by the identity key does not fit its content")
            return False
        if late := self._late(signed.key_id, seal.wall):
            self.altered(where, f"was recovered {late}")
            return False
        if self.key is not None and seal.recovered.lost != self.key:
            self.altered(where, "names another lost key than the item before it")
            return False
        return True

    def _go_on(self, name: str, segment: Segment) -> None:
        seal, report = segment.seal, self.report
        self.prev, self.first, self.mono = segment.seal_digest, seal.first + seal.count, seal.mono
        self.key = seal.recovered.lost if seal.recovered is not None else seal.next
        report.frames += seal.count
        report.last_seal = seal.wall
        for total, (frames, size) in zip(self.sides, seal.sides, strict=True):
            total[0] += frames
            total[1] += size
        if seal.end is not None:
            self.end, self.ended_at = seal.end, name
            report.reason = seal.end.reason
        elif seal.recovered is None and seal.next is None:
            self.altered(name, "names no next key, and no end")

    def conclude(self, *, pending: bool) -> None:
        """Look at the end, and at what it says of completeness."""
        report = self.report
        if self.end is None and self.logged is not None and self.logged.gone:
            pass  # what is left of a recording that was removed ends anywhere
        elif self.end is None:
            behind = f"behind frame {report.frames - 1}" if report.frames else "from frame 0 on"
            if pending:
                what = f"it goes on {behind}; it is live, or waits for the sweeper"
                report.found(Status.UNSEALED, "the end", what)
            else:
                report.found(
                    Status.INCOMPLETE, "the end", f"there is none: whatever came {behind} is missing"
                )
        elif self.whole:
            self._completeness(self.end)
        if self.logged is not None:
            self.logged.conclude(pending=pending, ended=self.end is not None)
        if self.recovered and report.status is Status.COMPLETE:
            report.status = Status.RECOVERED
        levels = ["file"]
        if self.contents is not None:
            report.sealed = self.contents.sealed
            if not report.sealed:
                levels.append("contents")
        for level in levels:
            if report.levels[level] is Answer.UNAVAILABLE:
                report.levels[level] = Answer.OK

    def _completeness(self, end: End) -> None:
        """Compare what went over the wire with what is recorded. Recorded and not sent is lawful, not the reverse."""
        recorded = _counts(end.counters.get("recorded"))
        wire = _counts(end.counters.get("wire"))
        for name, (frames, size) in zip(SIDE_NAMES, self.sides, strict=True):
            if recorded.get(name) not in (None, (frames, size)):
                self.altered(
                    "the end", f"counts {recorded[name]} of {name} where {(frames, size)} are sealed"
                )
            sent = wire.get(name, (0, 0))
            if sent[1] > size:
                missing = f"{sent[1] - size} bytes of {name} went over the wire and are not recorded"
                self.report.found(Status.INCOMPLETE, "the end", missing)


def _counts(value: object) -> dict[str, tuple[int, int]]:
    """Read counters, which a gateway signed but a plugin may have filled."""
    counts: dict[str, tuple[int, int]] = {}
    if not isinstance(value, Mapping):
        return counts
    for name, numbers in cast("Mapping[object, object]", value).items():
        if isinstance(name, str) and isinstance(numbers, Mapping):
            pair = cast("Mapping[object, object]", numbers)
            frames, size = pair.get("frames"), pair.get("bytes")
            if isinstance(frames, int) and isinstance(size, int):
                counts[name] = frames, size
    return counts
