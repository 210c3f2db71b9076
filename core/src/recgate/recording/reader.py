"""Read the frames of a session: from its sealed segments, and from the journal of what is not sealed yet.

Whether the recording deserves belief is `verify`'s business. Here every byte is only held to the format and to the
limits, so that a damaged or hostile recording ends in `RecordingDamaged` that says where, and in nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from recgate.errors import ConfigurationError, RecordingDamaged, RecordingFailed, RecordingSealed
from recgate.keys.files import MAX_KEY_FILE
from recgate.keys.keeping import open_secret
from recgate.keys.rotation import JOURNAL_ABOUT, retired_journal_keys
from recgate.recipients.keyring import NOBODY, Keyring
from recgate.recording.directory import is_session
from recgate.recording.frames import RecordedFrame
from recgate.recording.journalfiles import (
    JournalKeys,
    part_name,
    parts_of,
    read_closing,
    read_head,
    read_part,
)
from recgate.recording.segment import Segment, read_segment

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.plugins import Registry

__all__ = ["Archive", "Readable", "open_archive"]

# A part may be sealed and deleted between two looks. That moves frames to the store, where the next look finds
# them; when this many looks in a row find nothing new, what is missing is missing.
MAX_LOOKS: Final = 5


class Readable(Protocol):
    """The reading half of a `RecordingStore`."""

    def get(self, session: str, name: str) -> bytes:
        """Give an object. Raises `KeyError` when there is none."""
        ...

    def objects(self, session: str) -> Sequence[str]:
        """Names of a session's objects in their order."""
        ...

    def sessions(self) -> Iterable[str]:
        """Every session id that has objects, oldest first."""
        ...


def open_archive(config: Configuration, registry: Registry, keyring: Keyring = NOBODY) -> Archive:
    """Give what a configured gateway has recorded: its store, and its journal if this user may read the key."""
    return Archive(
        registry.store,
        config.data_dir / "journal",
        _wrapping_keys(config.data_dir / "keys", registry),
        keyring,
    )


def _wrapping_keys(directory: Path, registry: Registry) -> bytes | None:
    """Give the journal keys in a row, or None for whoever may not read them or not ask what keeps them."""
    paths = [directory / "journal", *retired_journal_keys(directory)]
    try:
        files = [(path, path.read_bytes()[: MAX_KEY_FILE + 1]) for path in paths]
        keeper = registry.keeper if any(data.startswith(b"-----BEGIN") for _, data in files) else None
        return b"".join(open_secret(data, path, keeper, JOURNAL_ABOUT) for path, data in files)
    except (OSError, ConfigurationError):
        return None


