"""The key of sealed originals: k of n people open it together, each after the gateway has put their act on record.

K' is split (Shamir), and each share is sealed to one person. Inside of that it is hidden by a *permit* of the
gateway's for that person, segment and session: so a private key alone does not give the share, and whoever comes for
the permit is named in the ledger. The commitment tells whose share is wrong, if one is.

    original-wraps = [] / [threshold, [+ share-wrap]]
    share-wrap     = [kind, recipient-id, sealed, SHA-256("recgate share v1" ‖ context ‖ share)]
    share          = threshold ‖ place ‖ value (32)
    sealed to HPKE = nonce (16) ‖ (share XOR HKDF-SHA256(permit, salt nonce, "recgate hidden share v1" ‖ context, 34))
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recgate.errors import AccessDenied, RecordingDamaged, RecordingSealed
from recgate.model import Secret
from recgate.recipients.keys import Identity, NotOpened, Recipient
from recgate.recipients.shamir import combine, split
from recgate.recipients.wrapping import KEY_BYTES, ORIGINALS, ContentCipher, Context
from recgate.recording.cbor import as_list

__all__ = [
    "MAX_HOLDERS",
    "MIN_THRESHOLD",
    "Escrow",
    "Escrowed",
    "EscrowedKey",
    "Share",
    "ShareWrap",
    "joined",
    "opened",
    "permit_of",
    "read_escrowed",
]

MIN_THRESHOLD: Final = 2  # one person alone never
MAX_HOLDERS: Final = 16
MAX_SEALED: Final = 2048  # bytes, as of other wraps
SHARE_BYTES: Final = 2 + KEY_BYTES
NONCE_BYTES: Final = 16

_COMMITMENT: Final = b"recgate share v1"
_HIDDEN: Final = b"recgate hidden share v1"
_PERMIT: Final = b"recgate permit v1"
_ID: Final = 32


@dataclass(frozen=True, slots=True)
class ShareWrap:
    """One person's share as it stands in a segment."""

    kind: int
    recipient: bytes
    sealed: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Escrowed:
    """What a segment says of the key of its originals: how many people it takes, and what is sealed to whom."""

    threshold: int
    wraps: tuple[ShareWrap, ...]

    def to_cbor(self) -> list[object]:
        """Give the array that stands in the opening of a segment."""
        wraps = [[each.kind, each.recipient, each.sealed, each.commitment] for each in self.wraps]
        return [self.threshold, wraps]


EscrowedKey = tuple[ContentCipher, Escrowed]


@dataclass(frozen=True, slots=True)
class Share:
    """One person's share of one segment's key, opened."""

    threshold: int
    place: int
    value: Secret

    def encode(self) -> bytes:
        """Give `SHARE_BYTES` bytes."""
        return bytes((self.threshold, self.place)) + self.value.reveal()

    @classmethod
    def decode(cls, data: bytes) -> Share:
        """Read it back. Raises `ValueError`."""
        if len(data) != SHARE_BYTES or data[0] < MIN_THRESHOLD or not data[1]:
            raise ValueError("is no share")
        return cls(data[0], data[1], Secret(data[2:]))


@dataclass(frozen=True, slots=True)
class Escrow:
    """Who opens originals: any `threshold` of `holders`. `key` (32 bytes) is what the gateway's permits come from."""

    holders: tuple[Recipient, ...]
    threshold: int
    key: Secret

    @classmethod
    def told(cls, facts: object) -> Escrow | None:
        """Read it from what the sealing worker is told first; None where originals are not kept. Raises `BadText`."""
        if not isinstance(facts, dict):
            return None
        said = cast("dict[str, object]", facts)
        holders = tuple(Recipient.parse(text) for text in cast("list[str]", said["holders"]))
        return cls(holders, cast("int", said["threshold"]), Secret(cast("bytes", said["permits"])))

    def made(self, session: bytes, segment: int, erasure: Secret) -> EscrowedKey:
        """Make a key for the originals of one segment that nobody has alone; `erasure` is the session's."""
        context = Context(session, segment, ORIGINALS)
        secret = Secret(secrets.token_bytes(KEY_BYTES))
        values = split(secret.reveal(), self.threshold, len(self.holders))
        wraps: list[ShareWrap] = []
        for holder, (place, value) in zip(self.holders, values.items(), strict=True):
            share = Share(self.threshold, place, Secret(value)).encode()
            permit = permit_of(self.key, context, holder.id)
            nonce = secrets.token_bytes(NONCE_BYTES)
            sealed = holder.seal(nonce + _hidden(share, permit, nonce, context), context.info)
            wraps.append(ShareWrap(holder.kind, holder.id, sealed, _commitment(share, context)))
        return ContentCipher(secret, erasure, context), Escrowed(self.threshold, tuple(wraps))


def permit_of(key: Secret, context: Context, holder: bytes) -> Secret:
    """Give the permit for one person and one segment. Whoever hands it out puts it on record first."""
    return Secret(hmac.digest(key.reveal(), _PERMIT + context.raw + holder, "sha256"))


