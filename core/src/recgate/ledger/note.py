"""Signed notes: how heads of logs are signed everywhere, so that witnesses that are not ours can read them.

C2SP signed-note: a text, an empty line, and a line for each signature. What is parsed here may have been written by
anybody: nothing of a note may be believed before `Note.verified` has named a key that the reader trusts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recgate.errors import LedgerDamaged

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "KEY_SIZES",
    "MAX_NAME",
    "MAX_NOTE",
    "MAX_SIGNATURES",
    "MLDSA_COSIGNATURE",
    "Check",
    "Line",
    "Note",
    "Vkey",
    "is_name",
    "merge_lines",
    "parse_line",
    "parse_note",
    "sign_note",
    "verify_ed25519",
]

# Far above a head with 16 post-quantum cosignatures of 3.3 KiB each, which every verifier must take.
MAX_NOTE: Final = 256 << 10
MAX_SIGNATURES: Final = 64
MAX_NAME: Final = 255  # bytes; tlog-cosignature gives the length of a name one byte
MAX_VKEY: Final = 4 << 10  # characters; one of ML-DSA-44 takes 2,000

# Signature types, C2SP signed-note and tlog-cosignature.
ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
MLDSA_COSIGNATURE: Final = 0x06
KEY_SIZES: Final = {ED25519: 32, COSIGNATURE: 32, MLDSA_COSIGNATURE: 1312}

_DASH: Final = "\u2014 "
_KEY_ID: Final = 4


@dataclass(frozen=True, slots=True)
class Vkey:
    """A public key that notes are verified with: whose it is, what it signs (a signature type), its raw bytes."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """Give the four bytes that signature lines name the key by, beside its name."""
        material = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(material).digest()[:_KEY_ID]

    @property
    def text(self) -> str:
        """Write the key as it stands in configurations: name, hexadecimal id and base64, with plus signs between."""
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Vkey:
        """Read a key from its text form.

        Raises:
            LedgerDamaged: another form, an id that is not this key's, or a kind of key that is not known here.
        """
        if len(text) > MAX_VKEY:
            raise LedgerDamaged(f"a verifier key is longer than {MAX_VKEY} characters")
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        if not is_name(name):
            raise LedgerDamaged("a verifier key has no name: it is written NAME+ID+KEY")
        material = _unbase64(encoded)
        if not material or KEY_SIZES.get(material[0]) != len(material) - 1:
            raise LedgerDamaged(f"the verifier key of {name} is not an Ed25519 or ML-DSA-44 key: NAME+ID+KEY")
        key = cls(name, material[0], material[1:])
        if key_id != key.id.hex():
            raise LedgerDamaged(f"the verifier key of {name} is damaged: its id is not the one of its key")
        return key


@dataclass(frozen=True, slots=True)
class Line:
    """One signature of a note, by the name and the id of the key that is said to have made it."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """Write the line with its newline."""
        return f"{_DASH}{self.name} {_base64(self.key_id + self.signature)}\n"

    def is_by(self, key: Vkey) -> bool:
        """Say whether the line claims to be by that key. The claim is still to be verified."""
        return self.name == key.name and self.key_id == key.id


# Tells whether a line that claims to be by a key is, over that text.
Check = Callable[[Vkey, Line, str], bool]


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a newline, and its signatures as they were found: not believed, not even looked at."""

    text: str
    lines: tuple[Line, ...]

    def encode(self) -> bytes:
        """Write the note."""
        return (self.text + "\n" + "".join(line.text for line in self.lines)).encode()

    def signed_by(self, keys: Iterable[Vkey], check: Check) -> list[tuple[Vkey, Line]]:
        """Give those of the keys that signed, each with its first line. Lines of other keys are passed over.

        Raises:
            LedgerDamaged: a line by one of the keys does not verify: somebody changed the text or the line.
        """
        found: list[tuple[Vkey, Line]] = []
        for key in keys:
            line = next((line for line in self.lines if line.is_by(key)), None)
            if line is None:
                continue
            if not check(key, line, self.text):
                raise LedgerDamaged(f"the signature of {key.name} is not over this text")
            found.append((key, line))
        return found

    def verified(self, *keys: Vkey) -> str:
        """Give the text if one of these Ed25519 keys signed it.

        Raises:
            LedgerDamaged: none of them did, or a signature by one of them does not verify.
        """
        if not self.signed_by(keys, _ed25519):
            names = " or ".join(sorted({key.name for key in keys})) or "any key"
            raise LedgerDamaged(f"it is not signed by {names}")
        return self.text


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> Line:
    """Sign a text, which must end in a newline, as `name`."""
    vkey = Vkey(name, ED25519, key.public_key().public_bytes_raw())
    return Line(name, vkey.id, key.sign(text.encode()))


def parse_note(data: bytes) -> Note:
    """Take a signed note apart without believing anything of it.

    Raises:
        LedgerDamaged: it is too long, not UTF-8, has control characters, no signature or one of another form.
    """
    if len(data) > MAX_NOTE:
        raise LedgerDamaged(f"a signed note is longer than {MAX_NOTE} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise LedgerDamaged("a signed note is not UTF-8") from None
    if any(character < " " and character != "\n" for character in whole):
        raise LedgerDamaged("a signed note has control characters in it")
    # The last empty line: the text itself may have others.
    text, separator, signatures = whole.rpartition("\n\n")
    if not separator or not text or not signatures.endswith("\n"):
        raise LedgerDamaged("a signed note has no signatures after its text")
    # Not splitlines: a text may hold the separators that only Unicode knows.
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise LedgerDamaged(f"a signed note has more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple(map(parse_line, lines)))


def parse_line(text: str) -> Line:
    """Read a signature line, without its newline. Raises `LedgerDamaged` for another form."""
    name, _, encoded = text.removeprefix(_DASH).partition(" ")
    signature = _unbase64(encoded)
    if not text.startswith(_DASH) or not is_name(name) or signature is None or len(signature) <= _KEY_ID:
        raise LedgerDamaged("a signature line is not a dash, a name and base64")
    return Line(name, signature[:_KEY_ID], signature[_KEY_ID:])


def is_name(name: str) -> bool:
    """Say whether keys may be called so: no spaces, no plus sign, no control characters, not too long."""
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        return False
    try:
        return len(name.encode()) <= MAX_NAME
    except UnicodeEncodeError:
        return False


def verify_ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether that key, of 32 bytes, made the signature over the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _ed25519(key: Vkey, line: Line, text: str) -> bool:
    return key.kind == ED25519 and verify_ed25519(key.public, line.signature, text.encode())


def merge_lines(lines: Sequence[Line], more: Iterable[Line]) -> tuple[Line, ...]:
    """Give the lines with the newer ones in the places of those by the same keys, and the others after them."""
    merged = {(line.name, line.key_id): line for line in lines}
    merged.update({(line.name, line.key_id): line for line in more})
    return tuple(merged.values())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes | None:
    """Decode base64 in the one form that encodes back to the same, or give None."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _base64(data) == text else None
