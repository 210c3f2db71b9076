"""Verify a bundle: what is in it, held against the keys that its reader believes and against nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from recgate.bundle.bundleledger import BundleLedger
from recgate.bundle.container import ContainerReader
from recgate.bundle.layout import (
    ABOUT,
    CHECKPOINT,
    COSIGNED,
    ENTRIES,
    ERASURE,
    FRAMES,
    KEYS,
    MAX_ABOUT,
    MAX_README,
    PROOF,
    PROOFS,
    README,
    RECORDING,
    STAMPS,
    TOKEN,
    About,
    numbered,
)
from recgate.errors import RecordingDamaged
from recgate.recipients.handover import MAX_HAND_OVER
from recgate.recipients.keyring import NOBODY, Keyring
from recgate.recording.directory import object_order
from recgate.recording.disclosure import MAX_PROOF, Proven, chain_of, verify_proof
from recgate.recording.limits import MAX_SEGMENT
from recgate.recording.report import Answer, Report, Status
from recgate.recording.seal import read_header
from recgate.recording.segment import digest, segment_name
from recgate.recording.trust import MAX_TRUST, Trust, statements_of
from recgate.recording.verify import verify_session

__all__ = ["Bundle", "Verified"]

MAX_STRANGERS: Final = 20  # objects that do not belong, listed by name
_FIXED: Final = (ABOUT, README, KEYS, ERASURE, CHECKPOINT, FRAMES)
_NUMBERED: Final = ((ENTRIES, ".cbor"), (PROOFS, PROOF), (COSIGNED, PROOF), (STAMPS, PROOF), (STAMPS, TOKEN))


@dataclass(slots=True)
class Verified:
    """What a bundle turned out to be: `proven` has the frames of one that shows frames; `said`: who vouches."""

    report: Report
    frames: bool
    proven: Proven | None = None
    said: list[str] = field(default_factory=list[str])

    @property
    def believed(self) -> bool:
        """Everything in it holds."""
        return self.report.ok and not (self.frames and self.report.problems)


class Bundle:
    """A bundle that anybody may have written; `file` stays open while it is used.

    Raises:
        RecordingDamaged: it is not in the one form that a bundle has, or not of this version.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._container = ContainerReader(file)
        try:
            self.about = About.read(self._container.get(ABOUT, MAX_ABOUT))
        except KeyError:
            raise RecordingDamaged(f"it has no {ABOUT}, so it is no bundle") from None

    @property
    def statements(self) -> tuple[bytes, ...]:
        """By which keys follow keys; nothing else of its trust file is believed."""
        try:
            return statements_of(self._container.get(KEYS, MAX_TRUST))
        except (KeyError, RecordingDamaged):
            return ()

    @property
    def erasure(self) -> bytes | None:
        """The erasure key as it was handed over, or None. Raises `RecordingDamaged`."""
        return self._container.get(ERASURE, MAX_HAND_OVER) if ERASURE in self._container.members else None

    def verify(self, trust: Trust, keyring: Keyring = NOBODY, *, contents: bool = True) -> Verified:
        """Verify it with these keys. Raises nothing."""
        members, session = self._container.members, self.about.session
        logged = None
        if any(name.startswith("ledger/") for name in members):
            logged = BundleLedger(self._container, session, trust)
            logged.vouch()
        if self.about.frames:
            verified = self._frames(trust, logged)
        else:
            store = _Objects(self._container, session)
            report = verify_session(session, store, trust, contents=contents, keyring=keyring, ledger=logged)
            verified = Verified(report, frames=False)
        report = verified.report
        if logged is not None:
            logged.conclude(report)
            verified.said = logged.said
        elif trust.ledgers:
            what = "the trust file names a ledger, and the bundle has no proof from one"
            report.found(Status.UNKNOWN, "ledger", what, "logged")
        self._strangers(report)
        return verified

    def _strangers(self, report: Report) -> None:
        """Nothing may be in it that is not of the format, and what nobody signs must at least be as it was written."""
        strangers = [name for name in self._container.members if not self._belongs(name)]
        for name in strangers[:MAX_STRANGERS]:
            report.found(Status.ALTERED, repr(name), "does not belong to a bundle")
        for name, limit in ((README, MAX_README), (KEYS, MAX_TRUST), (ERASURE, MAX_HAND_OVER)):
            try:
                self._container.get(name, limit)
            except KeyError:
                continue
            except RecordingDamaged as error:
                report.found(Status.ALTERED, name, str(error))

    def _belongs(self, name: str) -> bool:
        if name.startswith(RECORDING):
            return not self.about.frames and "/" not in name.removeprefix(RECORDING)
        if name in _FIXED:
            return name != FRAMES or self.about.frames
        return any(numbered(name, directory, suffix) is not None for directory, suffix in _NUMBERED)

    def _frames(self, trust: Trust, logged: BundleLedger | None) -> Verified:
        try:
            data = self._container.get(FRAMES, MAX_PROOF)
            proven = verify_proof(data, trust)
            header, seals = chain_of(data)
        except (RecordingDamaged, KeyError) as error:
            report = Report(self.about.session)
            report.found(Status.ALTERED, FRAMES, str(error) or "is missing")
            return Verified(report, frames=True)
        report = proven.report
        if report.session != self.about.session:
            report.found(Status.ALTERED, FRAMES, "is of another session")
        elif logged is not None:
            _hold(report, logged, header, seals)
        if proven.believed:
            report.levels["contents"] = Answer.OK
        return Verified(report, frames=True, proven=proven)


def _hold(report: Report, logged: BundleLedger, header: bytes, seals: Sequence[bytes]) -> None:
    """Hold the header and the seals of a proof against the ledger's entries."""
    leaves = logged.of(report.session)
    if leaves is None or leaves.opened is None:
        if logged.reading.sound:
            report.found(Status.UNKNOWN, "header.cbor", "no entry of the ledger in here opens it", "logged")
        return
    if leaves.commitments != {read_header(header)[0].opened}:
        what = f"the ledger logged another opening (entry {leaves.opened})"
        report.found(Status.ALTERED, "header.cbor", what, "logged")
    entries = {segment: (entry, seal) for entry, segment, _, _, seal in leaves.sealed()}
    for number, item in enumerate(seals, 1):
        entry, seal = entries.get(number, (0, b""))
        if not seal:
            report.found(Status.UNKNOWN, segment_name(number), "no entry of the ledger is about it", "logged")
        elif seal != digest(item):
            report.found(
                Status.ALTERED,
                segment_name(number),
                f"is not what the ledger logged (entry {entry})",
                "logged",
            )
    if report.levels["logged"] is Answer.UNAVAILABLE:
        report.levels["logged"] = Answer.OK


@dataclass(frozen=True, slots=True)
class _Objects:
    """The recording in a bundle, as a store has it."""

    container: ContainerReader
    session: str

    def get(self, session: str, name: str) -> bytes:
        return self.container.get(RECORDING + name, MAX_SEGMENT)

    def objects(self, session: str) -> Sequence[str]:
        return sorted(self._names(), key=object_order)

    def sessions(self) -> Iterable[str]:
        return [self.session]

    def _names(self) -> Iterator[str]:
        for name in self.container.members:
            if name.startswith(RECORDING):
                yield name.removeprefix(RECORDING)
