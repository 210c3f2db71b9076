"""Erasure keys on their way to an auditor: one file, sealed to that auditor's key.

file = ["recgate erasure keys", 1, kind: uint, recipient-id: bstr .size 32, sealed: bstr]
sealed = HPKE (info "recgate hand-over v1") of a CBOR array of [session: bstr .size 16, key: bstr .size 32]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

import cbor2

from recgate.errors import RecordingDamaged, RecordingSealed
from recgate.model import Secret
from recgate.recipients.keys import Identity, NotOpened, Recipient
from recgate.recipients.wrapping import KEY_BYTES
from recgate.recording.cbor import as_list, encode, loads

__all__ = ["MAX_HAND_OVER", "HandedOver", "pack", "unpack"]

MAX_HAND_OVER: Final = 256 << 20  # bytes: some four million sessions

_NAME: Final = "recgate erasure keys"
_VERSION: Final = 1
_INFO: Final = b"recgate hand-over v1"
_SESSION: Final = 16


class HandedOver:
    """Erasure keys that a gateway has handed over: an `ErasureSource`."""

    def __init__(self, keys: dict[bytes, Secret]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, session: bytes) -> Secret | None:
        """Give a session's key, or None if it was not handed over."""
        return self._keys.get(session)


def pack(keys: Iterable[tuple[bytes, Secret]], recipient: Recipient) -> bytes:
    """Seal the keys of sessions (16 bytes each) to a recipient."""
    content = encode([[session, key.reveal()] for session, key in keys])
    return encode([_NAME, _VERSION, recipient.kind, recipient.id, recipient.seal(content, _INFO)])


def unpack(data: bytes, identities: Sequence[Identity]) -> HandedOver:
    """Open what was handed over.

    Raises:
        RecordingSealed: it is for somebody else than these.
        RecordingDamaged: it is no such file, or was altered.
    """
    what = "the file of erasure keys"
    name, version, kind, recipient, sealed = as_list(loads(data, what, limit=MAX_HAND_OVER), what, 5)
    if name != _NAME or version != _VERSION or not isinstance(sealed, bytes):
        raise RecordingDamaged(f"{what} is not what `recgate auditor hand-over` makes")
    for identity in identities:
        if identity.recipient.id == recipient and identity.kind == kind:
            break
    else:
        raise RecordingSealed(f"{what} is for another auditor; give the --identity that it was made for")
    try:
        content = identity.open(sealed, _INFO)
    except NotOpened:
        raise RecordingDamaged(f"{what} was altered") from None
    pairs = as_list(_loaded(content), what)
    return HandedOver(dict(_pair(pair, what) for pair in pairs))


def _loaded(content: Secret) -> object:
    try:
        return cast("object", cbor2.loads(content.reveal(), max_depth=4))
    except (cbor2.CBORError, ValueError):
        # Without the decoder's words: they could repeat a part of a key.
        raise RecordingDamaged("what was handed over cannot be decoded") from None


def _pair(value: object, what: str) -> tuple[bytes, Secret]:
    session, key = as_list(value, what, 2)
    if type(session) is not bytes or type(key) is not bytes:
        raise RecordingDamaged(f"{what} holds something else")
    if len(session) != _SESSION or len(key) != KEY_BYTES:
        raise RecordingDamaged(f"{what} holds something else")
    return session, Secret(key)