def opened(escrowed: Escrowed, context: Context, identity: Identity, permit: Secret) -> Share:
    """Open the share of one person.

    Raises:
        RecordingSealed: it is not sealed to that identity.
        RecordingDamaged: what is sealed to it does not open with it.
        AccessDenied: the permit is another person's, segment's or gateway's.
    """
    wrap = _wrap_of(escrowed, identity.recipient.id)
    try:
        sealed = identity.open(wrap.sealed, context.info).reveal()
    except NotOpened:
        raise RecordingDamaged(
            f"the share of {identity.recipient.text[:16]}… does not open with its key: it was altered"
        ) from None
    if len(sealed) != NONCE_BYTES + SHARE_BYTES:
        raise RecordingDamaged("what is sealed to its holder is no share")
    nonce, hidden = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    share = _hidden(hidden, permit, nonce, context)
    if not hmac.compare_digest(_commitment(share, context), wrap.commitment):
        raise AccessDenied(
            "the permit does not fit: it is for another person, or for another part of the recording; "
            "get one with `recgate unseal SESSION --entry N --holder rgpub1… --why …` on the gateway"
        )
    return _decoded(share)


def joined(
    escrowed: Escrowed, context: Context, shares: Sequence[tuple[bytes, Share]], erasure: Secret
) -> ContentCipher:
    """Give what decrypts the originals, from shares by the ids of their holders.

    Raises:
        AccessDenied: they are too few, two are one person's, or one is not what was sealed to its holder.
    """
    for holder, share in shares:
        wrap = _wrap_of(escrowed, holder)
        if not hmac.compare_digest(_commitment(share.encode(), context), wrap.commitment):
            raise AccessDenied(
                f"the share of holder {holder.hex()[:16]}… is not what was sealed to them: it was altered, "
                "or is for another part of the recording"
            )
    if len({holder for holder, _ in shares}) != len(shares):
        raise AccessDenied("two of the shares are one person's; unsealing takes different people")
    if len(shares) < escrowed.threshold:
        raise AccessDenied(
            f"unsealing takes {escrowed.threshold} people, and here are shares of {len(shares)}"
        )
    secret = combine({share.place: share.value.reveal() for _, share in shares[: escrowed.threshold]})
    return ContentCipher(Secret(secret), erasure, context)


def read_escrowed(value: object, what: str) -> Escrowed | None:
    """Take `original-wraps` from what anybody may have written; None for an empty one.

    Raises:
        RecordingDamaged: it is no such thing.
    """
    items = as_list(value, what)
    if not items:
        return None
    threshold, wraps = as_list(items, what, 2)
    found = tuple(_read_wrap(each, what) for each in as_list(wraps, what)[: MAX_HOLDERS + 1])
    if type(threshold) is not int or not MIN_THRESHOLD <= threshold <= len(found) <= MAX_HOLDERS:
        raise RecordingDamaged(f"{what} name no number of people that there are")
    if len({each.recipient for each in found}) != len(found):
        raise RecordingDamaged(f"{what} name a holder twice")
    return Escrowed(threshold, found)


def _read_wrap(value: object, what: str) -> ShareWrap:
    kind, recipient, sealed, commitment = as_list(value, f"one of {what}", 4)
    if (
        type(kind) is not int
        or kind < 0
        or any(type(each) is not bytes for each in (recipient, sealed, commitment))
        or len(cast("bytes", recipient)) != _ID
        or len(cast("bytes", commitment)) != _ID
        or len(cast("bytes", sealed)) > MAX_SEALED
    ):
        raise RecordingDamaged(f"one of {what} is not [kind, recipient, sealed share, commitment]")
    return ShareWrap(kind, cast("bytes", recipient), cast("bytes", sealed), cast("bytes", commitment))


def _wrap_of(escrowed: Escrowed, holder: bytes) -> ShareWrap:
    for wrap in escrowed.wraps:
        if wrap.recipient == holder:
            return wrap
    raise RecordingSealed(
        f"its originals are sealed to {len(escrowed.wraps)} people, {escrowed.threshold} of whom open them, and "
        f"{holder.hex()[:16]}… is none of them"
    )


def _decoded(share: bytes) -> Share:
    try:
        return Share.decode(share)
    except ValueError:
        raise RecordingDamaged("what is sealed to its holder is no share") from None


def _hidden(share: bytes, permit: Secret, nonce: bytes, context: Context) -> bytes:
    """Hide a share, or show it again."""
    pad = HKDF(SHA256(), SHARE_BYTES, salt=nonce, info=_HIDDEN + context.raw).derive(permit.reveal())
    return bytes(one ^ other for one, other in zip(share, pad, strict=True))


def _commitment(share: bytes, context: Context) -> bytes:
    return hashlib.sha256(_COMMITMENT + context.raw + share).digest()
