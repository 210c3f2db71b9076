#!/usr/bin/env python3
# pyright: basic
# ruff: noqa: ANN001, ANN201, T201 - a program of one file, for readers who have never seen this project
"""Check recgate's recordings without recgate: one file, written from docs/reference/recording-format.md alone.

It needs Python 3.11, cbor2 and cryptography, and public material: recordings or a bundle, the ledger, and a trust file
that you did not get from whoever keeps the recordings. It decrypts and decompresses nothing: what is stored is signed.

    python recgate_verifier.py --trust trust.json [--ledger DIR] [--json] DIRECTORY | BUNDLE

A line for each recording: its id, one word, and below it what is wrong. Exit status 0 if all hold, 1 if one does not.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import struct
import sys
import zlib
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# The worst first: the first word that applies is the answer.
WORDS = [
    "altered",
    "missing",
    "untrusted",
    "unknown",
    "incomplete",
    "erased",
    "recovered",
    "complete",
    "proven",
]
HOLD = ("erased", "recovered", "complete", "proven")
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MAX_OBJECT, MAX_ITEM, MAX_UINT, GRACE = 96 << 20, 256 << 10, 1 << 63, 300 * 10**9
TYPE = "application/vnd.recgate.{}+cbor"
# Fields of maps: a number is the length of a byte string.
HEADER = {
    "version": int,
    "session": 16,
    "gateway": str,
    "opened": 32,
    "protocol": str,
    "wall": int,
    "key": 32,
}
HEADER |= {"policy": bytes, "recipients": list}
SEAL = {"session": 16, "segment": int, "first": int, "count": int, "sides": list, "root": 32, "stored": 32}
SEAL |= {"prev": 32, "wall": int, "mono": int, "next": (bytes, type(None))}
BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, struct.error, OSError)


class Wrong(Exception):
    """Something is not what the format says."""


class Report:
    """What is found of one recording, or of the ledger."""

    def __init__(self, name: str, word: str = "complete") -> None:
        self.name, self.word, self.problems = name, word, []

    def found(self, what: str, word: str = "altered") -> None:
        self.word = min(word, self.word, key=WORDS.index)
        self.problems.append(what)

    def check(self, holds: object, what: str, word: str = "altered") -> None:
        if not holds:
            self.found(what, word)


# -- CBOR, COSE, Ed25519 -------------------------------------------------------------------------------------


def decoded(data: bytes, limit: int = MAX_ITEM):
    """Decode one item that fills `data`, in the one encoding that the format allows."""
    try:
        value = cbor2.loads(
            data[: limit + 1], max_depth=12, allow_indefinite=False, allow_duplicate_keys=False
        )
        same = cbor2.dumps(value, canonical=True) == data
    except Exception as error:  # noqa: BLE001 - whatever a decoder does not like is no CBOR
        raise Wrong(f"it is not CBOR: {type(error).__name__}") from None
    if not same:
        raise Wrong("it is not in its deterministic form")
    return value


def item_end(data: bytes, at: int) -> int:
    """Find where the CBOR item at `at` ends, by its heads alone (RFC 8949 §3)."""
    start, todo = at, 1
    while todo:
        if at >= len(data) or data[at] & 31 > 27:
            raise Wrong(f"it ends inside an item, at byte {at}")
        major, argument, at = data[at] >> 5, data[at] & 31, at + 1
        if argument > 23:
            size = 1 << argument - 24
            argument, at = int.from_bytes(data[at : at + size], "big"), at + size
        todo += {4: argument, 5: 2 * argument, 6: 1}.get(major, 0) - 1
        at += argument if major in (2, 3) else 0
        if todo > MAX_ITEM or at - start > MAX_OBJECT:
            raise Wrong(f"the item at byte {start} is too long")
    return at


def fields(value, wanted: dict, optional: tuple = ()) -> dict:
    """Take a map with exactly these fields."""
    if not isinstance(value, dict) or not set(wanted) <= set(value) <= {*wanted, *optional}:
        raise Wrong("it has other fields than the format names")
    for name, kind in wanted.items():
        found = value[name]
        size = len(found) if isinstance(found, bytes) else -1
        number = type(found) is int and 0 <= found < MAX_UINT
        if not (
            size == kind if isinstance(kind, int) else number if kind is int else isinstance(found, kind)
        ):
            raise Wrong(f"its {name} is of another type")
    return value


def ed25519(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Signed:
    """A COSE_Sign1 with Ed25519, not believed before `by` says True."""

    def __init__(self, value, kind: str) -> None:
        parts = value.value if isinstance(value, cbor2.CBORTag) and value.tag == 18 else ()
        if len(parts) != 4 or parts[1] or not all(isinstance(parts[n], bytes) for n in (0, 2, 3)):
            raise Wrong("a signed item is no COSE_Sign1")
        protected = decoded(parts[0])
        if not isinstance(protected, dict) or not {1, 3} <= set(protected) <= {1, 3, 4}:
            raise Wrong("a protected header has other fields")
        if protected[1] != -8 or protected[3] != TYPE.format(kind):
            raise Wrong("it is signed as something else")
        self.kid, self.payload, self.signature = protected.get(4, b""), decoded(parts[2]), parts[3]
        self.signed = cbor2.dumps(["Signature1", parts[0], b"", parts[2]], canonical=True)

    def by(self, key: bytes) -> bool:
        return ed25519(key, self.signature, self.signed)


class Trust:
    """The public keys that the reader of this believes."""

    def __init__(self, path: Path) -> None:
        said = json.loads(path.read_text())
        keys = [(base64.b64decode(each["public"]), each) for each in said["identity"]]
        self.keys = {sha256(key).digest(): key for key, _ in keys}
        self.gateway = said.get("gateway", "")
        retired = [(key, each["retired"]) for key, each in keys if "retired" in each]
        self.ends = {
            sha256(k).digest(): int(datetime.fromisoformat(t).timestamp()) * 10**9 for k, t in retired
        }
        self.ledgers = [vkey(each["vkey"]) for each in said.get("ledger", [])]
        self.witnesses = [vkey(each) for each in said.get("witnesses", [])]

    def late(self, kid: bytes, wall: int) -> bool:
        return wall > self.ends.get(kid, MAX_UINT) + GRACE


# -- one recording -------------------------------------------------------------------------------------------


class Recording(Report):
    """One recording, from the header to the end; `get` gives an object's bytes by its name."""

    def __init__(self, session: str, names, get, trust: Trust) -> None:
        super().__init__(session)
        self.trust, self.session = trust, session_bytes(session)
        self.prev = self.key = self.end = None
        self.opened, self.first, self.mono, self.sides, self.seals, self.recovered = (
            b"",
            0,
            0,
            [[0, 0]] * 3,
            {},
            False,
        )
        segments = sorted(
            (name for name in names if name.endswith(".seg")), key=lambda name: (len(name), name)
        )
        expected = [f"{number:06d}.seg" for number in range(1, len(segments) + 1)]
        self.check(segments == expected, "its segments are not numbered from 1 on, or one is missing")
        for name in sorted(names):
            self.check(name in ("header.cbor", *segments), f"{name!r} does not belong to a recording")
        for name in ("header.cbor", *segments):
            try:
                data = get(name)
                self.header(data) if name == "header.cbor" else self.segment(name, *split(data))
            except (Wrong, *BROKEN) as error:
                self.found(f"{name}: {error}")
                self.prev = self.key = self.first = None
        self.check(self.end is not None, "the end: missing", "incomplete")
        if self.end is not None and self.first is not None:
            self.completeness(self.end)
        if self.recovered:
            self.word = min("recovered", self.word, key=WORDS.index)

    def header(self, data: bytes) -> None:
        signed = Signed(decoded(data), "header")
        header = fields(signed.payload, HEADER, ("continues",))
        self.check(header["version"] == 1, "it is of another version of the format")
        self.prev, self.key, self.opened = sha256(data).digest(), header["key"], header["opened"]
        self.check(header["session"] == self.session, "header.cbor: is of another session")
        self.identity(signed, header["wall"], "header.cbor")

    def identity(self, signed: Signed, wall: int, where: str) -> None:
        key = self.trust.keys.get(signed.kid)
        self.check(key, f"{where}: signed by {signed.kid.hex()}, which is not in the trust file", "untrusted")
        self.check(key is None or signed.by(key), f"{where}: its signature does not fit")
        self.check(not self.trust.late(signed.kid, wall), f"{where}: signed after its key was retired")

    def segment(self, name: str, opening: list, stored: bytes | None, raw: bytes) -> None:
        item = decoded(raw)
        signed = Signed(item[1], "seal")
        seal = fields(signed.payload, SEAL, ("end", "recovered"))
        number, where = (
            len(self.seals) + 1,
            f"{name} (frames {seal['first']} to {seal['first'] + seal['count'] - 1})",
        )
        self.check(self.end is None, f"{where}: follows the end of the recording")
        self.check(
            item[0] == 3 and opening[1:3] == [seal["segment"], seal["prev"]],
            f"{where}: opening and seal differ",
        )
        self.check(seal["session"] == self.session, f"{where}: is of another session")
        self.check(seal["segment"] == number, f"{where}: was sealed as segment {seal['segment']}")
        self.check(self.prev in (None, seal["prev"]), f"{where}: does not follow the item before it")
        self.check(self.first in (None, seal["first"]), f"{where}: does not begin with frame {self.first}")
        self.check(seal["mono"] >= self.mono, f"{where}: its time runs backwards")
        self.check(
            sum(frames for frames, _ in seal["sides"]) == seal["count"] > 0, f"{where}: its counts are wrong"
        )
        self.check(stored in (None, seal["stored"]), f"{where}: its content is not what was sealed")
        if "recovered" in seal:
            lost = fields(seal["recovered"], {"lost": 32, "reason": str, "cut": int})["lost"]
            self.check(self.key in (None, lost), f"{where}: names another lost key than the item before it")
            self.identity(signed, seal["wall"], where)
            self.recovered, self.key = True, lost
        else:
            self.check(
                not self.recovered, f"{where}: is signed by a segment key although recovery had lost it"
            )
            self.check(
                self.key is None or signed.by(self.key), f"{where}: is not signed by the key named before it"
            )
            self.check("end" in seal or seal["next"], f"{where}: names no next key, and no end")
            self.key = seal["next"]
        self.seals[number] = self.prev = sha256(raw).digest()
        self.first, self.mono = seal["first"] + seal["count"], seal["mono"]
        self.sides = [[a + c, b + d] for (a, b), (c, d) in zip(self.sides, seal["sides"], strict=True)]
        self.end = seal.get("end", self.end)

    def completeness(self, end: dict) -> None:
        """No side may have sent more than was recorded, and what the end counts must be what is sealed."""
        for side, (frames, size) in zip(("client", "upstream", "gateway"), self.sides, strict=True):
            recorded = end["counters"].get("recorded", {}).get(side, {})
            counted = (recorded.get("frames", frames), recorded.get("bytes", size))
            self.check(counted == (frames, size), f"the end counts other frames of {side} than are sealed")
            wire = end["counters"].get("wire", {})
            sent = wire.get(side, {}) if isinstance(wire, dict) else {}
            over = sent.get("bytes", 0) - size if isinstance(sent, dict) else 0
            self.check(
                over <= 0, f"the end: {over} bytes of {side} went over the wire unrecorded", "incomplete"
            )


