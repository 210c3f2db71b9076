"""A session's chain while it is being sealed: keys, numbers and digests between one segment and the next."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import RecordingDamaged
from recgate.ids import session_bytes
from recgate.recipients.escrow import EscrowedKey
from recgate.recipients.wrapping import WrappedKey
from recgate.recording.cbor import Fields, as_list, encode, loads
from recgate.recording.commitments import leaf_hash, salt_key, salter
from recgate.recording.frames import RecordedFrame, encode_head
from recgate.recording.journalfiles import JournalKeys
from recgate.recording.limits import MAX_DATA, MAX_EXIT, MAX_REASON, MAX_STATE
from recgate.recording.seal import End, Header
from recgate.recording.segment import Place, count_sides

__all__ = [
    "CLOSED_KIND",
    "OPENED_KIND",
    "SIDE_NAMES",
    "Chain",
    "SavedState",
    "end_of",
    "header_of",
    "opened_of",
    "salted",
]

CLOSED_KIND = "closed"
OPENED_KIND = "opened"
SIDE_NAMES = ("client", "upstream", "gateway")


@dataclass(slots=True)
class Chain:
    """Where a session's recording stands. `seq` is the next frame to seal, `fed` the next one to index.

    `key` seals the next segment; `following`, the content's keys and the first one's `header` are kept with it until
    that segment is stored, so that a second try, of the same parts (`tried`), gives the same bytes: the identity key
    may be another one by then. None of the keys is ever written anywhere.
    """

    session: str
    directory: Path
    keys: JournalKeys
    opened: Mapping[str, object]
    segment: int = 1
    prev: bytes = b""
    seq: int = 0
    fed: int = 0
    totals: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in range(3)])
    key: Ed25519PrivateKey | None = None
    following: Ed25519PrivateKey | None = None
    wall: int = 0
    content_key: WrappedKey | None = None
    originals_key: EscrowedKey | None = None
    tried: object = None
    header: bytes = b""
    problem: str = ""

    @property
    def place(self) -> Place:
        """Where the next segment stands."""
        return Place(session_bytes(self.session), self.segment, self.prev)

    def totals_with(self, frames: Sequence[RecordedFrame]) -> list[list[int]]:
        """Give [frames, bytes] per side, with these added to what is sealed."""
        return [
            [frames_so_far + count, bytes_so_far + size]
            for (frames_so_far, bytes_so_far), (count, size) in zip(
                self.totals, count_sides(frames), strict=True
            )
        ]

    def pack_state(self, totals: list[list[int]], sealed: int, indexed: bytes) -> bytes:
        """Serialise what recovery needs behind frame `sealed`, the indexer's state with it."""
        return encode(
            {
                "sealed": sealed,
                "fed": self.fed,
                "totals": totals,
                "opened": dict(self.opened),
                "problem": self.problem,
                "indexed": indexed,
            }
        )


@dataclass(frozen=True, slots=True)
class SavedState:
    """What `pack_state` wrote."""

    sealed: int
    fed: int
    totals: list[list[int]]
    opened: Mapping[str, object]
    problem: str
    indexed: bytes

    @classmethod
    def unpack(cls, data: bytes) -> SavedState:
        """Read it back. Raises `RecordingDamaged`."""
        fields = Fields(loads(data, "the state", limit=MAX_STATE), "the state")
        pairs = [as_list(side, "a side", 2) for side in fields.array("totals", 3)]
        return cls(
            fields.uint("sealed"),
            fields.uint("fed"),
            [[cast("int", number) for number in pair] for pair in pairs],
            fields.map("opened"),
            fields.text("problem"),
            fields.bytes("indexed"),
        )


def salted(frames: Sequence[RecordedFrame], keys: JournalKeys, segment: int) -> Sequence[RecordedFrame]:
    """Give the frames their salts in a segment."""
    salt = salter(salt_key(keys.salts, segment))
    for frame in frames:
        frame.salt = salt(frame.seq)
    return frames


def opened_of(frame: RecordedFrame) -> Mapping[str, object]:
    """Read the body of the first frame. Raises `RecordingDamaged` when it is not `opened`."""
    if frame.seq != 0 or frame.kind != OPENED_KIND:
        raise RecordingDamaged("the first frame does not say who opened the session")
    fields = Fields({"opened": loads(frame.data, "the opened frame")}, "the first frame")
    return fields.map("opened")


def header_of(
    chain: Chain, first: RecordedFrame, gateway: str, key: bytes, content_key: WrappedKey | None
) -> Header:
    """Make the header of a session from its first frame, which has its salt."""
    opened = chain.opened
    started, protocol = opened.get("started"), opened.get("protocol")
    return Header(
        session=session_bytes(chain.session),
        gateway=gateway,
        opened=leaf_hash(first, encode_head(first, {})),
        protocol=protocol if isinstance(protocol, str) else "",
        wall=started if isinstance(started, int) else 0,
        key=key,
        policy=_policy_digest(opened.get("policy")),
        recipients=tuple(wrap.recipient for wrap in content_key[1]) if content_key is not None else (),
    )


def _policy_digest(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else ""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return hashlib.sha256(text.encode()).digest()


def end_of(closed: RecordedFrame, totals: list[list[int]]) -> End:
    """Make the completeness statement from the `closed` frame and from what was sealed."""
    body = Fields({"closed": loads(closed.data, "the closed frame", limit=MAX_DATA)}, "the last frame").map(
        "closed"
    )
    counters: dict[str, object] = {
        "recorded": {
            name: {"frames": frames, "bytes": size}
            for name, (frames, size) in zip(SIDE_NAMES, totals, strict=True)
        }
    }
    if "wire" in body and len(encode(body["wire"])) <= MAX_EXIT:
        counters["wire"] = body["wire"]
    leaving = body.get("exit")
    if len(encode(leaving)) > MAX_EXIT:
        leaving = None  # it is in the frame
    return End(str(body.get("reason", ""))[:MAX_REASON], counters, leaving)