class Archive:
    """Recordings by session. Without `journal` and its `wrapping` key, sealed segments only.

    What is sealed to auditors is read with `keyring`.
    """

    def __init__(
        self,
        store: Readable,
        journal: Path | None = None,
        wrapping: bytes | None = None,
        keyring: Keyring = NOBODY,
    ) -> None:
        self.store = store
        self.keyring = keyring
        self.journal = journal
        self._wrapping = wrapping

    def sessions(self) -> Iterator[str]:
        """Give every session id there is: those in the store, then those that are only in the journal."""
        seen: set[str] = set()
        for session in self.store.sessions():
            seen.add(session)
            yield session
        yield from (session for session in self.unsealed() if session not in seen)

    def unsealed(self) -> list[str]:
        """List the sessions that have a journal: live, or not sealed yet."""
        try:
            names = os.listdir(self.journal) if self.journal is not None else []
        except OSError:
            return []
        return sorted(name for name in names if is_session(name))

    def segments(self, session: str) -> list[str]:
        """List the names of a session's segments."""
        return [name for name in self.store.objects(session) if name.endswith(".seg")]

    def segment(self, session: str, name: str) -> Segment:
        """Take one segment apart. Raises `RecordingDamaged` naming it."""
        try:
            return read_segment(self.store.get(session, name))
        except KeyError:
            raise RecordingDamaged(f"{session}: {name} is missing") from None
        except RecordingDamaged as error:
            raise RecordingDamaged(f"{session}: {name}: {error}") from None

    def frames(self, session: str, start: int = 0) -> Iterator[RecordedFrame]:
        """Give frames from number `start` on, in order and without gaps, one block in memory at a time.

        Of a live session it gives what there is; ask again from the next number for more.

        Raises:
            RecordingDamaged: the recording breaks off here; says where and why.
            RecordingSealed: it is for auditors from here on, and `keyring` does not open it.
        """
        seq, known, looks = start, -1, 0
        while looks < MAX_LOOKS:
            before = seq
            names = self.segments(session)
            if len(names) > known:
                first = known if known >= 0 else self._position(session, names, start)
                for name in names[max(first, 0) :]:
                    for frame in self._sealed(session, name, seq):
                        seq = frame.seq + 1
                        yield frame
                known = len(names)
            gap = False
            for frame in self._unsealed(session, seq):
                gap = frame.seq != seq
                if gap:
                    break
                seq += 1
                yield frame
            looks = 0 if seq > before else looks + 1
            # A part is in the store before it leaves the journal, so looking there once more misses nothing.
            if not gap and seq == before and len(self.segments(session)) == known:
                return
        raise RecordingDamaged(f"{session}: frame {seq} is neither in the store nor in the journal")

    def seek(self, session: str, t: int) -> int:
        """Give the number of the first frame of the segment in which time `t` (µs) lies."""
        names = self.segments(session)
        low, high = 0, len(names)
        while low < high:
            middle = (low + high) // 2
            if self.segment(session, names[middle]).seal.mono < t:
                low = middle + 1
            else:
                high = middle
        if low < len(names):
            return self.segment(session, names[low]).seal.first
        return _behind(self.segment(session, names[-1])) if names else 0

    def _position(self, session: str, names: Sequence[str], start: int) -> int:
        """Find the segment that holds frame `start`, looking at few of them."""
        low, high = 0, len(names) if start else 0
        while low < high:
            middle = (low + high) // 2
            if _behind(self.segment(session, names[middle])) <= start:
                low = middle + 1
            else:
                high = middle
        return low

    def _sealed(self, session: str, name: str, seq: int) -> Iterator[RecordedFrame]:
        segment = self.segment(session, name)
        try:
            for frame in segment.frames(self.keyring):
                if frame.seq > seq:
                    raise RecordingDamaged(f"frame {seq} is missing")
                if frame.seq == seq:
                    seq += 1
                    yield frame
        except RecordingDamaged as error:
            raise RecordingDamaged(f"{session}: {name}: {error}") from None
        except RecordingSealed as error:
            raise RecordingSealed(f"{session}: {name}: {error}") from None

    def _unsealed(self, session: str, seq: int) -> Iterator[RecordedFrame]:
        """Give what the journal has from `seq` on. What vanishes meanwhile is sealed, or the next look finds it."""
        if self.journal is None or not is_session(session):
            return
        directory = self.journal / session
        if not os.path.isdir(directory):  # also when this user may not look there
            return
        if self._wrapping is None:
            raise RecordingFailed(
                f"{session} is not sealed yet, and its journal can be read by the gateway's own user alone"
            )
        try:
            keys = read_head(directory, self._wrapping)
            parts = parts_of(directory)
            for part in parts:
                yield from (frame for frame in self._part(directory, part, keys) if frame.seq >= seq)
            closing = read_closing(directory, keys)
        except FileNotFoundError:
            return
        if closing is not None and closing.seq >= seq:
            yield closing

    def _part(self, directory: Path, part: int, keys: JournalKeys) -> list[RecordedFrame]:
        try:
            return read_part(directory, part, keys).frames
        except PermissionError as error:
            raise RecordingFailed(f"{directory / part_name(part)}: {error.strerror}") from error


def _behind(segment: Segment) -> int:
    return segment.seal.first + segment.seal.count
