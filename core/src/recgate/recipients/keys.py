"""The two halves of an auditor's key: the recipient that a gateway seals to, and the identity that it never has.

Kind 1 is X25519. Kind 2 is X25519 together with ML-KEM-768 (X-Wing), which a recording that must stay secret for
longer than today's mathematics holds is sealed to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from recgate.model import Secret
from recgate.recipients.bech import BadText, decode, encode

__all__ = ["HYBRID", "PRIVATE_PREFIX", "PUBLIC_PREFIX", "X25519", "Identity", "NotOpened", "Recipient"]

X25519: Final = 1
HYBRID: Final = 2
PUBLIC_PREFIX: Final = "rgpub"
PRIVATE_PREFIX: Final = "rgkey"

_PUBLIC_BYTES: Final = {X25519: 32, HYBRID: 1184 + 32}
_PRIVATE_BYTES: Final = {X25519: 32, HYBRID: 64 + 32}  # ML-KEM's seed (FIPS 203 §7.1: d ‖ z), then X25519
_KEM: Final = {X25519: KEM.X25519, HYBRID: KEM.MLKEM768_X25519}
_SUITES: Final = {kind: Suite(kem, KDF.HKDF_SHA256, AEAD.AES_256_GCM) for kind, kem in _KEM.items()}
_POINT: Final = 32


class NotOpened(Exception):
    """What was sealed is not for this identity, not for this context, or was altered. HPKE does not tell which."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """The public half. `raw` is the X25519 point, with the ML-KEM-768 encapsulation key before it for kind 2."""

    kind: int
    raw: bytes

    def __post_init__(self) -> None:
        """Refuse what nothing can be sealed to. Raises `BadText`."""
        if self.kind not in _PUBLIC_BYTES:
            raise BadText(f"is of kind {self.kind}, which this version does not know; update recgate")
        if len(self.raw) != _PUBLIC_BYTES[self.kind]:
            raise BadText(f"has {len(self.raw)} bytes where kind {self.kind} has {_PUBLIC_BYTES[self.kind]}")
        try:
            self.seal(b"", b"")
        except ValueError:
            # A point of small order gives a shared key that everybody knows.
            raise BadText("is no public key: nothing that is sealed to it would be secret") from None

    @classmethod
    def parse(cls, text: str) -> Recipient:
        """Read `rgpub1…`. Raises `BadText`, which never repeats the text."""
        prefix, data = decode(text.strip())
        if prefix == PRIVATE_PREFIX:
            raise BadText(
                "is a PRIVATE key, which must never be on a gateway: take it away and make a new pair with "
                "`recgate auditor new`"
            )
        if prefix != PUBLIC_PREFIX or not data:
            raise BadText(f"is not a public key of an auditor ({PUBLIC_PREFIX}1…)")
        return cls(data[0], data[1:])

    @property
    def text(self) -> str:
        """How it is written: `rgpub1…`."""
        return encode(PUBLIC_PREFIX, bytes([self.kind]) + self.raw)

    @property
    def id(self) -> bytes:
        """The 32 bytes that name it in recordings."""
        return hashlib.sha256(self.raw + bytes([self.kind])).digest()

    def seal(self, secret: bytes, info: bytes) -> bytes:
        """Encrypt to it (RFC 9180, base mode, HKDF-SHA256, AES-256-GCM): enc ‖ ciphertext, other bytes every time."""
        point = X25519PublicKey.from_public_bytes(self.raw[-_POINT:])
        if self.kind == X25519:
            return _SUITES[self.kind].encrypt(secret, point, info=info)
        lattice = MLKEM768PublicKey.from_public_bytes(self.raw[:-_POINT])
        return _SUITES[self.kind].encrypt(secret, MLKEM768X25519PublicKey(lattice, point), info=info)


@dataclass(frozen=True, slots=True)
class Identity:
    """The private half. `secret` is X25519's, with ML-KEM's seed before it for kind 2."""

    kind: int
    secret: Secret

    def __post_init__(self) -> None:
        """Refuse what is no private key. Raises `BadText`."""
        if self.kind not in _PRIVATE_BYTES:
            raise BadText(f"is of kind {self.kind}, which this version does not know; update recgate")
        if len(self.secret.reveal()) != _PRIVATE_BYTES[self.kind]:
            raise BadText(f"is not as long as a private key of kind {self.kind}")

    @classmethod
    def generate(cls, kind: int = X25519) -> Identity:
        """Make a new one."""
        secret = X25519PrivateKey.generate().private_bytes_raw()
        if kind == HYBRID:
            secret = MLKEM768PrivateKey.generate().private_bytes_raw() + secret
        return cls(kind, Secret(secret))

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read `rgkey1…`. Raises `BadText`, which never repeats the text."""
        prefix, data = decode(text.strip())
        if prefix == PUBLIC_PREFIX:
            raise BadText("is a public key; reading takes the private one")
        if prefix != PRIVATE_PREFIX or not data:
            raise BadText(f"is not a private key of an auditor ({PRIVATE_PREFIX}1…)")
        return cls(data[0], Secret(data[1:]))

    @property
    def text(self) -> Secret:
        """How it is written: `rgkey1…`."""
        return Secret(encode(PRIVATE_PREFIX, bytes([self.kind]) + self.secret.reveal()))

    @property
    def recipient(self) -> Recipient:
        """Its public half."""
        point = self._point().public_key().public_bytes_raw()
        lattice = self._lattice().public_key().public_bytes_raw() if self.kind == HYBRID else b""
        return Recipient(self.kind, lattice + point)

    def open(self, sealed: bytes, info: bytes) -> Secret:
        """Decrypt what was sealed to its recipient in this context. Raises `NotOpened`."""
        key = (
            self._point() if self.kind == X25519 else MLKEM768X25519PrivateKey(self._lattice(), self._point())
        )
        try:
            return Secret(_SUITES[self.kind].decrypt(sealed, key, info=info))
        except (InvalidTag, ValueError):
            raise NotOpened(f"not opened by the identity of {self.recipient.text[:16]}…") from None

    def _point(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.secret.reveal()[-_POINT:])

    def _lattice(self) -> MLKEM768PrivateKey:
        return MLKEM768PrivateKey.from_seed_bytes(self.secret.reveal()[:-_POINT])
