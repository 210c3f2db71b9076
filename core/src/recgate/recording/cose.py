"""COSE_Sign1 with Ed25519 (RFC 9052 §4.2, RFC 9053 §2.2): one signature, one payload, nothing optional.

The content type stands in the protected header and says what is signed, so that no signature under a key can
be taken for one over something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, cast

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recgate.errors import RecordingDamaged
from recgate.recording.cbor import Fields, as_list, decode_strict, encode

__all__ = [
    "HEADER_TYPE",
    "SEAL_TYPE",
    "Signed",
    "SigningKey",
    "key_id",
    "public_bytes",
    "read_signed",
    "sign",
]

HEADER_TYPE: Final = "application/vnd.recgate.header+cbor"
SEAL_TYPE: Final = "application/vnd.recgate.seal+cbor"

_TAG_SIGN1: Final = 18  # RFC 9052 §2
_ALG, _CONTENT_TYPE, _KID = 1, 3, 4  # RFC 9052 §3.1
_EDDSA: Final = -8  # RFC 9053 §2.2


class SigningKey(Protocol):
    """An Ed25519 key that signs, wherever it rests: an `Ed25519PrivateKey`, or one that never leaves its store."""

    def sign(self, data: bytes, /) -> bytes:
        """Sign (RFC 8032). One that is elsewhere raises `RecordingFailed` when it cannot be had now."""
        ...

    def public_key(self) -> Ed25519PublicKey:
        """Give the public half. Asks nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """A COSE_Sign1 taken apart. `payload` may be believed only after `verify`."""

    key_id: bytes
    payload: bytes
    signed: bytes
    signature: bytes

    def verify(self, public: bytes) -> bool:
        """Tell whether `public` (32 bytes) made this signature."""
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.signature, self.signed)
        except (InvalidSignature, ValueError):
            return False
        return True


def public_bytes(key: SigningKey) -> bytes:
    """Give the raw 32 bytes of a private key's public half."""
    return key.public_key().public_bytes_raw()


def key_id(public: bytes) -> bytes:
    """Name an identity key: SHA-256 of its 32 bytes."""
    return hashlib.sha256(public).digest()


def sign(key: SigningKey, content_type: str, payload: bytes, *, named: bool) -> cbor2.CBORTag:
    """Sign `payload`. `named` puts the key's id beside it: for identity keys, which are found by it."""
    header: dict[int, object] = {_ALG: _EDDSA, _CONTENT_TYPE: content_type}
    if named:
        header[_KID] = key_id(public_bytes(key))
    protected = encode(header)
    return cbor2.CBORTag(_TAG_SIGN1, [protected, {}, payload, key.sign(_to_be_signed(protected, payload))])


def read_signed(value: object, content_type: str) -> Signed:
    """Take a decoded COSE_Sign1 apart without believing it.

    Raises:
        RecordingDamaged: it has another shape, algorithm or content type than this format.
    """
    if not isinstance(value, cbor2.CBORTag) or value.tag != _TAG_SIGN1:
        raise RecordingDamaged("a signed item is not a COSE_Sign1")
    content: object = value.value
    # What stands in a tag is decoded to immutable types.
    parts = list(cast("tuple[object, ...]", content)) if isinstance(content, tuple) else content
    protected, unprotected, payload, signature = as_list(parts, "a COSE_Sign1", 4)
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise RecordingDamaged("a COSE_Sign1 has parts of other types")
    if not isinstance(unprotected, Mapping) or unprotected:
        raise RecordingDamaged("a COSE_Sign1 has an unprotected header, which nobody signed")
    header = Fields(decode_strict(protected, "a protected header"), "a protected header")
    if header.take(_ALG) != _EDDSA or header.take(_CONTENT_TYPE) != content_type:
        raise RecordingDamaged(f"a signature is not EdDSA over {content_type}")
    kid = header.bytes(_KID, 32) if header.has(_KID) else b""
    header.done()
    return Signed(kid, payload, _to_be_signed(protected, payload), signature)


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    # Sig_structure, RFC 9052 §4.4, with no external data.
    return encode(["Signature1", protected, b"", payload])
