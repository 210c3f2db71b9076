"""What is signed: the header that opens a recording, and the seal that ends a segment for good.

Every seal names the next segment's public key, and the private key that made it is forgotten. So whoever steals
the gateway's keys can sign what comes, never again what was. A seal of recovery is signed by the identity key
instead, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from recgate.errors import RecordingDamaged
from recgate.recipients.wrapping import MAX_RECIPIENTS
from recgate.recording.cbor import Fields, as_list, decode_strict, encode
from recgate.recording.cose import HEADER_TYPE, SEAL_TYPE, Signed, SigningKey, read_signed, sign

__all__ = [
    "VERSION",
    "End",
    "Header",
    "Recovered",
    "Seal",
    "read_header",
    "read_seal",
    "sign_header",
    "sign_seal",
]

VERSION: Final = 1
_DIGEST: Final = 32
_SESSION: Final = 16


@dataclass(frozen=True, slots=True)
class Header:
    """What opens a recording. `opened` commits to frame 0, `key` is the first segment's public key.

    `wall` is the wall clock in ns, `policy` the digest of policy and configuration in force. `recipients` are the ids
    of those to whom the first segment is sealed; each segment says for itself whose it is.
    """

    session: bytes
    gateway: str
    opened: bytes
    protocol: str
    wall: int
    key: bytes
    policy: bytes
    recipients: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Give the payload that is signed."""
        return encode(
            {
                "version": VERSION,
                "session": self.session,
                "gateway": self.gateway,
                "opened": self.opened,
                "protocol": self.protocol,
                "wall": self.wall,
                "key": self.key,
                "policy": self.policy,
                "recipients": list(self.recipients),
            }
        )


@dataclass(frozen=True, slots=True)
class End:
    """Why the session ended, and the completeness statement.

    `counters` holds `recorded`, the frames and bytes per side as they were sealed, and `wire` as the pump counted
    them, unless it did not live to say so. `exit` is the protocol's own, if it has one.
    """

    reason: str
    counters: dict[str, object]
    exit: object = None

    def to_cbor(self) -> dict[str, object]:
        """Give the map that stands in the seal."""
        end: dict[str, object] = {"reason": self.reason, "counters": self.counters}
        if self.exit is not None:
            end["exit"] = self.exit
        return end


@dataclass(frozen=True, slots=True)
class Recovered:
    """Why the identity key signed: the segment key that was `lost`, and the bytes `cut` off the journal."""

    lost: bytes
    reason: str
    cut: int


@dataclass(frozen=True, slots=True)
class Seal:
    """What ends a segment. `first` and `count` number its frames, `sides` holds [frames, bytes] of each side.

    `root` stands for the frames, `stored` for the items of the segment as stored, `prev` for everything before.
    `wall` is ns, `mono` µs since the session opened. `next` is None in the last seal and in recovered ones.
    """

    session: bytes
    segment: int
    first: int
    count: int
    sides: tuple[tuple[int, int], ...]
    root: bytes
    stored: bytes
    prev: bytes
    wall: int
    mono: int
    next: bytes | None
    end: End | None = None
    recovered: Recovered | None = None

    def encode(self) -> bytes:
        """Give the payload that is signed."""
        payload: dict[str, object] = {
            "session": self.session,
            "segment": self.segment,
            "first": self.first,
            "count": self.count,
            "sides": [list(side) for side in self.sides],
            "root": self.root,
            "stored": self.stored,
            "prev": self.prev,
            "wall": self.wall,
            "mono": self.mono,
            "next": self.next,
        }
        if self.end is not None:
            payload["end"] = self.end.to_cbor()
        if self.recovered is not None:
            lost = self.recovered
            payload["recovered"] = {"lost": lost.lost, "reason": lost.reason, "cut": lost.cut}
        return encode(payload)


def sign_header(header: Header, identity: SigningKey) -> bytes:
    """Give the item that opens a recording."""
    return encode(sign(identity, HEADER_TYPE, header.encode(), named=True))