def split(data: bytes) -> tuple[list, bytes, bytes]:
    """Take a segment apart: the opening, the digest of what is before the seal, and the seal's own bytes."""
    at = item_end(data, 0)
    opening, counts, wanted = decoded(data[:at]), [0, 0], 2
    if not isinstance(opening, list) or len(opening) != 5 or opening[0] != 1:
        raise Wrong("it does not begin with its opening")
    while data[at : at + 2] in (b"\x83\x02", b"\x83\x04"):
        kind, end = data[at + 1], item_end(data, at)
        if end > len(data) or kind < wanted:
            raise Wrong(f"it ends inside the block at byte {at}, or blocks are in another order")
        block, wanted = decoded(data[at:end], MAX_OBJECT), kind
        if block[1] != counts[kind // 2 - 1] or not isinstance(block[2], bytes):
            raise Wrong(f"the block at byte {at} has another number")
        counts[kind // 2 - 1], at = counts[kind // 2 - 1] + 1, end
    if not counts[0] or bool(counts[1]) is not bool(opening[4]) or item_end(data, at) != len(data):
        raise Wrong("it has other blocks than it says, or something follows its seal")
    return opening, sha256(data[:at]).digest(), data[at:]


def session_bytes(text: str) -> bytes:
    value = 0
    for letter in text:
        value = value << 5 | LETTERS.index(letter)
    return value.to_bytes(16, "big")


def is_session(name: str) -> bool:
    return bool(re.fullmatch(f"[0-7][{LETTERS}]{{25}}", name))


# -- the ledger: C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles, tlog-proof -------------------


def vkey(text: str) -> tuple[str, int, bytes, bytes]:
    name, _, rest = text.partition("+")
    material = base64.b64decode(rest.partition("+")[2])
    return name, material[0], material[1:], sha256(name.encode() + b"\n" + material).digest()[:4]


def joined(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: list[bytes]) -> bytes:
    """Give the Merkle tree hash of RFC 6962 §2.1 over leaves that are hashed already."""
    while len(leaves) > 1:
        leaves = [*map(joined, leaves[::2], leaves[1::2]), *leaves[len(leaves) & ~1 :]]
    return leaves[0] if leaves else sha256().digest()


def proven(node: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Give the root that follows from a leaf and its path (RFC 9162 §2.1.3.2)."""
    last = size - 1
    for each in path:
        if index & 1 or index == last:
            node = joined(each, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = joined(node, each)
        index, last = index >> 1, last >> 1
    return node if last == 0 else b""


class Ledger(Report):
    """Entries by session, and the `sizes` of the heads that trusted witnesses saw."""

    def __init__(self, trust: Trust) -> None:
        super().__init__("ledger")
        self.trust, self.entries, self.sizes = trust, {}, []

    def head(self, data: bytes) -> tuple[int, bytes]:
        """Give size and root of a head that a trusted key signed."""
        text, _, lines = data.decode().rpartition("\n\n")
        text += "\n"
        origin, size, digest = text.split("\n")[:3]
        ledgers = [key for key in self.trust.ledgers if key[0] == origin]
        self.check(ledgers, f"{origin} is not among the trusted ledgers", "untrusted")
        signed = False
        rows = [row.removeprefix("\u2014 ").partition(" ") for row in lines.splitlines()]
        for name, kind, public, kid in [*ledgers, *self.trust.witnesses]:
            for made in [base64.b64decode(row[2]) for row in rows if row[0] == name]:
                if made[:4] == kid and kind in (1, 4):
                    stamp = f"cosignature/v1\ntime {int.from_bytes(made[4:12], 'big')}\n" if kind == 4 else ""
                    good = ed25519(public, made[12 if stamp else 4 :], (stamp + text).encode())
                    self.check(good, f"the signature of {name} is not over the head of {size} entries")
                    self.sizes += [int(size)] if good and kind == 4 else []
                    signed |= good and kind == 1
        self.check(signed or not ledgers, f"a head is not signed by {origin}")
        return int(size), base64.b64decode(digest)

    def take(self, index: int, data: bytes) -> None:
        kind, _, *values = decoded(data, 4096)
        if values and isinstance(values[0], bytes) and len(values[0]) == 16:
            self.entries.setdefault(values[0], []).append((index, kind, values[1:]))

    def read(self, directory: Path) -> None:
        """Read a directory of tiles. Roots are computed from the entries alone."""
        size, digest = self.head((directory / "checkpoint").read_bytes())
        leaves: list[bytes] = []
        for entry in stored_entries(directory, size):
            self.take(len(leaves), entry)
            leaves.append(sha256(b"\0" + entry).digest())
        heads = [self.head(path.read_bytes()) for path in sorted(directory.glob("cosigned/[!.]*"))]
        for count, found in [(size, digest), *heads]:
            self.check(
                count <= len(leaves) and root(leaves[:count]) == found, f"a head signs {count} other entries"
            )
        self.check(self.sizes or not self.trust.witnesses, "no trusted witness vouches for it", "incomplete")

    def hold(self, recording: Recording, *, whole: bool = True) -> None:
        """Hold a recording against its entries."""
        entries = self.entries.get(recording.session, [])
        opened = {values[0] for _, kind, values in entries if kind == "open"}
        seals = {values[0]: values[3] for _, kind, values in entries if kind == "seal"}
        kinds = {kind for _, kind, _ in entries}
        recording.check(opened or self.problems, "the ledger does not know it", "unknown")
        recording.check(not opened or opened == {recording.opened}, "the ledger logged another opening")
        for number, seal in recording.seals.items():
            recording.check(
                number in seals or self.problems, f"the ledger does not know segment {number}", "unknown"
            )
            recording.check(
                seals.get(number, seal) == seal, f"segment {number} is not what the ledger logged"
            )
        for number in sorted(set(seals) - set(recording.seals)) if whole else ():
            recording.found(f"segment {number} is missing: the ledger has it", "incomplete")
        recording.check(not kinds & {"erase", "retention"}, "is here, though the ledger says that it went")
        recording.check("abort" not in kinds or "close" in kinds, "was given up", "incomplete")
        known = "close" in kinds or recording.end is None or self.problems
        recording.check(not whole or known, "the ledger does not know that it ended", "unknown")


def stored_entries(directory: Path, size: int):
    """Give the entries: of full tiles, then of the file that is still appended to, or of a partial tile."""
    for number in range(1 << 30):
        digits, rest = f"{number % 1000:03d}", number // 1000
        while rest:
            digits, rest = f"x{rest % 1000:03d}/{digits}", rest // 1000
        full, tail = directory / "tile/entries" / digits, directory / "writing" / f"{number:012d}"
        if not full.exists() and tail.exists():
            data, at = tail.read_bytes(), 0
            while (body := data[at + 8 : at + 8 + int.from_bytes(data[at : at + 4], "big")]) and (
                zlib.crc32(body) == int.from_bytes(data[at + 4 : at + 8], "big")
            ):
                yield from decoded(body, 2 << 20)[0] if at else ()  # the first says which tile it becomes
                at += 8 + len(body)
            return
        path = full if full.exists() else Path(f"{full}.p") / str(size % 256)
        data, at = path.read_bytes() if path.exists() else b"", 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            yield data[at + 2 : at + 2 + length]
            at += 2 + length
        if not full.exists():
            return


# -- bundles, stores, the command -----------------------------------------------------------------------------


def objects(data: memoryview) -> dict[str, memoryview]:
    """Give what is in a bundle, which must have the one form that a bundle has: heads, then their directory."""
    found, directory, at = {}, b"", 0
    while data[at : at + 4] == b"PK\3\4":
        crc, size, _, length = struct.unpack_from("<LLLH", data, at + 14)
        begin = at + 30 + length
        name, content = bytes(data[at + 30 : begin]), data[begin : begin + size]
        head = struct.pack("<HHHHHLLLHH", 45, 0x800, 0, 0, 0x21, crc, size, size, length, 0)
        if (
            data[at + 4 : at + 30] != head
            or len(content) != size
            or zlib.crc32(content) != crc
            or name.decode() in found
        ):
            raise Wrong(f"the object at byte {at} is not as a bundle has it")
        far = struct.pack("<HHQ", 1, 8, at) if at >= 0xFFFFFFFF else b""
        place = struct.pack("<HHHLL", 0, 0, 0, 0o100644 << 16, min(at, 0xFFFFFFFF))
        directory += (
            b"PK\1\2" + struct.pack("<H", 3 << 8 | 45) + head[:-2] + bytes([len(far), 0]) + place + name + far
        )
        found[name.decode()], at = content, begin + size
    count, size, end = len(found), len(directory), b""
    if count >= 0xFFFF or at >= 0xFFFFFFFF:
        end = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 3 << 8 | 45, 45, 0, 0, count, count, size, at)
        end += struct.pack("<4sLQL", b"PK\6\7", 0, at + size, 1)
    few = min(count, 0xFFFF)
    end += struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, few, few, size, min(at, 0xFFFFFFFF), 0)
    if data[at:] != directory + end:
        raise Wrong("its directory is not that of its objects")
    return found


def bundled(data: memoryview, trust: Trust) -> list[Report]:
    """Verify a bundle with a whole recording."""
    found = objects(data)
    about = decoded(bytes(found["bundle.cbor"]))
    if about["frames"]:
        print("it shows single frames, which this program does not check", file=sys.stderr)
        sys.exit(2)
    value = int.from_bytes(about["session"], "big")
    session = "".join(LETTERS[value >> shift & 31] for shift in range(125, -1, -5))
    names = [name.removeprefix("recording/") for name in found if name.startswith("recording/")]
    recording, ledger = (
        Recording(session, names, lambda name: bytes(found[f"recording/{name}"]), trust),
        Ledger(trust),
    )
    last, given = -1, [name for name in found if name.startswith("ledger/")]
    for name in given:
        if name.startswith("ledger/entries/"):
            index, entry = int(name[15:-5]), bytes(found[name])
            ledger.take(index, entry)
            last = max(last, index) if decoded(entry)[0] in ("close", "abort") else last
    for name in [name for name in given if name.endswith(".tlog-proof")]:
        text, _, head = bytes(found[name]).partition(b"\n\n")
        _, index, *path = text.decode().split("\n")
        stamp = "/timestamps/" in name
        number = int(index.removeprefix("index "))
        lines = head.decode().split("\n")
        size, digest = (int(lines[1]), base64.b64decode(lines[2])) if stamp else ledger.head(head)
        leaf = sha256(b"\0" + bytes(found[f"ledger/entries/{number}.cbor"])).digest()
        good = proven(leaf, number, size, [base64.b64decode(each) for each in path]) == digest
        ledger.check(good and number < size, f"{name} proves nothing")
    ledger.check(
        not given or last < max([*ledger.sizes, 0]) or not trust.witnesses, "nobody vouches", "incomplete"
    )
    if given or trust.ledgers:
        ledger.hold(recording)
    return [recording, *([ledger] if ledger.problems else [])]


def stored(store: Path, directory: Path | None, trust: Trust) -> list[Report]:
    """Verify every recording of a directory, and the ledger that is given, in it or beside it."""
    places = [directory] if directory else [store / "ledger", store.absolute().parent / "ledger"]
    ledger = Ledger(trust)
    logged = [each for each in places if (each / "checkpoint").exists() or directory]
    if logged:
        try:
            ledger.read(logged[0])
        except (Wrong, *BROKEN) as error:
            ledger.found(str(error))
    paths = (
        [store] if is_session(store.name) else [each for each in store.rglob("*") if is_session(each.name)]
    )
    reports = []
    for path in sorted(paths, key=lambda each: each.name):
        names = [each.name for each in path.iterdir() if not each.name.startswith(".")]
        recording = Recording(path.name, names, lambda name, path=path: (path / name).read_bytes(), trust)
        if logged:
            ledger.hold(recording)
        reports.append(recording)
    seen = {each.session for each in reports}
    for session, entries in ledger.entries.items():
        kinds = {kind for _, kind, _ in entries}
        if session not in seen and "open" in kinds:
            gone = kinds & {"erase", "retention"}
            report = Report(session.hex(), "erased" if gone else "complete")
            report.check(gone, "the ledger opened it, and it is not here", "missing")
            reports.append(report)
    return [*reports, *([ledger] if ledger.problems else [])]


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--trust", type=Path, required=True, help="public keys to believe")
    options.add_argument(
        "--ledger", type=Path, help="the ledger, if it is neither in nor beside the recordings"
    )
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("place", type=Path, metavar="DIRECTORY|BUNDLE")
    asked = options.parse_args()
    try:
        trust, reports = Trust(asked.trust), [Report(str(asked.place), "complete")]
        if asked.place.is_dir():
            reports = stored(asked.place, asked.ledger, trust)
        else:
            reports = bundled(memoryview(asked.place.read_bytes()), trust)
    except (Wrong, *BROKEN) as error:
        reports = [Report(str(asked.place))]
        reports[0].found(str(error))
    for each in reports:
        if asked.json:
            print(json.dumps({"session": each.name, "status": each.word, "problems": each.problems}))
        else:
            print(each.name, each.word, *(f"\n    {problem}" for problem in each.problems), sep="  ")
    return 0 if reports and all(each.word in HOLD for each in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
