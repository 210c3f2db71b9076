"""Cancelling: the keys that clients get are the gateway's own, and the target's stay here (55.2.8).

The key a client gets is its process id (the worker's number above 24 random bits) and its secret: four bytes
in protocol 3.0, thirty-two in 3.2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from recgate.decisions import Decision
from recgate.errors import LocalProtocolError
from recgate.model import TargetInfo
from recgate.sansio.asks import NEED_DATA, Ask, Denied, Event, NeedData, Paused, PeerClosed, Reply
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Side
from recgate_postgres.messages import CANCEL_REQUEST
from recgate_postgres.outbox import Outbox
from recgate_postgres.target_login import TargetTls

__all__ = ["CancelRelay", "new_cancel_key"]

SHORT_KEY: Final = 4
LONG_KEY: Final = 32


def new_cancel_key(minor: int, token_bytes: Callable[[int], bytes], worker: int = 0) -> bytes:
    """Make a key: process id and secret, as BackendKeyData carries them.

    Process ids are positive, as clients expect. `worker` is 0 to 127.
    """
    process_id = worker << 24 | int.from_bytes(token_bytes(3))
    return struct.pack("!I", process_id) + token_bytes(LONG_KEY if minor >= 2 else SHORT_KEY)


class CancelRelay:
    """A relay with an upstream side only: TLS if the target wants it, the cancel request, and then its close."""

    def __init__(self, target: TargetInfo, key: bytes) -> None:
        self._outbox = Outbox()
        self._tls = TargetTls(target, self._outbox)
        self._key = key
        self._sent = False
        self._closed = False
        if self._tls.done:
            self._request()

    def _request(self) -> None:
        self._sent = True
        self._outbox.upstream.append(struct.pack("!II", 8 + len(self._key), CANCEL_REQUEST) + self._key)

    def receive_data(self, side: Side, data: bytes) -> None:
        """Buffer a read. What a target says to a cancel request means nothing, so it is not kept."""
        if side is UPSTREAM and not (data and self._sent):
            self._tls.reader.feed(data)

    def next_event(self, side: Side) -> Event | NeedData | Paused:
        """Give StartTls, or PeerClosed when the target has closed, which says that it has done what it will do."""
        if side is CLIENT:
            return NEED_DATA
        step = self._tls.event()
        if step is not None:
            return step
        if not self._sent:
            self._request()
        if self._tls.reader.eof and not self._closed:
            self._closed = True
            return PeerClosed(UPSTREAM)
        return NEED_DATA

    def answer(self, ask: Ask, reply: Reply) -> None:
        """End the pause that StartTls began."""
        self._tls.answer(ask, reply)
        if self._tls.done and not self._sent:
            self._request()

    def send(self, frame: Frame) -> None:
        """A cancel request has no frames."""
        raise LocalProtocolError("a cancel request has no frames")

    def refuse(self, frame: Frame, decision: Decision) -> Sequence[Frame]:
        """A cancel request has no frames."""
        raise LocalProtocolError("a cancel request has no frames")

    def notice(self, text: str) -> Frame | None:
        """Nobody listens."""
        return None

    def farewell(self, denied: Denied) -> Frame | bytes | None:
        """Nobody listens."""
        return None

    def data_to_send(self, side: Side) -> Sequence[bytes]:
        """Take the bytes for the target."""
        if side is CLIENT:
            return ()
        taken, self._outbox.upstream = self._outbox.upstream, []
        return taken
