"""What a reader of sealed recordings holds: private keys of auditors, and where the erasure keys are."""

from __future__ import annotations

from collections.abc import Sequence

from recgate.errors import RecordingDamaged, RecordingSealed
from recgate.recipients.erasurekeys import ErasureSource
from recgate.recipients.keys import Identity, NotOpened
from recgate.recipients.wrapping import KEY_BYTES, ContentCipher, Context, Wrap

__all__ = ["NOBODY", "Keyring"]


class Keyring:
    """Opens content keys. Without identities it opens nothing, and says what is needed."""

    def __init__(
        self, identities: Sequence[Identity] = (), erasure: ErasureSource | None = None, where: str = ""
    ) -> None:
        """Take identities and erasure keys; `where` names the latter's file to people."""
        self._identities = {identity.recipient.id: identity for identity in identities}
        self._erasure = erasure
        self._where = where

    def __bool__(self) -> bool:
        return bool(self._identities)

    @property
    def erasure(self) -> ErasureSource | None:
        """Where the erasure keys are, if anybody said."""
        return self._erasure

    def cipher(self, context: Context, wraps: Sequence[Wrap]) -> ContentCipher:
        """Give what decrypts the blocks of `context`, whose content key is in one of `wraps`.

        Raises:
            RecordingSealed: nothing here opens it, or its erasure key is not here or destroyed; says what to do.
            RecordingDamaged: a wrap names an identity that is here, and does not open with it.
        """
        fitting = [
            (wrap, self._identities[wrap.recipient]) for wrap in wraps if wrap.recipient in self._identities
        ]
        if not fitting:
            raise RecordingSealed(_needed(len(wraps), bool(self._identities)))
        wrap, identity = fitting[0]
        try:
            secret = identity.open(wrap.sealed, context.info)
        except NotOpened:
            raise RecordingDamaged(
                f"its key does not open for {identity.recipient.text[:16]}…, to whom it says it is sealed"
            ) from None
        if len(secret.reveal()) != KEY_BYTES:
            raise RecordingDamaged("what is sealed to its auditors is no key")
        erasure = self._erasure.find(context.session) if self._erasure is not None else None
        if erasure is None:
            raise RecordingSealed(_without_erasure(self._where))
        return ContentCipher(secret, erasure, context)


def _needed(auditors: int, tried: bool) -> str:
    whom = "1 auditor" if auditors == 1 else f"{auditors} auditors"
    if tried:
        return f"sealed to {whom}, and to none of the identities given"
    return f"sealed to {whom}; read it with the private key of one: --identity KEY --store DIR"


def _without_erasure(where: str) -> str:
    if where:
        return f"{where} has no erasure key of it; ask the gateway's administrator for a newer one"
    return (
        "its erasure key is not here; say --erasure FILE, with the gateway's erasure.sqlite3 or what "
        "`recgate auditor hand-over` made"
    )


NOBODY = Keyring()