def sign_seal(seal: Seal, key: SigningKey) -> bytes:
    """Give the item that ends a segment. A recovered seal names the identity key that signed it."""
    return encode([3, sign(key, SEAL_TYPE, seal.encode(), named=seal.recovered is not None)])


def read_header(data: bytes) -> tuple[Header, Signed]:
    """Take a header item apart. Nothing in it may be believed before its signature is verified.

    Raises:
        RecordingDamaged: it is not a header of this version.
    """
    signed = read_signed(decode_strict(data, "the header"), HEADER_TYPE)
    fields = Fields(decode_strict(signed.payload, "the header"), "the header")
    if fields.uint("version") != VERSION:
        raise RecordingDamaged("the header is of another version of the format")
    header = Header(
        session=fields.bytes("session", _SESSION),
        gateway=fields.text("gateway"),
        opened=fields.bytes("opened", _DIGEST),
        protocol=fields.text("protocol"),
        wall=fields.uint("wall"),
        key=fields.bytes("key", _DIGEST),
        policy=fields.bytes("policy"),
        recipients=_recipients(fields.array("recipients")),
    )
    fields.done()
    return header, signed


def read_seal(data: bytes) -> tuple[Seal, Signed]:
    """Take a seal item apart. Nothing in it may be believed before its signature is verified.

    Raises:
        RecordingDamaged: it is not a seal of this version.
    """
    marker, cose = as_list(decode_strict(data, "the seal"), "the seal", 2)
    if marker != 3:
        raise RecordingDamaged("a segment does not end with a seal")
    signed = read_signed(cose, SEAL_TYPE)
    fields = Fields(decode_strict(signed.payload, "the seal"), "the seal")
    seal = Seal(
        session=fields.bytes("session", _SESSION),
        segment=fields.uint("segment"),
        first=fields.uint("first"),
        count=fields.uint("count"),
        sides=_sides(fields.array("sides", 3)),
        root=fields.bytes("root", _DIGEST),
        stored=fields.bytes("stored", _DIGEST),
        prev=fields.bytes("prev", _DIGEST),
        wall=fields.uint("wall"),
        mono=fields.uint("mono"),
        next=_next_key(fields.take("next")),
        end=_end(Fields(fields.take("end"), "the end")) if fields.has("end") else None,
        recovered=_recovered(Fields(fields.take("recovered"), "the recovery"))
        if fields.has("recovered")
        else None,
    )
    fields.done()
    return seal, signed


def _recipients(value: list[object]) -> tuple[bytes, ...]:
    ids = tuple(each for each in value if isinstance(each, bytes) and len(each) == _DIGEST)
    if len(ids) != len(value) or len(ids) > MAX_RECIPIENTS or len(set(ids)) != len(ids):
        raise RecordingDamaged("the recipients of the header are not ids, each once")
    return ids


def _sides(value: list[object]) -> tuple[tuple[int, int], ...]:
    pairs = [as_list(side, "a side of the seal", 2) for side in value]
    if not all(type(number) is int and number >= 0 for pair in pairs for number in pair):
        raise RecordingDamaged("a side of the seal is not two counts")
    return tuple((cast("int", frames), cast("int", size)) for frames, size in pairs)


def _next_key(value: object) -> bytes | None:
    if value is None or (isinstance(value, bytes) and len(value) == _DIGEST):
        return value
    raise RecordingDamaged("the next key of the seal is not a key")


def _end(fields: Fields) -> End:
    end = End(
        fields.text("reason"), fields.map("counters"), fields.take("exit") if fields.has("exit") else None
    )
    fields.done()
    return end


def _recovered(fields: Fields) -> Recovered:
    recovered = Recovered(fields.bytes("lost", _DIGEST), fields.text("reason"), fields.uint("cut"))
    fields.done()
    return recovered
