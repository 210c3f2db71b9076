"""Whom a gateway seals to at the moment, and what it seals with."""

from __future__ import annotations

from collections.abc import Sequence

from recgate.recipients.erasurekeys import ErasureKeys
from recgate.recipients.escrow import Escrow, EscrowedKey
from recgate.recipients.keys import Recipient
from recgate.recipients.wrapping import Context, WrappedKey, wrapped_key

__all__ = ["Auditors"]


class Auditors:
    """The recipients of the next segments, and the erasure keys of their sessions.

    `escrow` says who opens originals together; None where these are not kept.
    """

    def __init__(
        self, erasure: ErasureKeys, recipients: Sequence[Recipient] = (), escrow: Escrow | None = None
    ) -> None:
        self.recipients = tuple(recipients)
        self._texts = tuple(recipient.text for recipient in recipients)
        self._erasure = erasure
        self.escrow = escrow

    def become(self, recipients: Sequence[str]) -> None:
        """Seal to these public keys from now on. Raises `BadText`, and then nothing has changed."""
        if tuple(recipients) != self._texts:
            self.recipients = tuple(Recipient.parse(text) for text in recipients)
            self._texts = tuple(recipients)

    def content_key(self, context: Context) -> WrappedKey | None:
        """Make a content key for one segment; None when there is nobody to seal to.

        Raises:
            RecordingFailed: the erasure key could not be made durable, so nothing may be sealed under it.
            RecordingSealed: it was destroyed.
        """
        if not self.recipients:
            return None
        return wrapped_key(context, self.recipients, self._erasure.of(context.session))

    def originals_key(self, session: bytes, segment: int) -> EscrowedKey | None:
        """Make a key for the originals of one segment; None where they are not kept. Raises as `content_key` does."""
        if self.escrow is None:
            return None
        return self.escrow.made(session, segment, self._erasure.of(session))
