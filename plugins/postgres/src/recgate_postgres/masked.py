"""What the target says to a client that may not see all of it: whole messages only, masked before anything has them.

The usual half (`backend`) walks over what comes and keeps its books; this one stands in front of it, hands it whole
messages, and masks what it gives out. So what is recorded is what is sent, and a value that is split over reads is
looked at when it is whole. A masker's doubt ends that result with an error, and the session goes on behind it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

import cbor2

from recgate.errors import RemoteProtocolError
from recgate.mask.masking import MaskFailed, Masking
from recgate.sansio.asks import NEED_DATA, NeedData, PeerClosed
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame
from recgate_postgres.backend import KIND, MAX_SIGNED, Backend
from recgate_postgres.cutting import ROWS
from recgate_postgres.encodings import ascii_safe
from recgate_postgres.fronting import Front
from recgate_postgres.maskfound import Found
from recgate_postgres.maskmessages import Messages
from recgate_postgres.messages import HEADER, error_response, message
from recgate_postgres.origin.outcomes import Plan
from recgate_postgres.refusals import error_text
from recgate_postgres.shapes import Shapes

__all__ = ["MASK", "MAX_LOOKED", "MaskedBackend"]

MASK: Final = "mask"  # the kind of a frame that says what was masked, which goes nowhere
MAX_LOOKED: Final = (
    16 * 1024 * 1024
)  # bytes of one message that is held until it is whole; a longer row is withheld
SYSTEM_ERROR: Final = "58000"

_ERROR, _READY, _COPY_IN, _COPY_BOTH, _STATUS, _NOTICE = b"EZGWSN"
_Cut = tuple[list[int], list[int]]
# What passes while a result is withheld: what is no part of it, and its end.
_PASSES: Final = frozenset(b"ZNAS")


class MaskedBackend(Front[Backend]):
    """The target's half of an open session with masks; reads go in by `receive`, frames come out of `event`."""

    __slots__ = (
        "_buffer",
        "_drop",
        "_eof",
        "_judge",
        "_messages",
        "_need",
        "_out",
        "_session_id",
        "_shapes",
        "_withholding",
        "masking",
    )

    def __init__(self, inner: Backend, masking: Masking, session_id: str) -> None:
        """With `inner.names.judge` the columns that it says are hidden as well."""
        self.masking = masking
        super().__init__(inner)
        self._session_id = session_id
        self._judge = inner.names.judge
        if self._judge is None:
            self._shapes = Shapes()
            self._messages = Messages(masking, self._shapes)
        else:
            self._shapes = Shapes(origins=True)
            self._messages = Messages(masking, self._shapes, self._judge.holds)
        self._buffer: bytes | bytearray = b""
        self._need = 5  # bytes without which nothing whole can be there
        self._drop = 0  # bytes to come of a message that is withheld for its length
        self._out: deque[Frame] = deque()
        self._withholding = False  # the rest of a result, up to its ReadyForQuery
        self._eof = False

    # -- what relays ask of a backend ------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the target is gone, and everything before that has been given out."""
        return self._inner.closed and not self._out

    @property
    def skip(self) -> int:
        """Bytes to come of a message that has gone out in part: none, ever."""
        return 0

    def asked(self, data: bytes, plan: Plan | None = None) -> None:
        """Hear what goes to the target, with the plan of the request in it."""
        self._shapes.asked(data, plan)

    def receive(self, data: bytes) -> None:
        """Buffer a read; `b""` is EOF."""
        if not data:
            self._eof = True
            return
        if self._drop:
            gone = min(self._drop, len(data))
            self._drop -= gone
            data = data[gone:]
            if not data:
                return
        buffer = self._buffer
        if not buffer:
            self._buffer = data
        else:
            if isinstance(buffer, bytes):
                buffer = self._buffer = bytearray(buffer)
            buffer += data

    def unfinished(self) -> tuple[int, bytes]:
        """Give up what is here of a message whose end is not; and say how much is owed of one that is dropped."""
        begun = bytes(self._buffer)
        self._buffer, self._need = b"", 5
        return self._drop, begun

    def event(self) -> Frame | PeerClosed | NeedData:
        """Give the next frame. Raises `RemoteProtocolError`."""
        while not self._out:
            if len(self._buffer) >= self._need:
                self._take()
            elif self._eof and not self._inner.closed:
                self._buffer = b""  # what is cut off is nobody's to see
                self._inner.receive(b"")
                return self._inner.event()
            else:
                return NEED_DATA
        frame = self._out.popleft()
        frame.last = not self._out and not self._eof and len(self._buffer) < self._need
        return frame

    # -- whole messages ----------------------------------------------------------------------------------------------

    def _take(self) -> None:
        """Hand on the messages that are here in whole; keep the rest, or give it up where it is too long to keep."""
        buffer = self._buffer = bytes(self._buffer)
        cut = _cut(buffer)
        position = cut[0][-1]
        rest = self._buffer = buffer[position:]
        self._need = 1 + HEADER(rest, 0)[1] if len(rest) >= 5 else 5
        if position:
            self._inner.receive(buffer[:position] if rest else buffer)
            self._pass_on(cut)
        if self._need - 1 > MAX_LOOKED:
            self._give_up(rest)

    def _give_up(self, rest: bytes) -> None:
        """Withhold a message that is longer than what may be held."""
        if rest[0] not in ROWS:
            raise RemoteProtocolError("a message from the target is too long to be masked", hint="54000")
        self._drop = self._need - len(rest)
        self._buffer = b""
        self._need = 5
        self._withhold(f"a row of {len(rest) + self._drop} bytes is too long to be masked")

    def _pass_on(self, cut: _Cut) -> None:
        inner = self._inner
        while isinstance(event := inner.event(), Frame):
            if event.side is UPSTREAM:
                data = event.data
                self._masked(data, cut if len(data) == cut[0][-1] else _cut(data))
            elif not self._withholding:
                # A refusal of ours, in the place of the target's error.
                self._shapes.answered(_ERROR, b"", inner.names.codec)
                self._out.append(event)

    def _masked(self, data: bytes, cut: _Cut) -> None:
        """Give out a read of whole messages, masked; stop at what no masker vouches for."""
        found = Found(keeps=self.masking.keeps)
        parts: list[bytes] = []
        kept = 0  # offset up to which `parts` say what goes on
        try:
            self._messages.begin(data)
        except MaskFailed as exc:
            self._withhold(str(exc))
        starts, others = cut
        at, end = 0, len(starts) - 1
        while (at := self._next(starts, others, at)) < end:
            position, after = starts[at], starts[at + 1]
            kind = data[position]
            at += 1
            try:
                new = self._message(kind, data, position, after, found)
            except MaskFailed as exc:
                parts.append(data[kept:position])
                kept = after
                self._flush(parts, found)
                self._withhold(str(exc))
                self._note(kind, data[position + 5 : after])
                continue
            if new is not None:
                parts += data[kept:position], new
                kept = after
        if kept:
            parts.append(data[kept:])
        else:
            parts = [data]
        self._flush(parts, found)

    def _next(self, starts: list[int], others: list[int], at: int) -> int:
        """Give the number of the next message that must be looked at, from the `at`th on."""
        other = others[bisect_left(others, at)]
        if at == other or self._withholding:
            return at
        calm = self._messages.calm(starts[at])
        return max(at, bisect_right(starts, calm, at, other + 1) - 1) if calm else at

    def _message(self, kind: int, data: bytes, position: int, after: int, found: Found) -> bytes | None:
        """Give what goes on in the place of a message, None where it stays as it is. Raises `MaskFailed`."""
        if kind not in ROWS:
            return self._other(kind, data, position, after, found)
        if self._withholding:
            return b""
        messages = self._messages
        return (
            messages.masked(kind, data, position, after, found) if messages.touched(position, after) else None
        )

    def _other(self, kind: int, data: bytes, position: int, after: int, found: Found) -> bytes | None:
        """Handle what is no row: None where it goes on as it is."""
        if kind == _COPY_BOTH:
            raise RemoteProtocolError("a replication stream cannot be masked", hint="0A000")
        new: bytes | None = None
        messages = self._messages
        if kind in (_ERROR, _NOTICE) and self._judge is not None:
            new = messages.report(data, position, after)
        if new is not None and self.masking.looks:
            new = messages.masked(kind, new, 0, len(new), found) or new
        elif new is None and kind in Messages.TEXTS and messages.touched(position, after):
            new = messages.masked(kind, data, position, after, found)
        body = data[position + 5 : after] if new is None else new[5:]
        self._note(kind, body)
        if kind == _STATUS:
            self._check_encoding(body)
        if self._withholding:
            if kind == _COPY_IN:
                # Nobody will send what the target waits for: the client believes that all this has failed.
                gone = message(b"f", b"the result before it was withheld\0")
                self._out.append(Frame(GATEWAY, "F", gone, 0, None, UPSTREAM))
            if kind == _READY:
                self._withholding = False
            elif kind not in _PASSES:
                return b""
        return new

    def _note(self, kind: int, body: bytes) -> None:
        self._shapes.answered(kind, body, self._inner.names.codec)
        done = self._shapes.done
        if done is not None and done.made and self._judge is not None:
            self._judge.made(done)

    def _check_encoding(self, body: bytes) -> None:
        name, _, value = body.rstrip(b"\0").partition(b"\0")
        if name == b"client_encoding" and not ascii_safe(value, utf8=not self.masking.ascii):
            said = value.decode("ascii", "replace")
            raise RemoteProtocolError(
                f"masks cannot look into client_encoding {said}: set it to UTF8", hint="0A000"
            )

    def _flush(self, parts: list[bytes], found: Found) -> None:
        data = b"".join(parts)
        parts.clear()
        if data:
            self._out.append(Frame(UPSTREAM, KIND, data))
        for (rule, place), count in found.items():
            kept = found.kept(rule, place)
            body = cbor2.dumps({"rule": rule, "place": place, "count": count, **kept.facts()})
            self._out.append(Frame(GATEWAY, MASK, body, kept=tuple(kept.values)))
        found.clear()

    def _withhold(self, reason: str) -> None:
        """End the result that comes with an error; what is left of it goes nowhere."""
        if self._withholding:
            return
        self._withholding = True
        text = error_text(f"{reason}; the rest of this result is withheld", "", self._session_id)
        words = error_response(SYSTEM_ERROR, text, encoding=self._inner.names.codec)
        self._out.append(Frame(GATEWAY, KIND, words, 0, None, CLIENT))


def _cut(data: bytes) -> _Cut:
    """Give where each whole message begins, and where the last one ends; and the numbers of those that are no rows.

    The end counts among these, so that there is always one more.
    """
    header = HEADER
    starts: list[int] = []
    others: list[int] = []
    begins = starts.append
    position, end, length = 0, len(data), 0
    last = end - 5
    while position <= last:
        kind, length = header(data, position)
        begins(position)
        position += 1 + length
        if kind not in ROWS:
            others.append(len(starts) - 1)
        if length < 4:
            raise RemoteProtocolError("invalid message length from the target", hint="08P01")
    if position > end:
        position = starts.pop()
        if length > MAX_SIGNED:
            raise RemoteProtocolError("invalid message length from the target", hint="08P01")
        if others and others[-1] == len(starts):
            others.pop()
    begins(position)
    others.append(len(starts) - 1)
    return starts, others
