"""What the target says once it has let us in: passed on read by read, with the few messages picked out that matter.

Those are: what confirms or skips a change of names, ReadyForQuery, COPY's start, parameters that say how text is
encoded, the cancel key (which is not the client's), and errors while a refusal awaits its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate.sansio.asks import NEED_DATA, NeedData, PeerClosed
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame
from recgate_postgres.messages import HEADER, MAX_SMALL
from recgate_postgres.names import Names
from recgate_postgres.refusals import MAX_ERROR, Refusals

__all__ = ["KIND", "Backend"]

KIND: Final = "B"
MAX_SIGNED: Final = 0x7FFFFFFF  # lengths are signed on the wire
MAX_KEY: Final = 256

# What the walk does with a message, by its type byte. Unlisted types are refused.
_PLAIN, _REFUSED, _HEAD, _WHOLE, _ANSWER = range(5)
_COUNTING: Final = bytes(
    _PLAIN
    if kind in b"tDAVNHdc"  # rows, completions, descriptions, notices, notifications, COPY data
    else _HEAD
    if kind in b"13EGW"  # their arrival says it all
    else _WHOLE
    if kind in b"SKZ"
    else _ANSWER
    if kind in b"2TCIns"  # counted, where a series has a Flush and no Sync
    else _REFUSED
    for kind in range(256)
)
# While a Sync or Query is being answered, which is nearly always, those are as plain as the rows between them.
_SERVING: Final = bytes(_PLAIN if role == _ANSWER else role for role in _COUNTING)
_ERROR, _KEY, _READY = 0x45, 0x4B, 0x5A


class Backend:
    """The target's half of an open session. Reads go in by `receive`, frames come out of `event`."""

    __slots__ = (
        "_buffer",
        "_cut_out",
        "_eof",
        "_heads",
        "_need",
        "_offset",
        "_rewritten",
        "closed",
        "key",
        "names",
        "refusals",
        "skip",
        "starting",
    )

    def __init__(self, names: Names, refusals: Refusals) -> None:
        self.names = names
        self.refusals = refusals
        self.starting = True  # before the first ReadyForQuery
        self.key = b""  # process id and secret, as the target gave them
        self.closed = False
        self._buffer: bytes | bytearray = b""
        self._offset = 0
        self._need = 1
        self.skip = 0  # bytes to come of the message that the last frame ended in
        self._cut_out = 0  # size of the message at the offset that does not go on
        self._rewritten: bytes | None = None  # and what goes on in its place
        self._eof = False
        self._heads: dict[int, Callable[[], None]] = {
            0x31: lambda: names.changed(True),
            0x33: lambda: names.changed(False),
            0x45: names.errored,
            0x47: names.copy_in,
            0x57: names.copy_in,
        }

    def receive(self, data: bytes) -> None:
        """Buffer a read; `b""` is EOF."""
        buffer = self._buffer
        if not data:
            self._eof = True
        elif not buffer:
            self._buffer = data
        else:
            if isinstance(buffer, bytes):
                buffer = self._buffer = bytearray(buffer)
            buffer += data

    def unfinished(self) -> tuple[int, bytes]:
        """Give up what is here of a message whose end is not; and say how much is owed of one that went out in part."""
        begun = bytes(self._buffer[self._offset :])
        self._buffer, self._offset, self._need = b"", 0, 1
        return self.skip, begun

    def event(self) -> Frame | PeerClosed | NeedData:
        """Give the next frame. Raises `RemoteProtocolError`."""
        buffer, start = self._buffer, self._offset
        end = len(buffer)
        if end - start < self._need:
            return self._rest()
        if not isinstance(buffer, bytes):
            buffer = self._buffer = bytes(buffer)
        if self._cut_out:
            return self._instead()
        position = start
        if self.skip:
            if self.skip >= end - start:
                self.skip -= end - start
                return self._cut(buffer, start, end)
            position += self.skip
            self.skip = 0
        position = self._walk(buffer, position, end)
        if position > start:
            return self._cut(buffer, start, position)
        return self._instead() if self._cut_out else self._rest()

    def _walk(self, buffer: bytes, position: int, end: int) -> int:
        """Go on to where this frame ends; gives that offset."""
        header, names = HEADER, self.names
        roles = _SERVING if names.waiting else _COUNTING
        last = end - 5  # where the last header could be that is here in whole
        self._need, length = 1, 0
        while position <= last:
            kind, length = header(buffer, position)
            role = roles[kind]
            if not role and length >= 4:  # plain: a row, as nearly every message is
                position += 1 + length
                continue
            if length < 4:
                raise RemoteProtocolError("invalid message length from the target", hint="08P01")
            if kind == _READY and length == 5 and position + 6 <= end:
                self._ready(buffer[position + 5])
                roles = _SERVING if names.waiting else _COUNTING
            elif role == _WHOLE or (kind == _ERROR and self.refusals.waiting):
                if not self._looked(buffer, kind, length, position, end):
                    return position
            elif role == _HEAD:
                self._heads[kind]()
                roles = _SERVING if names.waiting else _COUNTING
            elif role == _ANSWER:
                names.answered += 1
            else:
                raise RemoteProtocolError(f"unexpected message type {kind} from the target", hint="08P01")
            position += 1 + length
        if position > end:
            if length > MAX_SIGNED:
                raise RemoteProtocolError("invalid message length from the target", hint="08P01")
            self.skip = position - end
            return end
        if position < end:
            self._need = 5
        return position

    def _ready(self, status: int) -> None:
        self.names.ready(status)
        self.starting = False
        if self.refusals.waiting and not self.names.waiting and not self.names.active:
            # What was skipped up to a Sync has no error of its own to wait for.
            self.refusals.waiting.clear()

    def _looked(self, buffer: bytes, kind: int, length: int, position: int, end: int) -> bool:
        """Look into a whole message. False when the frame ends before it."""
        after = position + 1 + length
        if length > (MAX_ERROR if kind == _ERROR else MAX_SMALL):
            raise RemoteProtocolError("a message from the target is too long", hint="08P01")
        if after > end:
            self._need = after - position
            return False
        body = buffer[position + 5 : after]
        if kind == _KEY:
            if not self.starting or not 8 <= len(body) <= MAX_KEY + 4:
                raise RemoteProtocolError("invalid BackendKeyData from the target", hint="08P01")
            self.key = body
            self._cut_out = after - position
            return False
        if kind == _ERROR:
            self._rewritten = self.refusals.rewrite(body)
            self.names.errored()
            if self._rewritten is None:
                return True
            self._cut_out = after - position
            return False
        if kind == _READY:
            raise RemoteProtocolError("invalid ReadyForQuery from the target", hint="08P01")
        name, _, value = body.partition(b"\0")
        settings = self.names.meanings.settings
        settings.report(name, value.rstrip(b"\0").decode("ascii", "replace"))
        self.names.codec = settings.codec
        if self.names.sights is not None:
            self.names.sights.reported(name)
        return True

    def _instead(self) -> Frame | PeerClosed | NeedData:
        """Leave out the message at the offset, and say what was put in its place."""
        self._consume(self._offset + self._cut_out)
        self._cut_out = 0
        rewritten, self._rewritten = self._rewritten, None
        if rewritten is None:
            return self.event()
        return Frame(GATEWAY, KIND, rewritten, 0, None, CLIENT)

    def _cut(self, buffer: bytes, start: int, position: int) -> Frame:
        if position < len(buffer):
            self._offset = position
            return Frame(UPSTREAM, KIND, buffer[start:position])
        self._buffer = b""
        self._offset = 0
        return Frame(UPSTREAM, KIND, buffer[start:] if start else buffer, 0, None, None, not self._eof)

    def _consume(self, position: int) -> None:
        if position == len(self._buffer):
            self._buffer = b""
            self._offset = 0
        else:
            self._offset = position

    def _rest(self) -> PeerClosed | NeedData:
        if self._offset:
            self._buffer = bytearray(self._buffer[self._offset :])
            self._offset = 0
        if self._eof and not self.closed:
            self.closed = True
            return PeerClosed(UPSTREAM)
        return NEED_DATA
