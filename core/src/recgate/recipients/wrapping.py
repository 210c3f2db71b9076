"""A segment's content key: made, wrapped to every recipient, and derived again by whoever may.

K = HKDF-SHA256(K', salt E, "recgate content key v1" ‖ context). K' is random and sealed to the recipients; E, the
session's erasure key, is in no recording. So reading takes a recipient's private key *and* E, and destroying E makes
every copy unreadable. The context (session, segment, kind of block) is in each step: nothing fits elsewhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recgate.errors import RecordingDamaged
from recgate.model import Secret
from recgate.recipients.keys import Recipient
from recgate.recording.cbor import as_list

__all__ = [
    "KEY_BYTES",
    "MAX_RECIPIENTS",
    "ORIGINALS",
    "SEEN",
    "TAG_BYTES",
    "ContentCipher",
    "Context",
    "Wrap",
    "WrappedKey",
    "read_wraps",
    "wrapped_key",
]

MAX_RECIPIENTS: Final = 32  # a wrap of kind 2 takes 1.2 KB in every segment
MAX_SEALED: Final = 2048  # bytes; 1168 of kind 2 are the most that this version knows
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16

# Kinds of blocks: what was seen, and the originals that masks removed.
SEEN: Final = 2
ORIGINALS: Final = 4

_SEAL_INFO: Final = b"recgate segment v1"
_KEY_INFO: Final = b"recgate content key v1"
_ID: Final = 32


@dataclass(frozen=True, slots=True)
class Context:
    """What a content key is for: blocks of one kind in one segment of one session (16 bytes)."""

    session: bytes
    segment: int
    kind: int = SEEN

    @property
    def raw(self) -> bytes:
        """session ‖ segment (8 bytes, big-endian) ‖ kind (1 byte)."""
        return self.session + self.segment.to_bytes(8, "big") + bytes([self.kind])

    @property
    def info(self) -> bytes:
        """What a wrap is bound to. It is HPKE's `info`, which its key schedule covers as it does `aad`."""
        return _SEAL_INFO + self.raw


@dataclass(frozen=True, slots=True)
class Wrap:
    """K' for one recipient, named by the 32 bytes of its id."""

    kind: int
    recipient: bytes
    sealed: bytes

    def to_cbor(self) -> list[object]:
        """Give the array that stands in the opening of a segment."""
        return [self.kind, self.recipient, self.sealed]


class ContentCipher:
    """AES-256-GCM under K. Encrypts each number once only: one key, one content."""

    __slots__ = ("_aead", "_context", "_prefix")

    def __init__(self, secret: Secret, erasure: Secret, context: Context) -> None:
        """Derive K from K' and E."""
        info = _KEY_INFO + context.raw
        key = HKDF(SHA256(), KEY_BYTES, salt=erasure.reveal(), info=info).derive(secret.reveal())
        self._aead = AESGCM(key)
        self._context = context.raw
        self._prefix = bytes([context.kind])

    def encrypt(self, number: int, data: bytes) -> bytes:
        """Encrypt block `number`. It grows by `TAG_BYTES`."""
        return self._aead.encrypt(self._nonce(number), data, self._context)

    def decrypt(self, number: int, data: bytes | memoryview) -> bytes:
        """Decrypt block `number`. Raises `RecordingDamaged` when it is not what was encrypted there."""
        try:
            return self._aead.decrypt(self._nonce(number), data, self._context)
        except InvalidTag:
            raise RecordingDamaged(
                "it does not decrypt: it was altered, or the erasure key is another recording's"
            ) from None

    def _nonce(self, number: int) -> bytes:
        return self._prefix + number.to_bytes(11, "big")


WrappedKey = tuple[ContentCipher, tuple[Wrap, ...]]


def wrapped_key(context: Context, recipients: Sequence[Recipient], erasure: Secret) -> WrappedKey:
    """Make a content key that nobody else has, and wrap it to each recipient."""
    secret = Secret(secrets.token_bytes(KEY_BYTES))
    wraps = tuple(
        Wrap(recipient.kind, recipient.id, recipient.seal(secret.reveal(), context.info))
        for recipient in recipients
    )
    return ContentCipher(secret, erasure, context), wraps


def read_wraps(value: object, what: str) -> tuple[Wrap, ...]:
    """Take wraps from what anybody may have written; a kind that is not known here is kept, and opened by nobody.

    Raises:
        RecordingDamaged: they are not wraps, too many, or name one recipient twice.
    """
    items = as_list(value, what)
    if len(items) > MAX_RECIPIENTS:
        raise RecordingDamaged(f"{what} are {len(items)}, and the limit is {MAX_RECIPIENTS}")
    wraps = tuple(_read_wrap(item, what) for item in items)
    if len({wrap.recipient for wrap in wraps}) != len(wraps):
        raise RecordingDamaged(f"{what} name a recipient twice")
    return wraps


def _read_wrap(value: object, what: str) -> Wrap:
    kind, recipient, sealed = as_list(value, f"one of {what}", 3)
    if (
        type(kind) is not int
        or kind < 0
        or type(recipient) is not bytes
        or len(recipient) != _ID
        or type(sealed) is not bytes
        or len(sealed) > MAX_SEALED
    ):
        raise RecordingDamaged(f"one of {what} is not [kind, recipient, sealed key]")
    return Wrap(kind, recipient, sealed)
