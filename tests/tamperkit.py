"""What an administrator can do who has every key of the gateway, its disk, and all the time in the world."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.ids import session_bytes, session_text
from recgate.keys import GatewayKeys
from recgate.ledger.entries import Entry, pack_entry, read_entry
from recgate.ledger.log import Ledger
from recgate.ledger.reading import LedgerReading
from recgate.recipients.erasurekeys import ErasureKeys
from recgate.recipients.wrapping import Context, WrappedKey, wrapped_key
from recgate.recording.cose import public_bytes
from recgate.recording.frames import RecordedFrame
from recgate.recording.seal import Header, Recovered, read_header, sign_header
from recgate.recording.segment import Place, Segment, build_segment, digest, read_segment
from tests.tamperhouse import TamperHouse, Tree

__all__ = ["Attacker", "Frames"]

Frames = list[list[RecordedFrame]]  # of each segment
REASON: Final = "the gateway died"


class Attacker:
    """Has the keys of `house`, and tampers with `tree`.

    What is sealed to auditors this attacker cannot read either, and puts in its place what `source`, a recording in
    clear of the same shape, has.
    """

    def __init__(self, house: TamperHouse, tree: Tree) -> None:
        self.tree = tree
        self.keys = GatewayKeys(house.data_dir, "gate-test")
        self.recipient = house.auditor.recipient
        self.vkey = house.vkey

    # -- recordings ------------------------------------------------------------------------------------

    def header(self, session: str) -> Header:
        return read_header((self.tree.place(session) / "header.cbor").read_bytes())[0]

    def segments(self, session: str) -> list[Segment]:
        return [read_segment(path.read_bytes()) for path in sorted(self.tree.place(session).glob("*.seg"))]

    def remake(
        self, session: str, frames: Frames, *, header: Header | None = None, like: Sequence[Segment] = ()
    ) -> None:
        """Put a recording of these frames in the place of the one that is there, signed as the gateway signs.

        The header says what the old one said, or `header`; the seals what those of `like` say.
        """
        like, old = like or self.segments(session), header or self.header(session)
        key = Ed25519PrivateKey.generate()
        data = sign_header(replace(old, key=public_bytes(key)), self.keys.identity)
        place = self.tree.place(session)
        self.put(place / "header.cbor", data)
        for path in place.glob("*.seg"):
            path.unlink()
        prev = digest(data)
        for number, (content, seal) in enumerate(
            zip(frames, (each.seal for each in like), strict=True), start=1
        ):
            following = Ed25519PrivateKey.generate()
            segment, prev = build_segment(
                Place(session_bytes(session), number, prev),
                content,
                key,
                wall=seal.wall,
                following=None if seal.end is not None else public_bytes(following),
                end=seal.end,
                content_key=self._content_key(session, number, old),
            )
            self.put(place / f"{number:06d}.seg", segment)
            key = following

    def recover_from(self, session: str, number: int, frames: list[RecordedFrame]) -> None:
        """Say that the gateway died before it sealed this segment, and that this is what was found."""
        genuine = self.segments(session)
        before, last = genuine[number - 2], genuine[-1].seal
        lost = before.seal.recovered.lost if before.seal.recovered is not None else before.seal.next
        assert lost is not None
        assert last.end is not None
        segment, _ = build_segment(
            Place(session_bytes(session), number, before.seal_digest),
            frames,
            self.keys.identity,
            wall=last.wall,
            following=None,
            end=replace(last.end, counters={}),
            recovered=Recovered(lost, REASON, 0),
            content_key=self._content_key(session, number, self.header(session)),
        )
        for path in sorted(self.tree.place(session).glob("*.seg"))[number - 1 :]:
            path.unlink()
        self.put(self.tree.segment(session, number), segment)

    def put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def _content_key(self, session: str, number: int, header: Header) -> WrappedKey | None:
        if not header.recipients:
            return None
        store = ErasureKeys(self.tree.root / "erasure.sqlite3")
        try:
            erasure = store.of(session_bytes(session))
        finally:
            store.close()
        return wrapped_key(Context(session_bytes(session), number), [self.recipient], erasure)

    # -- the ledger ------------------------------------------------------------------------------------

    def entries(self) -> list[bytes]:
        found: list[bytes] = []
        reading = LedgerReading(self.tree.ledger, [self.vkey], lambda _, entry: found.append(entry))
        reading.read()
        assert reading.sound, reading.findings
        return found

    def rewrite(
        self, change: Callable[[Entry, bytes], bytes | list[bytes] | None], *, keep: Sequence[str] = ()
    ) -> None:
        """Make the ledger anew with every entry as `change` gives it, or without it, and all heads signed anew."""
        entries: list[bytes] = []
        for old in self.entries():
            new = change(read_entry(old), old)
            entries += new if isinstance(new, list) else [new] if new is not None else []
        kept = {name: self.tree.root / f"kept-{name}" for name in keep}
        for name, place in kept.items():
            shutil.copytree(self.tree.ledger / name, place)
        shutil.rmtree(self.tree.ledger)
        ledger = self._ledger()
        ledger.append(entries)
        ledger.publish()
        for name, place in kept.items():
            place.rename(self.tree.ledger / name)

    def append(self, *entries: bytes) -> None:
        """Add entries, as the gateway would."""
        ledger = self._ledger()
        ledger.append(entries)
        ledger.publish()

    def relogged(self, session: str) -> Callable[[Entry, bytes], bytes | list[bytes] | None]:
        """Give a change that makes the leaves of a session stand for what its recording is now.

        That may have fewer or more segments than were logged: what is put in the place of a sealed recording was
        cut by time, too.
        """
        header, segments, raw = self.header(session), self.segments(session), session_bytes(session)

        logged = 0

        def change(entry: Entry, old: bytes) -> bytes | list[bytes] | None:
            nonlocal logged
            if entry.session != raw:
                return old
            match entry.kind:
                case "open":
                    return pack_entry("open", entry.wall, raw, header.opened, entry.bytes("who"))
                case "seal":
                    logged = entry.number("segment")
                    if logged > len(segments):
                        return None
                    return self.seal_entry(segments[logged - 1], entry.wall)
                case "close":
                    last = segments[-1]
                    frames = last.seal.first + last.seal.count
                    end = pack_entry("close", entry.wall, raw, len(segments), frames, last.seal_digest)
                    return [*(self.seal_entry(each, entry.wall) for each in segments[logged:]), end]
                case _:
                    return old

        return change

    def seal_entry(self, segment: Segment, wall: int) -> bytes:
        seal = segment.seal
        data = self.tree.segment(session_text(seal.session), seal.segment).read_bytes()
        return pack_entry(
            "seal",
            wall,
            seal.session,
            seal.segment,
            seal.first,
            seal.count,
            segment.seal_digest,
            digest(data),
        )

    def leaves(self, session: str, wall: int, who: bytes = bytes(16)) -> list[bytes]:
        """Give the entries that a recording has from its opening to its end."""
        raw, segments, header = session_bytes(session), self.segments(session), self.header(session)
        last = segments[-1]
        return [
            pack_entry("open", wall, raw, header.opened, who),
            *(self.seal_entry(segment, wall) for segment in segments),
            pack_entry(
                "close", wall, raw, len(segments), last.seal.first + last.seal.count, last.seal_digest
            ),
        ]

    def _ledger(self) -> Ledger:
        return Ledger(self.tree.ledger, self.keys.ledger, self.keys.ledger_origin)
