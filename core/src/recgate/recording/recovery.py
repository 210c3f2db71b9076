"""Seal what a dead gateway left behind, under the identity key, saying that it is so.

The segment key died with its process. So the identity key signs in its place, over the lost public key and the
reason, and a verifier prints `recovered`, never `complete`. Recovery may itself be killed at any moment: it begins
each time with what the store holds, and drops from the journal what is sealed already.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import RecordingDamaged, RecordingFailed, RecordingSealed
from recgate.providers import RecordingStore
from recgate.recording.chain import CLOSED_KIND, Chain, SavedState, end_of, opened_of, salted
from recgate.recording.cose import public_bytes
from recgate.recording.directory import HEADER_NAME
from recgate.recording.frames import RecordedFrame
from recgate.recording.journalfiles import (
    DAMAGED,
    HEAD_NAME,
    STATE_NAME,
    JournalKeys,
    is_torn,
    part_name,
    parts_of,
    read_closing,
    read_head,
    read_part,
    read_state,
    remove_journal,
)
from recgate.recording.seal import End, Recovered, Seal, read_header
from recgate.recording.sealer import Sealer
from recgate.recording.segment import Segment, build_segment, digest, read_segment, segment_name

__all__ = ["Outcome", "recover"]

_GATEWAY_SIDE: Final = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a journal: `recovered`, `sealed` (it was already), `empty` (no frame was ever accepted) or
    `damaged`. `frames` were saved from the journal, `cut` bytes could not be.
    """

    status: str
    frames: int = 0
    cut: int = 0
    reason: str = ""


@dataclass(slots=True)
class _Stored:
    """What the store holds of a session: the last seal, what the next item follows, and the key nobody has now."""

    segments: int = 0
    prev: bytes = b""
    lost: bytes = b""
    seal: Seal | None = None

    @property
    def end(self) -> End | None:
        """How the recording ended, if it is whole."""
        return self.seal.end if self.seal is not None else None

    @property
    def ended(self) -> str:
        """The status of a recording that is whole."""
        return "recovered" if self.seal is not None and self.seal.recovered else "sealed"


@dataclass(slots=True)
class _Rest:
    """Frames that the store does not hold, part by part, and what could not be read on the way."""

    directory: Path
    keys: JournalKeys
    seq: int
    t: int
    cut: int = 0
    frames: int = 0
    parts: list[int] = field(default_factory=list[int])
    stopped: str = ""

    def read(self) -> Iterator[list[RecordedFrame]]:
        """Give the frames behind `seq`. A damaged record ends it: numbers behind a hole would not be contiguous."""
        self.parts = parts_of(self.directory)
        for part in self.parts:
            if self.stopped:
                self.cut += (self.directory / part_name(part)).stat().st_size
                continue
            content = read_part(self.directory, part, self.keys)
            self.cut += content.cut
            if content.cut and part != self.parts[-1]:
                self.stopped = f"{part_name(part)} is damaged at byte {content.whole}"
            yield from self._accept(content.frames, part_name(part))

    def closing(self) -> list[RecordedFrame]:
        """Give the frame of the preallocated record, if it was needed and nothing is missing before it."""
        frame = None if self.stopped else read_closing(self.directory, self.keys)
        nothing: list[RecordedFrame] = []
        return nothing if frame is None else next(self._accept([frame], "the closing record"), nothing)

    def _accept(self, frames: list[RecordedFrame], where: str) -> Iterator[list[RecordedFrame]]:
        fresh = [frame for frame in frames if frame.seq >= self.seq]
        if not fresh:
            return
        if [frame.seq for frame in fresh] != list(range(self.seq, self.seq + len(fresh))):
            self.stopped = self.stopped or f"{where} does not go on with frame {self.seq}"
            return
        self.seq, self.t = fresh[-1].seq + 1, fresh[-1].t
        self.frames += len(fresh)
        yield fresh


def recover(sealer: Sealer, session: str, reason: str) -> Outcome:
    """Seal what is left of a session that nobody writes to any more, and remove its journal.

    Raises:
        RecordingFailed, OSError: not now, the store does not take it; the sweeper comes again.
    """
    directory = sealer.root / session
    sealer.forget(session)
    try:
        stored = _stored(sealer.store, session)
        if not (directory / HEAD_NAME).exists() and stored.end is not None:
            # Killed while the journal was being removed, which comes after everything else.
            remove_journal(directory)
            return Outcome(stored.ended)
        keys = read_head(directory, sealer.signer.wrapping)
        return _recover(sealer, session, keys, stored, reason)
    except (RecordingDamaged, FileNotFoundError, KeyError) as error:
        _abort(sealer, session, "journal-damaged")
        outcome = _set_aside(directory, str(error))
    if outcome.status == "damaged":
        facts: dict[str, object] = {"reason": outcome.reason, "counters": {}, "ended": time.time_ns()}
        chain = Chain(session, directory, JournalKeys(b"", b""), {})
        sealer.guard(chain, lambda: sealer.indexer.finish(session, facts, "unsealed"))
    return outcome


