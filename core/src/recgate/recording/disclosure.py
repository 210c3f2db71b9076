"""Show chosen frames of a recording, prove that they were recorded so and where, and show nothing else of it.

A proof holds the header, the seals up to the last segment that is needed, and each frame with its salt and its path to
the root that a seal signs. The frames between are there as hashes only, salted ones: nobody can guess what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from recgate.errors import RecgateError, RecordingDamaged
from recgate.ids import session_text
from recgate.recording.cbor import Fields, as_list, encode, loads
from recgate.recording.commitments import leaf_hash, merkle_paths, merkle_root, root_of_path
from recgate.recording.directory import HEADER_NAME
from recgate.recording.frames import RecordedFrame, decode_block, encode_frame, encode_head, skip_head
from recgate.recording.limits import MAX_ITEM
from recgate.recording.reader import Archive
from recgate.recording.report import Report, Status
from recgate.recording.seal import Header, Seal, read_header
from recgate.recording.segment import Segment
from recgate.recording.trust import Trust
from recgate.recording.verify import verify_chain

__all__ = ["FORMAT", "MAX_FRAMES", "MAX_PROOF", "Proven", "Range", "chain_of", "prove", "verify_proof"]

FORMAT: Final = "recgate frame proof"
VERSION: Final = 1
MAX_PROOF: Final = 256 << 20  # bytes; a proof is in memory while it is made and checked
MAX_FRAMES: Final = 10_000  # in one proof
MAX_SEALS: Final = 100_000  # a session of eleven days, at one every ten seconds
MAX_PATH: Final = 63
MAX_ITEMS: Final = 2_000_000  # of CBOR in a proof: each takes a byte there, and much more in memory

Range = tuple[int, int]


@dataclass(slots=True)
class Proven:
    """What a proof shows: `report` on what it rests on, and the frames that are proven, in order.

    `wall` is when the session opened, in ns; `believed` says whether everything in the file holds.
    """

    report: Report
    frames: list[RecordedFrame] = field(default_factory=list[RecordedFrame])
    wall: int = 0
    protocol: str = ""

    @property
    def believed(self) -> bool:
        """Every frame in it was recorded so, in its place, by a gateway whose key is trusted."""
        return not self.report.problems and bool(self.frames)


def prove(archive: Archive, session: str, wanted: Sequence[Range]) -> bytes:
    """Give the proof of frames by their numbers, as ranges with both ends in them.

    Raises:
        RecgateError: they are too many, or are not sealed.
        RecordingDamaged: the recording does not hold; a proof of it would not either.
        RecordingSealed: their segments are encrypted, and the archive's keyring does not open them.
    """
    if sum(last - first + 1 for first, last in wanted) > MAX_FRAMES:
        raise RecgateError(f"a proof has room for {MAX_FRAMES} frames; ask for fewer")
    left = {number for first, last in wanted for number in range(first, last + 1)}
    seals: list[bytes] = []
    frames: list[object] = []
    for name in archive.segments(session):
        if not left:
            break
        segment = archive.segment(session, name)
        seals.append(segment.sealed)
        first, count = segment.seal.first, segment.seal.count
        here = {number for number in left if first <= number < first + count}
        if here:
            frames += _shown(archive, segment, here, f"{session}: {name}")
            left -= here
    if left:
        raise RecgateError(f"frame {min(left)} of {session} is not sealed, or does not exist")
    try:
        header = archive.store.get(session, HEADER_NAME)
    except KeyError:
        raise RecordingDamaged(f"{session}: {HEADER_NAME} is missing") from None
    proof = encode({"format": FORMAT, "version": VERSION, "header": header, "seals": seals, "frames": frames})
    if len(proof) > MAX_PROOF:
        raise RecgateError(f"the proof would have {len(proof)} bytes, and the limit is {MAX_PROOF}")
    return proof


def _shown(archive: Archive, segment: Segment, numbers: set[int], where: str) -> list[object]:
    sources: dict[tuple[int, int, str], bytes] = {}
    leaves: list[bytes] = []
    chosen: dict[int, bytes] = {}
    for frame in segment.frames(archive.keyring):
        head = encode_head(frame, sources)
        leaves.append(leaf_hash(frame, head))
        if frame.seq in numbers:
            chosen[frame.seq] = encode_frame(frame, head)
    if merkle_root(leaves) != segment.seal.root or len(chosen) != len(numbers):
        raise RecordingDamaged(f"{where}: its frames are not what was sealed")
    paths = merkle_paths(leaves, [number - segment.seal.first for number in chosen])
    return [
        [segment.seal.segment, encoded, paths[number - segment.seal.first]]
        for number, encoded in chosen.items()
    ]


def verify_proof(data: bytes, trust: Trust) -> Proven:
    """Check a proof, with public keys alone. What does not hold is in the report, and its frames are left out.

    Raises:
        RecordingDamaged: it is no proof of this version.
    """
    fields = Fields(_read(data), "the proof")
    if fields.text("format") != FORMAT or fields.uint("version") != VERSION:
        raise RecordingDamaged("it is no frame proof of this version")
    raw = fields.bytes("header")
    seals = fields.array("seals")
    shown = fields.array("frames")
    fields.done()
    if len(raw) > MAX_ITEM or len(seals) > MAX_SEALS or len(shown) > MAX_FRAMES:
        raise RecordingDamaged("the proof is above the limits of its format")
    if not all(type(seal) is bytes for seal in seals):
        raise RecordingDamaged("a seal in the proof is not a byte string")
    session = session_text(read_header(raw)[0].session)
    report, header, taken = verify_chain(session, raw, cast("list[bytes]", seals), trust)
    proven = Proven(report)
    if header is not None:
        proven.wall, proven.protocol = header.wall, header.protocol
    if not shown:
        report.found(Status.ALTERED, "the proof", "shows no frame")
    for item in shown:
        frame = _proven(item, header, taken, report)
        if frame is None:
            continue
        if proven.frames and frame.seq <= proven.frames[-1].seq:
            report.found(Status.ALTERED, f"frame {frame.seq}", "stands out of order, or twice")
        proven.frames.append(frame)
    return proven


def chain_of(data: bytes) -> tuple[bytes, list[bytes]]:
    """Give the header and the seals of a proof as they are stored. Raises `RecordingDamaged`: it is no proof."""
    fields = Fields(_read(data), "the proof")
    header, seals = fields.bytes("header"), fields.array("seals")
    if len(seals) > MAX_SEALS or not all(type(seal) is bytes for seal in seals):
        raise RecordingDamaged("the proof is above the limits of its format")
    return header, cast("list[bytes]", seals)


def _proven(
    item: object, header: Header | None, seals: Sequence[Seal], report: Report
) -> RecordedFrame | None:
    number, encoded, path = as_list(item, "a frame of the proof", 3)
    nodes = as_list(path, "the path of a frame")
    if (
        type(number) is not int
        or type(encoded) is not bytes
        or len(nodes) > MAX_PATH
        or not all(type(node) is bytes and len(node) == 32 for node in nodes)
    ):
        raise RecordingDamaged("a frame of the proof is not [segment, frame, path]")
    frames = decode_block(encoded)
    if len(frames) != 1:
        raise RecordingDamaged("a frame of the proof is not one frame")
    frame = frames[0]
    if not 1 <= number <= len(seals):
        report.found(
            Status.ALTERED, f"frame {frame.seq}", f"is said to be in segment {number}, which is not proven"
        )
        return None
    seal = seals[number - 1]
    leaf = leaf_hash(frame, encode_head(frame, {}))
    root = root_of_path(leaf, frame.seq - seal.first, seal.count, cast("list[bytes]", nodes))
    if root != seal.root or (frame.seq == 0 and header is not None and leaf != header.opened):
        report.found(Status.ALTERED, f"frame {frame.seq}", "is not what was sealed in that place")
        return None
    return frame


def _read(data: bytes) -> object:
    if len(data) > MAX_PROOF:
        raise RecordingDamaged(f"the proof is longer than {MAX_PROOF} bytes")
    _weigh(data)
    value = loads(data, "the proof", limit=MAX_PROOF)
    if encode(value) != data:
        raise RecordingDamaged("the proof is not in its deterministic form")
    return value


def _weigh(data: bytes) -> None:
    """Refuse what would take far more memory than it has bytes, by the heads of its items alone."""
    offset = items = 0
    while offset < len(data):
        major = data[offset] >> 5
        argument, offset = skip_head(data, offset)
        if major in (2, 3):
            offset += argument
        items += 1
        if items > MAX_ITEMS:
            raise RecordingDamaged(f"the proof has more than {MAX_ITEMS} items")
