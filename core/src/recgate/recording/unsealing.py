"""Open what masks removed from one entry: two people or more, each with their own key and their own permit.

A permit is the gateway's part, handed out to one person for one segment once that is on record. With it a person opens
their share, and passes it on sealed to the one who reads: so what travels between them is of use to nobody else.

    permit = ["recgate permit", 1, session (16), segment, entry, holder-id (32), permit (32)]
    share  = ["recgate share", 1, session (16), segment, entry, holder-id (32), for-id (32), sealed]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from recgate.errors import AccessDenied, RecordingDamaged, RecordingSealed
from recgate.ids import session_bytes, session_text
from recgate.model import Secret
from recgate.recipients.erasurekeys import ErasureSource
from recgate.recipients.escrow import Escrowed, Share, joined, opened
from recgate.recipients.keyring import NOBODY, Keyring
from recgate.recipients.keys import Identity, NotOpened, Recipient
from recgate.recipients.wrapping import KEY_BYTES, ORIGINALS, Context
from recgate.recording.cbor import as_list, decode_strict, encode
from recgate.recording.originals import places_of
from recgate.recording.reader import Archive
from recgate.recording.segment import Segment

__all__ = ["MAX_FILE", "Permit", "SealedShare", "Unsealing", "segment_of"]

MAX_FILE: Final = 8 << 10  # bytes of a permit or a share

_VERSION: Final = 1
_PERMIT: Final = "recgate permit"
_SHARE: Final = "recgate share"
_INFO: Final = b"recgate share for one v1"
_ID: Final = 32
_SESSION: Final = 16


@dataclass(frozen=True, slots=True)
class Permit:
    """One person's permit for one segment, asked for because of `entry`. Worth nothing without that person's key."""

    session: str
    segment: int
    entry: int
    holder: bytes
    key: Secret

    def pack(self) -> bytes:
        """Give the file."""
        place = [session_bytes(self.session), self.segment, self.entry, self.holder]
        return encode([_PERMIT, _VERSION, *place, self.key.reveal()])

    @classmethod
    def unpack(cls, data: bytes) -> Permit:
        """Read the file. Raises `RecordingDamaged`."""
        what = "the permit"
        place, (key,) = _unpacked(data, _PERMIT, what, 1)
        if type(key) is not bytes or len(key) != KEY_BYTES:
            raise RecordingDamaged(f"{what} holds no key")
        return cls(*place, Secret(key))


@dataclass(frozen=True, slots=True)
class SealedShare:
    """One person's share of one segment's key, sealed to the person who will read."""

    session: str
    segment: int
    entry: int
    holder: bytes
    reader: bytes
    sealed: bytes

    def pack(self) -> bytes:
        """Give the file."""
        place = [session_bytes(self.session), self.segment, self.entry, self.holder]
        return encode([_SHARE, _VERSION, *place, self.reader, self.sealed])

    @classmethod
    def unpack(cls, data: bytes) -> SealedShare:
        """Read the file. Raises `RecordingDamaged`."""
        what = "the share"
        place, (reader, sealed) = _unpacked(data, _SHARE, what, 2)
        if type(reader) is not bytes or len(reader) != _ID or type(sealed) is not bytes:
            raise RecordingDamaged(f"{what} is not sealed to anybody")
        return cls(*place, reader, sealed)


def _unpacked(
    data: bytes, name: str, what: str, more: int
) -> tuple[tuple[str, int, int, bytes], list[object]]:
    if len(data) > MAX_FILE:
        raise RecordingDamaged(f"{what} is longer than {MAX_FILE} bytes")
    said, version, session, segment, entry, holder, *rest = as_list(decode_strict(data, what), what, 6 + more)
    if said != name or version != _VERSION:
        raise RecordingDamaged(f"{what} is not a file that `recgate unseal` of this version makes")
    if (
        type(session) is not bytes
        or len(session) != _SESSION
        or type(segment) is not int
        or not 0 < segment < 1 << 63
        or type(entry) is not int
        or entry < 0
        or type(holder) is not bytes
        or len(holder) != _ID
    ):
        raise RecordingDamaged(f"{what} does not say what it is for")
    return (session_text(session), segment, entry, holder), rest


def segment_of(archive: Archive, session: str, entry: int) -> tuple[Segment, Escrowed]:
    """Find the segment that frame `entry` is in, and whom its originals are sealed to.

    Raises:
        RecordingDamaged: there is no such frame, or the segment has no originals.
    """
    for name in archive.segments(session):
        segment = archive.segment(session, name)
        if segment.seal.first <= entry < segment.seal.first + segment.seal.count:
            if segment.escrowed is None:
                raise RecordingDamaged(
                    f"{session}: {name} holds no originals: nothing was masked, or none were kept"
                )
            return segment, segment.escrowed
    raise RecordingDamaged(f"{session}: entry {entry} is not sealed, or does not exist")


class Unsealing:
    """One person's part in unsealing the originals of one entry.

    Raises `RecordingDamaged` when the entry has none, `RecordingSealed` and `AccessDenied` as each method says.
    """

    def __init__(self, archive: Archive, session: str, entry: int, identities: Sequence[Identity]) -> None:
        self.session, self.entry = session, entry
        self._segment, self._escrowed = segment_of(archive, session, entry)
        self._keyring: Keyring = archive.keyring or NOBODY
        place = self._segment.place
        self._context = Context(place.session, place.segment, ORIGINALS)
        self.identity = self._own(identities)

    @property
    def threshold(self) -> int:
        """How many people it takes."""
        return self._escrowed.threshold

    def _own(self, identities: Sequence[Identity]) -> Identity:
        holders = {wrap.recipient for wrap in self._escrowed.wraps}
        own = [identity for identity in identities if identity.recipient.id in holders]
        if len(own) > 1:
            raise AccessDenied(
                f"unsealing takes {self.threshold} people: give the key of one of them, and from the others the "
                "shares that they made with -o and --to"
            )
        if not own:
            raise RecordingSealed(
                f"its originals are sealed to {len(holders)} people, and none of the identities is one of theirs"
            )
        return own[0]

    def share(self, permit: Permit) -> Share:
        """Open this person's share. Raises `AccessDenied` for a permit of something else."""
        place = self._segment.place
        if (permit.session, permit.segment) != (self.session, place.segment):
            raise AccessDenied(f"the permit is for segment {permit.segment} of {permit.session}")
        return opened(self._escrowed, self._context, self.identity, permit.key)

    def passed_on(self, permit: Permit, reader: Recipient) -> SealedShare:
        """Seal this person's share to the one who reads. Raises `AccessDenied` for oneself and for strangers."""
        if reader.id == self.identity.recipient.id:
            raise AccessDenied("a share is passed on to somebody else")
        if reader.id not in {wrap.recipient for wrap in self._escrowed.wraps}:
            raise AccessDenied("these originals are not sealed to whom the share is for")
        share = self.share(permit)
        sealed = reader.seal(share.encode(), self._sealing(self.identity.recipient.id))
        holder = self.identity.recipient.id
        return SealedShare(self.session, self._context.segment, self.entry, holder, reader.id, sealed)

    def originals(self, permit: Permit, shares: Sequence[SealedShare], erasure: ErasureSource) -> list[bytes]:
        """Give what masks removed from the entry.

        Raises:
            AccessDenied: the shares are too few, for something else or somebody else, or not what was sealed.
            RecordingSealed: the frame itself cannot be read, or the session's erasure key is not here.
        """
        found = [(self.identity.recipient.id, self.share(permit)), *map(self._received, shares)]
        key = erasure.find(self._context.session)
        if key is None:
            raise RecordingSealed("its erasure key is not here; say --erasure FILE")
        cipher = joined(self._escrowed, self._context, found, key)
        places = set(self._places())
        originals = list(self._segment.originals(cipher))
        if places and max(places) >= len(originals):
            raise RecordingDamaged(f"frame {self.entry} names originals that are not there")
        return [originals[place] for place in sorted(places)]

    def _received(self, share: SealedShare) -> tuple[bytes, Share]:
        place = self._segment.place
        if (share.session, share.segment) != (self.session, place.segment):
            raise AccessDenied(f"a share is for segment {share.segment} of {share.session}")
        whose = f"the share of holder {share.holder.hex()[:16]}…"
        if share.entry != self.entry:
            raise AccessDenied(f"{whose} was given for entry {share.entry}, not for entry {self.entry}")
        if share.reader != self.identity.recipient.id:
            raise AccessDenied(
                f"{whose} was made for somebody else; ask them for one with --to your public key"
            )
        try:
            return share.holder, Share.decode(
                self.identity.open(share.sealed, self._sealing(share.holder)).reveal()
            )
        except (NotOpened, ValueError):
            raise AccessDenied(f"{whose} does not open: it was altered") from None

    def _sealing(self, holder: bytes) -> bytes:
        return _INFO + self._context.raw + self.entry.to_bytes(8, "big") + holder

    def _places(self) -> Iterator[int]:
        for frame in self._segment.frames(self._keyring):
            if frame.seq == self.entry:
                yield from places_of(frame)
                return
        raise RecordingDamaged(f"frame {self.entry} is not there")
