"""Seal the parts of a journal, one after the other, into a chain of segments in the store.

Everything is read back from the journal, live as after a crash: what was not written there cannot be sealed, and
what is sealed is what was written. A part is deleted only once its segment is durable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import RecordingDamaged, RecordingFailed
from recgate.providers import RecordingStore
from recgate.recipients.auditors import Auditors
from recgate.recipients.escrow import EscrowedKey
from recgate.recipients.wrapping import Context, WrappedKey
from recgate.recording.chain import (
    CLOSED_KIND,
    Chain,
    end_of,
    header_of,
    opened_of,
    salted,
)
from recgate.recording.commitments import leaf_hash
from recgate.recording.cose import SigningKey, public_bytes
from recgate.recording.directory import HEADER_NAME
from recgate.recording.frames import RecordedFrame, encode_head
from recgate.recording.indexer import Indexer
from recgate.recording.journalfiles import (
    part_name,
    read_closing,
    read_head,
    read_part,
    remove_journal,
    write_state,
)
from recgate.recording.leaves import Leaves
from recgate.recording.originals import numbered
from recgate.recording.seal import End, sign_header
from recgate.recording.segment import build_segment, digest, segment_name

__all__ = ["KeyLost", "Sealed", "Sealer", "Signer", "Work"]

Note = Callable[[str, Mapping[str, object]], None]
MAX_PROBLEM: Final = 300  # characters of an indexer's exception that the catalog keeps


class KeyLost(RecordingFailed):
    """This process has no key for a chain that the store already holds a part of: only recovery can end it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The gateway's own keys: `identity` signs headers and recoveries, `wrapping`, a row of keys, opens journals."""

    gateway: str
    identity: SigningKey
    wrapping: bytes

    def __repr__(self) -> str:
        return f"Signer({self.gateway!r})"


@dataclass(frozen=True, slots=True)
class Work:
    """Parts that become one segment, each with its number and its size in whole records.

    `final` says that the session ends with them, `preallocated` that the closing frame is in the head file.
    """

    session: str
    parts: tuple[tuple[int, int], ...]
    final: bool = False
    preallocated: bool = False


@dataclass(frozen=True, slots=True)
class Sealed:
    """What became of them: the segment's number, its frames, and its size in the store."""

    segment: int
    frames: int
    stored: int


