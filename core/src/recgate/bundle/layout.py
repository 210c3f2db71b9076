"""What is where in a bundle, and how much of each a reader takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recgate.errors import RecordingDamaged
from recgate.ids import session_bytes, session_text
from recgate.recording.cbor import Fields, decode_strict, encode

__all__ = [
    "ABOUT",
    "CHECKPOINT",
    "COSIGNED",
    "ENTRIES",
    "ERASURE",
    "FRAMES",
    "KEYS",
    "MAX_ABOUT",
    "MAX_HEADS",
    "MAX_README",
    "PROOF",
    "PROOFS",
    "README",
    "RECORDING",
    "STAMPS",
    "TOKEN",
    "About",
    "numbered",
]

ABOUT: Final = "bundle.cbor"
README: Final = "README.txt"
KEYS: Final = "keys/trust.json"  # for comparison: nothing in it is believed but what a trusted key has signed
ERASURE: Final = "erasure-keys"
CHECKPOINT: Final = "ledger/checkpoint"
ENTRIES: Final = "ledger/entries/"
PROOFS: Final = "ledger/proofs/"
COSIGNED: Final = "ledger/cosigned/"
STAMPS: Final = "ledger/timestamps/"
FRAMES: Final = "frames.proof"
RECORDING: Final = "recording/"
PROOF: Final = ".tlog-proof"
TOKEN: Final = ".tsr"  # noqa: S105 - of a time-stamp authority

MAX_ABOUT: Final = 1 << 10  # bytes
MAX_README: Final = 64 << 10
MAX_HEADS: Final = 300  # that witnesses have cosigned, or that have a time stamp

_FORMAT: Final = "recgate bundle"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class About:
    """What a bundle says of itself: a session, and whether it holds all of it or chosen frames."""

    session: str
    frames: bool

    def encode(self) -> bytes:
        """Give the object's content."""
        raw = session_bytes(self.session)
        return encode({"format": _FORMAT, "version": _VERSION, "session": raw, "frames": self.frames})

    @classmethod
    def read(cls, data: bytes) -> About:
        """Read it back. Raises `RecordingDamaged`: it is none of this version."""
        fields = Fields(decode_strict(data, ABOUT), ABOUT)
        if fields.text("format") != _FORMAT or fields.uint("version") != _VERSION:
            raise RecordingDamaged(f"{ABOUT} is not of a bundle of this version")
        session, frames = fields.bytes("session", 16), fields.take("frames")
        fields.done()
        if not isinstance(frames, bool):
            raise RecordingDamaged(f"{ABOUT} does not say whether it holds frames")
        return cls(session_text(session), frames)


def numbered(name: str, directory: str, suffix: str) -> int | None:
    """Give the number of an object, such as 12 of `ledger/entries/12.cbor`, or None if it is named otherwise."""
    digits = name.removeprefix(directory).removesuffix(suffix)
    if name != f"{directory}{digits}{suffix}" or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if len(digits) < 20 and digits == str(int(digits)) else None