def _recover(sealer: Sealer, session: str, keys: JournalKeys, stored: _Stored, reason: str) -> Outcome:
    directory, last = sealer.root / session, stored.seal
    state = _state(directory, keys)
    if last is not None and last.end is not None:
        # Killed between the last segment and the end of its bookkeeping.
        chain = _chain(sealer, session, keys, stored, state, None)
        frame = RecordedFrame(last.first + last.count - 1, last.mono, 0, _GATEWAY_SIDE, CLOSED_KIND, b"")
        _catch_up(sealer, chain)
        sealer.finish(chain, last.end, frame, stored.ended)
        return Outcome(stored.ended)
    if not stored.segments and _is_sealed_partly(directory):
        raise RecordingFailed(
            f"{sealer.store.name}: nothing is there of session {session}, of which parts were stored already; "
            "is its file system mounted? The rest waits in the journal."
        )
    rest = _Rest(directory, keys, last.first + last.count if last else 0, last.mono if last else 0)
    pieces = rest.read()
    piece = next(pieces, None)
    if piece is None and not stored.segments:
        _abort(sealer, session, "journal-damaged" if rest.cut or rest.stopped else "nothing-recorded")
        return _nothing(directory, rest)
    chain = _chain(sealer, session, keys, stored, state, piece[0] if piece else None)
    while piece is not None:
        sealer.number(piece)
        following = next(pieces, None)
        if following is None:
            break
        _seal(sealer, chain, stored, piece, Recovered(stored.lost, reason, 0), None)
        piece = following
    final = _ended(piece or [], rest, reason)
    end = end_of(final[-1], chain.totals_with(final))
    if rest.stopped:
        _keep(directory)
    _seal(sealer, chain, stored, final, Recovered(stored.lost, reason, rest.cut), end)
    _catch_up(sealer, chain)
    sealer.finish(chain, end, final[-1], "recovered")
    return Outcome("recovered", rest.frames, rest.cut, rest.stopped or reason)


def _catch_up(sealer: Sealer, chain: Chain) -> None:
    """Write what the ledger lacks. The journal goes afterwards: a death before that comes here again."""
    if sealer.leaves is not None:
        sealer.leaves.catch_up(sealer.store, chain.session, chain.opened)


def _abort(sealer: Sealer, session: str, reason: str) -> None:
    """Say in the ledger that nothing more will come of a session."""
    if sealer.leaves is not None:
        sealer.leaves.aborted(session, reason)


def _ended(frames: list[RecordedFrame], rest: _Rest, reason: str) -> list[RecordedFrame]:
    """Add the end that the session did not live to record, and the gap if the journal has one."""
    frames += rest.closing()
    if frames and frames[-1].kind == CLOSED_KIND and frames[-1].side == _GATEWAY_SIDE:
        return frames
    said: list[tuple[str, dict[str, object]]] = []
    if rest.stopped:
        said.append(("gap", {"bytes": rest.cut, "text": rest.stopped}))
    said.append((CLOSED_KIND, {"reason": reason, "recovered": True}))
    for number, (kind, body) in enumerate(said, start=rest.seq):
        data = cbor2.dumps(body, canonical=True)
        frames.append(RecordedFrame(number, rest.t, 0, _GATEWAY_SIDE, kind, data))
    return frames


def _seal(
    sealer: Sealer,
    chain: Chain,
    stored: _Stored,
    frames: list[RecordedFrame],
    recovered: Recovered,
    end: End | None,
) -> None:
    salted(frames, chain.keys, chain.segment)
    totals = chain.totals_with(frames)
    content_key = sealer.content_key(chain)
    if chain.segment == 1 and not stored.prev:
        # No segment key was ever used: one is named as lost, and nobody has it.
        stored.lost = public_bytes(Ed25519PrivateKey.generate())
        header = sealer.header(chain, frames[0], stored.lost, content_key)
        sealer.store.put(chain.session, HEADER_NAME, header)
        chain.prev = stored.prev = digest(header)
        recovered = Recovered(stored.lost, recovered.reason, recovered.cut)
    data, sealed = build_segment(
        chain.place,
        frames,
        sealer.signer.identity,
        wall=time.time_ns(),
        following=None,
        end=end,
        recovered=recovered,
        content_key=content_key,
        originals_key=sealer.originals_key(chain, frames),
    )
    sealer.index(chain, frames, totals)
    sealer.store.put(chain.session, segment_name(chain.segment), data)
    chain.segment, chain.prev, chain.totals = chain.segment + 1, sealed, totals