class Sealer:
    """Seals for every session of a gateway. One process, one at a time; `note` takes what is worth a log line.

    `auditors` are those who will be able to read; with none, segments are in clear.
    """

    def __init__(
        self,
        root: Path,
        signer: Signer,
        store: RecordingStore,
        indexer: Indexer,
        note: Note,
        auditors: Auditors | None = None,
    ) -> None:
        self.root = root
        self.signer = signer
        self.store = store
        self.indexer = indexer
        self.note = note
        self.auditors = auditors
        self.leaves: Leaves | None = None  # a gateway without a ledger exists in tests alone
        self._chains: dict[str, Chain] = {}

    # -- live ------------------------------------------------------------------------------------------

    def begin(self, session: str) -> None:
        """Take up a new session, so that its row is there while it lives."""
        self._chain(session)

    def seal(self, work: Work) -> Sealed:
        """Seal parts as one segment. Either it is durable and they are gone, or nothing has changed.

        Raises:
            RecordingFailed, OSError: not now; the same call can be made again.
            KeyLost: this process cannot go on with that chain.
            RecordingDamaged: a part does not hold what was written to it.
        """
        chain = self._chain(work.session)
        frames = self._frames(chain, work)
        totals = chain.totals_with(frames)
        end = end_of(frames[-1], totals) if work.final else None
        if chain.tried != work:
            # A reload between two tries changes nothing: the store may have taken the first one half-way.
            chain.tried, chain.content_key, chain.header = work, self.content_key(chain), b""
            chain.originals_key = self.originals_key(chain, frames)
        data, header, sealed = self._build(chain, frames, end)
        self.index(chain, frames, totals)
        if header:
            self.store.put(chain.session, HEADER_NAME, header)
        self.store.put(chain.session, segment_name(chain.segment), data)
        if self.leaves is not None:
            place = chain.session, chain.segment, chain.seq, len(frames)
            self.leaves.sealed(*place, sealed, data, end=end is not None)
        result = Sealed(chain.segment, len(frames), len(data))
        self._drop(chain, work.parts)
        if end is not None:
            self.finish(chain, end, frames[-1], "sealed")
            del self._chains[chain.session]
            return result
        # From here on the old key exists nowhere.
        chain.key, chain.following, chain.wall = chain.following, None, 0
        chain.content_key = chain.originals_key = chain.tried = None
        chain.segment, chain.prev, chain.seq, chain.totals = (
            chain.segment + 1,
            sealed,
            frames[-1].seq + 1,
            totals,
        )
        return result

    def _drop(self, chain: Chain, parts: Sequence[tuple[int, int]]) -> None:
        """Delete parts that are stored. What cannot be deleted goes with the journal."""
        for number, _ in parts:
            try:
                (chain.directory / part_name(number)).unlink(missing_ok=True)
            except OSError as error:
                self.note("recording.part-kept", {"session": chain.session, "reason": str(error)})

    def forget(self, session: str) -> None:
        """Drop what is known of a session, its key with it."""
        self._chains.pop(session, None)

    def _chain(self, session: str) -> Chain:
        chain = self._chains.get(session)
        if chain is not None:
            return chain
        if self.store.objects(session):
            raise KeyLost(f"the key of session {session} ended with the process that held it")
        directory = self.root / session
        keys = read_head(directory, self.signer.wrapping)
        first = read_part(directory, 1, keys).frames
        if not first:
            raise RecordingDamaged(f"{directory} has no first frame")
        chain = Chain(session, directory, keys, opened_of(first[0]), key=Ed25519PrivateKey.generate())
        if self.leaves is not None:
            salted(first[:1], keys, 1)
            self.leaves.opened(session, leaf_hash(first[0], encode_head(first[0], {})), chain.opened)
        self._chains[session] = chain
        self.guard(chain, lambda: self.indexer.restore(session, chain.opened, None))
        return chain

    def _frames(self, chain: Chain, work: Work) -> Sequence[RecordedFrame]:
        frames: list[RecordedFrame] = []
        for number, size in work.parts:
            content = read_part(chain.directory, number, chain.keys, size)
            if content.whole != size:
                raise RecordingDamaged(f"{part_name(number)} is damaged at byte {content.whole} of {size}")
            frames += content.frames
        if work.preallocated and (closing := read_closing(chain.directory, chain.keys)) is not None:
            frames.append(closing)
        first = part_name(work.parts[0][0])
        if not frames or [frame.seq for frame in frames] != list(range(chain.seq, chain.seq + len(frames))):
            raise RecordingDamaged(f"{first} does not go on with frame {chain.seq}")
        if work.final and frames[-1].kind != CLOSED_KIND:
            raise RecordingDamaged(f"what begins with {first} does not end with the session's end")
        self.number(frames)
        return salted(frames, chain.keys, chain.segment)

    def _build(
        self, chain: Chain, frames: Sequence[RecordedFrame], end: End | None
    ) -> tuple[bytes, bytes, bytes]:
        """Give segment, header (for the first) and the digest of the seal. The same again when called again."""
        assert chain.key is not None
        chain.wall = chain.wall or time.time_ns()
        following = None
        if end is None:
            chain.following = chain.following or Ed25519PrivateKey.generate()
            following = public_bytes(chain.following)
        header = b""
        if chain.segment == 1:
            header = chain.header = chain.header or self.header(
                chain, frames[0], public_bytes(chain.key), chain.content_key
            )
            chain.prev = digest(header)
        data, sealed = build_segment(
            chain.place,
            frames,
            chain.key,
            wall=chain.wall,
            following=following,
            end=end,
            content_key=chain.content_key,
            originals_key=chain.originals_key,
        )
        return data, header, sealed

    # -- shared with recovery -----------------------------------------------------------------------------

    def content_key(self, chain: Chain) -> WrappedKey | None:
        """Make a content key for the next segment, or None without auditors. Its erasure key is durable then."""
        if self.auditors is None:
            return None
        place = chain.place
        return self.auditors.content_key(Context(place.session, place.segment))

    def number(self, frames: Sequence[RecordedFrame]) -> None:
        """Have mask frames name their originals; without anybody to seal these to, they end here."""
        numbered(frames, keep=self.auditors is not None and self.auditors.escrow is not None)

    def originals_key(self, chain: Chain, frames: Sequence[RecordedFrame]) -> EscrowedKey | None:
        """Make a key for the originals of the next segment, or None if it has none."""
        if self.auditors is None or not any(frame.kept for frame in frames):
            return None
        place = chain.place
        return self.auditors.originals_key(place.session, place.segment)

    def header(self, chain: Chain, first: RecordedFrame, key: bytes, content_key: WrappedKey | None) -> bytes:
        """Make the header item; signed by the identity key, and the same bytes every time."""
        header = header_of(chain, first, self.signer.gateway, key, content_key)
        return sign_header(header, self.signer.identity)

    def index(self, chain: Chain, frames: Sequence[RecordedFrame], totals: list[list[int]]) -> None:
        """Index what was not fed yet and save the state. What goes wrong here is noted and changes nothing else."""
        fresh = [frame for frame in frames if frame.seq >= chain.fed]
        if fresh and not chain.problem:
            if fresh[0].seq > chain.fed:
                chain.problem = f"frames {chain.fed} to {fresh[0].seq - 1} were not indexed"
            else:
                self.guard(chain, lambda: self.indexer.feed(chain.session, chain.opened, fresh))
            chain.fed = fresh[-1].seq + 1
        saved: list[bytes] = []
        if not chain.problem:
            self.guard(chain, lambda: saved.append(self.indexer.save(chain.session)))
        state = chain.pack_state(totals, frames[-1].seq + 1, saved[0] if saved else b"")
        try:
            write_state(chain.directory, chain.keys, state)
        except (OSError, RecordingDamaged) as error:
            # Sealing frees space, so a full disk must not stop it. After a crash the index would have a hole.
            self.note("recording.state-unsaved", {"session": chain.session, "reason": str(error)})

    def finish(self, chain: Chain, end: End, last: RecordedFrame, status: str) -> None:
        """The recording is durable and whole: complete its row, close the store, remove the journal."""
        started = chain.opened.get("started")
        ended = (started if isinstance(started, int) else 0) + last.t * 1000
        facts: dict[str, object] = {**end.to_cbor(), "ended": ended}
        if chain.problem:
            facts["index_problem"] = chain.problem
        self.guard(chain, lambda: self.indexer.finish(chain.session, facts, status))
        try:
            self.store.seal(chain.session)
        except RecordingFailed as error:
            self.note("recording.store-open", {"session": chain.session, "reason": str(error)})
        remove_journal(chain.directory)

    def guard(self, chain: Chain, call: Callable[[], None]) -> None:
        """Call the indexer; whatever it raises becomes a note and the session's `problem`."""
        try:
            call()
        except Exception as error:  # noqa: BLE001 - an index can be made again, a recording cannot
            chain.problem = chain.problem or f"{type(error).__name__}: {error}"[:MAX_PROBLEM]
            self.note("index.failed", {"session": chain.session, "reason": chain.problem})
