"""One identity key names the next, so that who believes the old one can come to believe the new one.

A statement is signed by both: the old key says who follows it, and the new one says that it is there and agrees, so
that nobody is made the successor of a key who does not hold one. Nothing else passes belief on. A statement may
therefore lie anywhere, and come from anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recgate.errors import RecordingDamaged
from recgate.recording.cbor import Fields, as_list, decode_strict, encode
from recgate.recording.cose import Signed, SigningKey, key_id, public_bytes, read_signed, sign

__all__ = ["MAX_SUCCESSIONS", "Succession", "read_succession", "sign_succession"]

SUCCESSION_TYPE: Final = "application/vnd.recgate.succession+cbor"
VERSION: Final = 1
MAX_SUCCESSIONS: Final = 1000  # of one gateway, or in one file: a rotation a day for two years
_KEY: Final = 32
_WHAT: Final = "a succession"


@dataclass(frozen=True, slots=True)
class Succession:
    """`new` follows `old` (public keys of 32 bytes). From `wall` on, ns, the gateway signs nothing with the old one."""

    gateway: str
    old: bytes
    new: bytes
    wall: int

    def encode(self) -> bytes:
        """Give the payload that both keys sign."""
        return encode(
            {
                "version": VERSION,
                "gateway": self.gateway,
                "old": self.old,
                "new": self.new,
                "wall": self.wall,
            }
        )


def sign_succession(gateway: str, old: SigningKey, new: SigningKey, wall: int) -> bytes:
    """Make the statement that `new` follows `old`."""
    payload = Succession(gateway, public_bytes(old), public_bytes(new), wall).encode()
    return encode([sign(key, SUCCESSION_TYPE, payload, named=True) for key in (old, new)])


def read_succession(data: bytes) -> Succession:
    """Read a statement that both of its keys have signed. Whether the old one is to be believed is another question.

    Raises:
        RecordingDamaged: it has another form, or a signature is not by the key that it names.
    """
    old, new = (read_signed(item, SUCCESSION_TYPE) for item in as_list(decode_strict(data, _WHAT), _WHAT, 2))
    if old.payload != new.payload:
        raise RecordingDamaged("the two keys of a succession signed different statements")
    fields = Fields(decode_strict(old.payload, _WHAT), _WHAT)
    if fields.uint("version") != VERSION:
        raise RecordingDamaged("a succession is of another version of the format")
    found = Succession(
        fields.text("gateway"), fields.bytes("old", _KEY), fields.bytes("new", _KEY), fields.uint("wall")
    )
    fields.done()
    if found.old == found.new:
        raise RecordingDamaged("a succession names one key twice")
    for signed, key, name in ((old, found.old, "old"), (new, found.new, "new")):
        _check(signed, key, name)
    return found


def _check(signed: Signed, key: bytes, name: str) -> None:
    if signed.key_id != key_id(key) or not signed.verify(key):
        raise RecordingDamaged(f"a succession is not signed by the {name} key that it names")