def _stored(store: RecordingStore, session: str) -> _Stored:
    """Look at what is sealed. What does not read as a recording is for `verify` to judge, not for us to add to."""
    names = store.objects(session)
    if not names:
        return _Stored()
    data = store.get(session, HEADER_NAME)
    header, _ = read_header(data)
    segments = [name for name in names if name.endswith(".seg")]
    if not segments:
        return _Stored(0, digest(data), header.key)
    segment = read_segment(store.get(session, segments[-1]))
    return _Stored(len(segments), segment.seal_digest, _lost_key(segment), segment.seal)


def _lost_key(segment: Segment) -> bytes:
    seal = segment.seal
    if seal.next is not None:
        return seal.next
    return seal.recovered.lost if seal.recovered is not None else b""


def _state(directory: Path, keys: JournalKeys) -> SavedState | None:
    data = read_state(directory, keys)
    try:
        return SavedState.unpack(data) if data is not None else None
    except RecordingDamaged:
        return None


def _chain(
    sealer: Sealer,
    session: str,
    keys: JournalKeys,
    stored: _Stored,
    state: SavedState | None,
    first: RecordedFrame | None,
) -> Chain:
    """Take up a chain where the store left it, with the indexer where its saved state left it."""
    opened: Mapping[str, object] = state.opened if state is not None else {}
    if first is not None and first.seq == 0:
        opened = opened_of(first)
    chain = Chain(session, sealer.root / session, keys, opened, stored.segments + 1, stored.prev)
    chain.seq = stored.seal.first + stored.seal.count if stored.seal is not None else 0
    if state is not None and state.sealed == chain.seq:
        chain.totals = [list(side) for side in state.totals]
    elif stored.segments:
        chain.totals = _totals(sealer.store, session)
    if not opened and not _read_opened(sealer, chain):
        return chain
    if state is not None:
        chain.fed, chain.problem = state.fed, state.problem
    sealer.guard(
        chain, lambda: sealer.indexer.restore(session, chain.opened, state.indexed if state else None)
    )
    return chain


def _read_opened(sealer: Sealer, chain: Chain) -> bool:
    """Read who opened the session from its first segment. What is sealed to auditors is not for us to read."""
    segment = read_segment(sealer.store.get(chain.session, segment_name(1)))
    try:
        chain.opened = opened_of(next(segment.frames()))
    except RecordingSealed:
        header, _ = read_header(sealer.store.get(chain.session, HEADER_NAME))
        chain.opened = {"session": chain.session, "protocol": header.protocol, "started": header.wall}
        # Its row stays what it is: nothing that is known here is better.
        chain.problem = "the indexer's state was lost, and what is sealed to auditors cannot be read again"
        return False
    return True


def _totals(store: RecordingStore, session: str) -> list[list[int]]:
    """Add up the seals: only when the state is not there or not of the last segment."""
    totals = [[0, 0] for _ in range(3)]
    for name in store.objects(session):
        if name.endswith(".seg"):
            for total, (frames, size) in zip(
                totals, read_segment(store.get(session, name)).seal.sides, strict=True
            ):
                total[0] += frames
                total[1] += size
    return totals


def _is_sealed_partly(directory: Path) -> bool:
    """Tell whether parts are gone because they were stored. The one that is being written is always there."""
    parts = parts_of(directory)
    return parts[0] > 1 if parts else (directory / STATE_NAME).exists()


def _nothing(directory: Path, rest: _Rest) -> Outcome:
    """No frame was accepted, so nothing was ever forwarded."""
    if rest.stopped or (rest.cut and not (rest.parts == [1] and is_torn(directory / part_name(1)))):
        return _set_aside(directory, f"no record in it is whole, of {rest.cut} bytes")
    remove_journal(directory)
    return Outcome("empty")


def _set_aside(directory: Path, reason: str) -> Outcome:
    """Move a journal that cannot be read out of the sweeper's way, unless there is nothing in it."""
    try:
        sizes = [(directory / part_name(part)).stat().st_size for part in parts_of(directory)]
    except FileNotFoundError:
        return Outcome("empty")
    if not any(sizes):
        remove_journal(directory)
        return Outcome("empty")
    place = directory.parent / DAMAGED
    place.mkdir(mode=0o700, exist_ok=True)
    os.rename(directory, place / directory.name)
    return Outcome("damaged", cut=sum(sizes), reason=f"{reason}; the journal is kept in {place}")


def _keep(directory: Path) -> None:
    """Keep what could not be read whole, for somebody who can: before it is sealed, or a kill would lose it."""
    place = directory.parent / DAMAGED / directory.name
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in os.listdir(directory):
        # A link and not a copy: it must be possible on a full disk.
        with contextlib.suppress(FileExistsError):
            os.link(directory / name, place / name)
