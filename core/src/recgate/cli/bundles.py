"""Bundles on the command line: written for somebody outside, and verified there."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import click

from recgate.bundle.reading import Bundle, Verified
from recgate.bundle.writing import HandOver, Source, write_bundle
from recgate.cli.admission import admit
from recgate.cli.auditor import MAX_SHOWN, read_identity, read_recipient
from recgate.cli.context import print_json
from recgate.cli.elsewhere import Elsewhere
from recgate.cli.ledgerplace import is_ledger, ledger_beside
from recgate.cli.progress import steps
from recgate.cli.proofs import shown_frames
from recgate.cli.recordings import Recordings
from recgate.errors import LedgerDamaged, RecgateError, RecordingDamaged, RecordingSealed
from recgate.ids import session_bytes
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys, ErasureSource
from recgate.recipients.handover import unpack
from recgate.recipients.keyring import Keyring
from recgate.recording.disclosure import Range
from recgate.recording.report import LEVELS, Answer, Report, Status
from recgate.recording.trust import TRUST_NAME, Trust
from recgate.transcript.columns import aligned
from recgate.transcript.neutral import neutralise

__all__ = ["AskedOfBundle", "check_bundle", "export_bundle", "is_bundle"]

_BEGIN: Final = b"PK"
_END: Final = b"PK\x05\x06"
_END_SIZE: Final = 22


def is_bundle(name: str) -> bool:
    """Say whether a file is meant as a bundle: it begins or ends as one does, whatever is wrong with the rest."""
    try:
        with open(name, "rb") as file:
            begin = file.read(len(_BEGIN))
            file.seek(max(file.seek(0, os.SEEK_END) - _END_SIZE, 0))
            return begin == _BEGIN or file.read(len(_END)) == _END
    except OSError as exc:
        raise RecgateError(f"{name} cannot be read: {exc.strerror}") from exc


@dataclass(frozen=True, slots=True)
class AskedOfBundle:
    """What a bundle is held against: trust files, keys of auditors, and levels that must hold."""

    trust: Sequence[Path]
    elsewhere: Elsewhere
    require: Sequence[str]
    contents: bool


def check_bundle(path: Path, asked: AskedOfBundle, *, as_json: bool) -> bool:
    """Verify a bundle and print what it is. Gives whether it holds. Raises `RecgateError`: it cannot be read."""
    try:
        with open(path, "rb") as file:
            verified = _verified(file, asked)
    except OSError as exc:
        raise RecgateError(f"{path} cannot be read: {exc.strerror}") from exc
    report = verified.report
    held = verified.believed and all(report.levels[level] is Answer.OK for level in asked.require)
    if as_json:
        frames = shown_frames(verified.proven) if verified.proven is not None and verified.believed else []
        status = "proven" if verified.frames and verified.believed else str(report.status)
        print_json({"bundle": str(path), **report.as_json(), "status": status, "frames_shown": frames})
    else:
        for line in _lines(path, verified):
            click.echo(neutralise(line))
    return held


def _verified(file: BinaryIO, asked: AskedOfBundle) -> Verified:
    try:
        bundle = Bundle(file)
    except RecordingDamaged as exc:
        report = Report("")
        report.found(Status.ALTERED, "the bundle", str(exc))
        return Verified(report, frames=False)
    trust = Trust.load(*asked.trust, also=bundle.statements)
    return bundle.verify(trust, _keyring(bundle, asked.elsewhere), contents=asked.contents)


def _keyring(bundle: Bundle, elsewhere: Elsewhere) -> Keyring:
    """Give what opens the contents: identities, and the erasure key in the bundle unless another one was named."""
    keyring = elsewhere.keyring()
    if not keyring or keyring.erasure is not None:
        return keyring
    identities = [read_identity(path) for path in elsewhere.identities]
    try:
        sealed = bundle.erasure
        return Keyring(identities, unpack(sealed, identities), "the bundle") if sealed else keyring
    except (RecordingDamaged, RecordingSealed):
        return keyring  # the contents say that they are not looked at, and what it takes


def _lines(path: Path, verified: Verified) -> Iterator[str]:
    report = verified.report
    status = "proven" if verified.frames and verified.believed else str(report.status)
    size = f"{report.segments} segments, {report.frames} frames, {report.stored} bytes"
    if verified.frames and verified.proven is not None:
        size = f"{len(verified.proven.frames)} frames of session {report.session}"
    yield f"{path}: {status}  {report.session}  {size}  {report.reason}".rstrip()
    for problem in report.problems:
        yield f"    {problem.where}: {problem.what}"
    if report.sealed:
        yield f"    contents not looked at: {report.sealed}"
    yield from aligned([[level, str(report.levels[level])] for level in LEVELS])
    yield from verified.said
    if report.status is Status.UNTRUSTED and report.key:
        yield f"signed by {report.gateway} with {report.key}: if that is your gateway's key, say --trust trust.json"


def export_bundle(
    recordings: Recordings,
    elsewhere: Elsewhere,
    session: str,
    output: str,
    frames: Sequence[Range],
    to: str | None,
) -> None:
    """Write the bundle of a session. Raises `RecgateError`."""
    store = elsewhere.store
    if store is None:
        home = recordings.config.data_dir
        ledger = home / "ledger" if is_ledger(home / "ledger") else None
        trust = home / TRUST_NAME
    else:
        ledger = ledger_beside(store)
        trust = next(
            (
                place / TRUST_NAME
                for place in (store, store.absolute().parent)
                if (place / TRUST_NAME).is_file()
            ),
            store / TRUST_NAME,
        )
    source = Source(recordings.archive, ledger, trust if trust.is_file() else None)
    hand_over = _hand_over(recordings, elsewhere, session, to) if to is not None else None
    try:
        with _destination(output) as out, steps("exporting") as at:
            write_bundle(out, source, session, frames=frames, hand_over=hand_over, progress=at)
    except LedgerDamaged as exc:
        raise RecgateError(f"the ledger cannot be read: {exc}; see recgate ledger check") from exc


def _hand_over(recordings: Recordings, elsewhere: Elsewhere, session: str, to: str) -> HandOver:
    recipient = read_recipient(to)
    source: ErasureSource | None
    if elsewhere.store is None:
        place = recordings.config.data_dir / ERASURE_FILE
        source = ErasureKeys(place) if place.is_file() else None
    else:
        source = elsewhere.keyring().erasure
    key = source.find(session_bytes(session)) if source is not None else None
    if key is None:
        raise RecgateError(
            f"the erasure key of {session} is not here: it is not sealed to auditors, or --identity and --erasure FILE "
            "are needed"
        )
    if elsewhere.store is None:
        admit(
            recordings, "erasure-keys.handed-over", to=recipient.text[:MAX_SHOWN], sessions=1, which=[session]
        )
    return HandOver(recipient, key)


@contextmanager
def _destination(output: str) -> Generator[BinaryIO]:
    """Give the file to write to. It takes its name when it is whole; what fails or is interrupted leaves nothing."""
    if output == "-":
        yield sys.stdout.buffer
        return
    path = Path(output)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            raise RecgateError(f"{output} is no file; say -o - and redirect standard output")
        # A recording is as confidential as what was done in it.
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            yield file
        partial.replace(path)
    except OSError as exc:
        raise RecgateError(
            f"{output} cannot be written: {exc.strerror}; choose another place with -o"
        ) from exc
    finally:
        partial.unlink(missing_ok=True)
