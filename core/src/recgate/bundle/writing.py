"""Write a bundle, object by object: never more of it is in memory than one segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recgate.bundle.container import ContainerWriter
from recgate.bundle.evidence import LedgerEvidence, evidence_of
from recgate.bundle.layout import (
    ABOUT,
    CHECKPOINT,
    COSIGNED,
    ENTRIES,
    ERASURE,
    FRAMES,
    KEYS,
    PROOF,
    PROOFS,
    README,
    RECORDING,
    STAMPS,
    TOKEN,
    About,
)
from recgate.bundle.readme import readme
from recgate.errors import RecgateError
from recgate.ids import session_bytes
from recgate.model import Secret
from recgate.recipients.handover import pack
from recgate.recipients.keys import Recipient
from recgate.recording.directory import HEADER_NAME
from recgate.recording.disclosure import Range, chain_of, prove
from recgate.recording.reader import Archive
from recgate.recording.seal import Header, read_header
from recgate.recording.segment import read_segment
from recgate.recording.trust import MAX_TRUST, fingerprint

__all__ = ["HandOver", "Source", "write_bundle"]

Progress = Callable[[int, int], None]


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class HandOver:
    """The erasure key of the session, and the auditor who is to have it."""

    recipient: Recipient
    key: Secret


@dataclass(frozen=True, slots=True)
class Source:
    """Where a bundle is made from: recordings, the ledger's directory if there is one, and the gateway's trust file."""

    archive: Archive
    ledger: Path | None
    trust: Path | None


def write_bundle(
    out: _Sink,
    source: Source,
    session: str,
    *,
    frames: Sequence[Range] = (),
    hand_over: HandOver | None = None,
    progress: Progress = lambda done, total: None,
) -> None:
    """Write the bundle of a session to `out`: of all that is sealed of it, or of chosen frames.

    Raises:
        RecgateError: there is nothing sealed, the ledger's checkpoint does not reach that far yet, or the recording is
            not sealed to whom it is to be handed over.
        RecordingDamaged, RecordingSealed, LedgerDamaged: what would be in it cannot be read.
    """
    header, signer = _header(source.archive, session)
    proof = prove(source.archive, session, frames) if frames else b""
    names = [] if frames else list(source.archive.segments(session))
    if not frames and not names:
        raise RecgateError(f"nothing of {session} is sealed yet; it can be exported when it is")
    segments = len(chain_of(proof)[1]) if frames else None
    evidence = (
        evidence_of(source.ledger, header.session, segments, progress) if source.ledger is not None else None
    )
    bundle = ContainerWriter(out)
    bundle.add(ABOUT, About(session, bool(frames)).encode())
    sealed, erasure = bool(header.recipients), hand_over is not None
    bundle.add(README, readme(header, signer, frames=bool(frames), sealed=sealed, erasure=erasure))
    if source.trust is not None:
        bundle.add(KEYS, _read(source.trust))
    if evidence is not None and evidence.entries:
        _add_evidence(bundle, evidence)
    if hand_over is not None:
        bundle.add(ERASURE, pack([(session_bytes(session), hand_over.key)], hand_over.recipient))
    if frames:
        bundle.add(FRAMES, proof)
    else:
        _add_recording(bundle, source.archive, session, names, hand_over, progress)
    bundle.finish()


def _header(archive: Archive, session: str) -> tuple[Header, str]:
    try:
        header, signed = read_header(archive.store.get(session, HEADER_NAME))
    except KeyError:
        raise RecgateError(
            f"nothing of {session} is sealed yet, or its {HEADER_NAME} is missing; see recgate verify"
        ) from None
    return header, fingerprint(signed.key_id)


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TRUST + 1)
    except OSError as exc:
        raise RecgateError(f"{path} cannot be read: {exc.strerror}") from exc
    if len(data) > MAX_TRUST:
        raise RecgateError(f"{path} is longer than a trust file is: more than {MAX_TRUST} bytes")
    return data


def _add_evidence(bundle: ContainerWriter, evidence: LedgerEvidence) -> None:
    bundle.add(CHECKPOINT, evidence.checkpoint)
    for proof in evidence.proofs:
        bundle.add(f"{ENTRIES}{proof.index}.cbor", evidence.entries[proof.index])
        bundle.add(f"{PROOFS}{proof.index}{PROOF}", proof.encode())
    for proof in evidence.cosigned:
        bundle.add(f"{COSIGNED}{proof.head().size}{PROOF}", proof.encode())
    for size, token, proof in evidence.stamps:
        bundle.add(f"{STAMPS}{size}{TOKEN}", token)
        bundle.add(f"{STAMPS}{size}{PROOF}", proof.encode())


def _add_recording(
    bundle: ContainerWriter,
    archive: Archive,
    session: str,
    names: Sequence[str],
    hand_over: HandOver | None,
    progress: Progress,
) -> None:
    """Add header and segments as they are stored, whatever is wrong with them: that is evidence, too."""
    opens = hand_over is None
    bundle.add(RECORDING + HEADER_NAME, archive.store.get(session, HEADER_NAME))
    for done, name in enumerate(names):
        progress(done, len(names))
        data = archive.store.get(session, name)
        bundle.add(RECORDING + name, data)
        if hand_over is not None and not opens:
            opens = any(wrap.recipient == hand_over.recipient.id for wrap in read_segment(data).wraps)
    if not opens:
        raise RecgateError(
            f"{session} is not sealed to the auditor that --to names, so its erasure key would open nothing for them"
        )
