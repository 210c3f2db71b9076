"""What the client says once its session is open: frames cut so that each asks for one thing at most.

The walk looks at headers. A message that names a text (Query, Parse, Bind, Execute, FunctionCall, Close) is
taken when it is whole; everything else goes on as it comes, its unfinished end included. A frame ends where
the next message begins that needs looking at behind a request, so Bind, Execute, Sync is one frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate.sansio.asks import NEED_DATA, PAUSED, NeedData, Paused, PeerClosed
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame, Request
from recgate_postgres.encodings import decode
from recgate_postgres.messages import HEADER, MAX_LENGTH, MAX_SMALL, cstring, error_response
from recgate_postgres.names import Names
from recgate_postgres.redefining import MAX_NAME, may_redefine
from recgate_postgres.refusals import Refusals, error_text
from recgate_postgres.requests import NO_LIMIT, CallDetails, Portal, SimpleDetails, Statement, function_text
from recgate_postgres.settings import plain

__all__ = ["KIND", "Frontend"]

KIND: Final = "F"

# What the walk does with a message, by its type byte.
_REFUSED, _PLAIN, _SYNC, _COPY, _TERMINATE, _LOOK, _ASKS = range(7)
_ROLES: Final = bytes(
    {
        0x42: _LOOK,  # Bind
        0x43: _LOOK,  # Close
        0x44: _PLAIN,  # Describe
        0x45: _ASKS,  # Execute
        0x46: _ASKS,  # FunctionCall
        0x48: _PLAIN,  # Flush
        0x50: _LOOK,  # Parse
        0x51: _ASKS,  # Query
        0x53: _SYNC,
        0x58: _TERMINATE,
        0x63: _COPY,  # CopyDone
        0x64: _COPY,  # CopyData
        0x66: _COPY,  # CopyFail
    }.get(kind, _REFUSED)
    for kind in range(256)
)
_BIND, _DESCRIBE, _EXECUTE, _COPY_DATA = 0x42, 0x44, 0x45, 0x64
_BEHIND_BIND: Final = frozenset((_DESCRIBE, _EXECUTE))
# What drivers send behind the Bind of a prepared statement, in one piece with it: Describe or not, Execute of all rows,
# Sync; all of the unnamed portal.
_RUN: Final = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
_RUNS: Final = frozenset((_RUN, b"D\0\0\0\x06P\0" + _RUN))
_LARGE: Final = frozenset(b"QPBFd")
_OWN_ANSWER: Final = frozenset(b"QF")  # each is answered by a ReadyForQuery of its own
_VIOLATION: Final = "08P01"
_NEVER: Final = 1 << 62


class Frontend:
    """The client's half of an open session. Reads go in by `receive`, frames come out of `event`."""

    __slots__ = (
        "_bound",
        "_buffer",
        "_closed",
        "_discard",
        "_eof",
        "_held",
        "_lookers",
        "_need",
        "_offset",
        "_refused",
        "_request",
        "_resume",
        "_skip",
        "_terminated",
        "asked",
        "asked_end",
        "asked_start",
        "max_message",
        "names",
        "refusals",
        "session_id",
        "simple",
    )

    def __init__(self, names: Names, refusals: Refusals, session_id: str, max_message: int) -> None:
        self.names = names
        self.refusals = refusals
        self.session_id = session_id
        self.max_message = max_message
        self.simple = SimpleDetails(names, refusals.replication)
        self.asked: Frame | None = None  # the last frame with a request, and where in it that message stands
        self.asked_start = self.asked_end = 0
        self._buffer: bytes | bytearray = b""
        self._offset = 0
        self._need = 1  # bytes without which a walk would find nothing new
        self._skip = 0  # bytes to come of a message that was let through in part
        self._discard = 0  # bytes of a message that the gateway refused by itself
        self._refused: tuple[int, int, str, str] | None = None  # that message: kind, size, SQLSTATE, reason
        self._request: Request | None = None
        # A Bind at the offset that nobody has decided on: planning it may run functions, so it goes on with the Execute
        # that runs it, or is decided on by itself when it is plain that none follows.
        self._bound: Portal | None = None
        self._resume = 0  # bytes behind the offset that the walk has seen, of that Bind and its Describe
        self._held = False  # what comes next must wait for the target's answers
        self._eof = self._terminated = self._closed = False
        self._lookers: dict[int, Callable[[bytes, int, int], bool]] = {
            0x42: self._bind,
            0x43: self._close,
            0x45: self._execute,
            0x46: self._call,
            0x50: self._parse,
            0x51: self._query,
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

    @property
    def inside(self) -> bool:
        """Whether part of a message has been given out, and its rest must be next."""
        return self._skip > 0

    def stop(self) -> None:
        """The target is gone: whatever the client still says goes nowhere."""
        self._need = _NEVER

    def event(self) -> Frame | PeerClosed | NeedData | Paused:
        """Give the next frame. Raises `RemoteProtocolError`."""
        buffer, start = self._buffer, self._offset
        end = len(buffer)
        if end - start < self._need or self._terminated:
            return self._rest()
        if not start and buffer[0] == _BIND and self._bound is None and not self.names.looked:
            frame = self._run(buffer, end)
            if frame is not None:
                return frame
        if self.names.crowded:
            return PAUSED
        if not isinstance(buffer, bytes):
            buffer = self._buffer = bytes(buffer)
        position = start
        self._request = None
        if self._discard:
            gone = min(self._discard, end - start)
            self._discard -= gone
            self._consume(start + gone)
            return self.event() if self._offset else self._rest()
        if self._skip:
            if self._skip >= end - start:
                self._skip -= end - start
                return self._cut(buffer, start, end)
            position += self._skip
            self._skip = 0
        position += self._resume
        self._held = False
        position = self._walk(buffer, start, position, end)
        if position > start:
            return self._cut(buffer, start, position)
        if self._refused is not None:
            return self._stand_in(*self._refused)
        return PAUSED if self._held else self._rest()

    def _run(self, buffer: bytes | bytearray, end: int) -> Frame | None:
        """The usual read of a prepared statement, at once; None leaves it to the walk, which would do the same.

        To walk over its four messages took a quarter of all that the gateway spends on such a transaction in Python.
        """
        if end < 5 or not isinstance(buffer, bytes) or self._skip or self._discard:
            return None
        after = 1 + HEADER(buffer, 0)[1]
        if buffer[after:] not in _RUNS or buffer[5] or after > self.max_message:
            return None
        stop = buffer.find(0, 6, after)
        portal = self.names.run(buffer[6:stop], buffer[stop + 1 : after]) if stop > 0 else None
        if portal is None:
            return None
        self._buffer = b""
        self._need = 1
        self.asked = frame = Frame(CLIENT, KIND, buffer, 0, portal.request, None, not self._eof)
        self.asked_start, self.asked_end = 0, end - 5
        return frame

    def _walk(self, buffer: bytes, start: int, position: int, end: int) -> int:
        """Go on to where this frame ends; gives that offset."""
        names, header, roles, lookers, limit = self.names, HEADER, _ROLES, self._lookers, self.max_message
        copied = _COPY_DATA if names.copying else -1  # then nearly every message is a row of it
        last = end - 5  # where the last header could be that is here in whole
        bound_at = start if self._bound is not None else -1
        self._need, self._resume, length = 1, 0, 0
        while position <= last:
            kind, length = header(buffer, position)
            if kind == copied and length >= 4 and bound_at < 0:
                position += 1 + length
                continue
            after = position + 1 + length
            role = roles[kind]
            if bound_at >= 0:
                if kind in _BEHIND_BIND and after > end and 4 <= length <= MAX_SMALL:
                    return self._keep(bound_at, position, length + 1)
                if not self._belongs(buffer, kind, bound_at, position, after):
                    if not self._decide_bind(bound_at - start, position - start):
                        return self._keep(bound_at, position, 5)
                    bound_at = -1
            if role >= _LOOK:
                if self._request is not None:
                    return position
                if after > end or length > limit or length < 4:
                    return self._unfit(kind, length, position)
                waits = (names.guarded or names.copying) and self._waits_for_copy()
                if waits or not lookers[kind](buffer, position + 5, after):
                    self._held = self._refused is None
                    return position if bound_at < 0 or not self._held else self._keep(bound_at, position, 5)
                if role == _ASKS:
                    first = position if bound_at < 0 else bound_at
                    self.asked_start, self.asked_end = first - start, after - start
                    self._bound, bound_at = None, -1
                elif kind == _BIND:
                    self._bound, bound_at = names.latest, position
            elif role == _SYNC:
                if length != 4:
                    raise RemoteProtocolError("invalid message length", hint=_VIOLATION)
                if (names.guarded or names.copying) and self._waits_for_copy():
                    return position
                names.sync()
            elif not self._passes(kind, role, length):
                self._held = True
                return position
            elif self._terminated:
                return after
            elif role == _COPY and not names.copying:
                copied = -1
            position = after
        return self._keep(bound_at, position, 5) if bound_at >= 0 else self._ends(position, end, length)

    def _ends(self, position: int, end: int, length: int) -> int:
        """End the frame with what has come, though its last message, of `length`, may go on."""
        if position > end:
            if length > MAX_LENGTH:
                raise RemoteProtocolError("invalid message length", hint=_VIOLATION)
            self._skip = position - end
            return end
        if position < end:
            self._need = 5
        return position

    def _keep(self, bound_at: int, position: int, need: int) -> int:
        """End the frame before a Bind until more has come; gives that offset. The next walk goes on at `position`."""
        self._resume = position - bound_at
        self._need = self._resume + need
        return bound_at

    def _belongs(self, buffer: bytes, kind: int, bound_at: int, position: int, after: int) -> bool:
        """Whether what follows a Bind is decided on together with it: one Describe, and the Execute that runs it.

        Raises:
            RemoteProtocolError: a COPY has begun, and the target would eat the Bind.
        """
        if self.names.copying:
            self._waits_for_copy()
        if kind == _DESCRIBE:
            # One, as drivers send: a client could make a large Bind be walked over anew for each of many.
            return position == bound_at + 1 + HEADER(buffer, bound_at)[1]
        portal = self._bound
        if kind != _EXECUTE or portal is None or after - position < 10:
            return False
        return buffer[position + 5 : after - 5] == portal.name

    def _decide_bind(self, start: int, end: int) -> bool:
        """Let the Bind be decided on by itself: no Execute of it follows at once. False where that must wait."""
        if self._waits_for_catalog(self._bound):
            return False
        portal, self._bound = self._bound, None
        assert portal is not None
        portal.limit = NO_LIMIT
        self._request = portal.request
        self.asked_start, self.asked_end = start, end
        return True

    def _waits_for_copy(self) -> bool:
        """Hold what the target would eat: in COPY it takes any message for data, fails, and does not act on it.

        Raises:
            RemoteProtocolError: the COPY has begun, and this is no data.
        """
        if self.names.copying:
            raise RemoteProtocolError("a message inside COPY data that is no data", hint=_VIOLATION)
        self._held = True
        return True

    def _passes(self, kind: int, role: int, length: int) -> bool:
        """Whether a message that nothing looks into may pass now."""
        if length < 4 or length > (MAX_LENGTH if kind == _COPY_DATA else MAX_SMALL):
            raise RemoteProtocolError("invalid message length", hint=_VIOLATION)
        names = self.names
        if role == _COPY:
            if not names.may_copy():
                return False
            if kind != _COPY_DATA:
                names.copying = False
        elif role == _TERMINATE:
            if length != 4:
                raise RemoteProtocolError("invalid message length", hint=_VIOLATION)
            self._terminated = True
        elif role == _REFUSED:
            raise RemoteProtocolError(f"invalid frontend message type {kind}", hint=_VIOLATION)
        elif kind == _DESCRIBE:
            names.active = True
            names.asked += 1
        else:
            names.flushed = names.asked
        return True

    def _unfit(self, kind: int, length: int, position: int) -> int:
        """A message that is incomplete, too large for this target, or not possible at all."""
        if length < 4 or length > (MAX_LENGTH if kind in _LARGE else MAX_SMALL):
            raise RemoteProtocolError("invalid message length", hint=_VIOLATION)
        if length > self.max_message:
            reason = f"a message of {length} bytes: at most {self.max_message} pass (options.max_message)"
            self._refused = (kind, length + 1, "54000", reason)
        else:
            self._need = length + 1
        return position

    def _stand_in(self, kind: int, size: int, sqlstate: str, reason: str) -> Frame:
        """Refuse the message at the offset without asking anybody, and leave its bytes out as they come."""
        if kind in _OWN_ANSWER:
            self.names.query()
        self.names.active = kind not in _OWN_ANSWER
        self._refused = None
        self._discard = size
        self._need = 1
        text = error_text(reason, "", self.session_id)
        error = error_response(sqlstate, text, encoding=self.names.codec)
        return Frame(GATEWAY, KIND, self.refusals.stand_in(kind, error), 0, None, UPSTREAM)

    def _cut(self, buffer: bytes, start: int, position: int) -> Frame:
        request = self._request
        if position < len(buffer):
            frame = Frame(CLIENT, KIND, buffer[start:position], 0, request)
            self._offset = position
        else:
            last = not (self._eof or self._terminated)
            frame = Frame(CLIENT, KIND, buffer[start:] if start else buffer, 0, request, None, last)
            self._buffer = b""
            self._offset = 0
        if request is not None:
            self.asked = frame
            if self.names.looked:
                self._judged(request)
        return frame

    def _judged(self, request: Request) -> None:
        """Have it said which columns a request shows, for whoever decides on it and for its result."""
        judge, details = self.names.judge, request.details
        if judge is None:
            self._noted(details)
        elif isinstance(details, SimpleDetails):
            judge.query(details, behind=self.names.behind())
        elif isinstance(details, Portal):
            judge.portal(details)
        else:
            judge.call()

    def _noted(self, details: object) -> None:
        """Tell what keeps the catalog for policies alone what goes to the target."""
        sights = self.names.sights
        if sights is not None and isinstance(details, SimpleDetails):
            sights.runs(details.text)
        elif sights is not None:
            sights.runs(details.statement.text if isinstance(details, Portal) else b"CALL nobody_knows()")

    def _waits_for_catalog(self, portal: Portal | None) -> bool:
        """Whether what a portal shows cannot be said yet."""
        names = self.names
        if not names.looked or portal is None or portal.plan is not None:
            return False
        if not names.waits(portal.statement.text):
            return False
        self._held = True
        return True

    def _consume(self, position: int) -> None:
        if position == len(self._buffer):
            self._buffer = b""
            self._offset = 0
        else:
            self._offset = position

    def _rest(self) -> PeerClosed | NeedData:
        if self._need == _NEVER:
            self._buffer = b""
            self._offset = 0
        elif self._offset:
            self._buffer = bytearray(self._buffer[self._offset :])
            self._offset = 0
        if (self._eof or self._terminated) and not self._closed:
            self._closed = True
            return PeerClosed(CLIENT)
        return NEED_DATA

    # -- messages that are looked into: whether they may pass now -----------------------------------------------

    def _query(self, buffer: bytes, start: int, after: int) -> bool:
        if buffer.find(0, start, after) != after - 1:
            raise RemoteProtocolError("invalid Query", hint=_VIOLATION)
        names = self.names
        text = buffer[start : after - 1]
        if names.looked and names.waits(text):
            return False
        if not names.query(may_copy=self.refusals.replication or b"copy" in text.lower()):
            return False
        if may_redefine(text):
            names.redefine(text)
        self.simple.text = text
        self._request = Request("sql", text.decode(names.codec, "backslashreplace"), 0, self.simple)
        return True

    def _execute(self, buffer: bytes, start: int, after: int) -> bool:
        stop = after - 5
        if after - start > MAX_SMALL or buffer.find(0, start, after) != stop:
            raise RemoteProtocolError("invalid Execute", hint=_VIOLATION)
        if stop - start > MAX_NAME:
            return self._too_long(stop - start, _EXECUTE, after - start)
        portal = self.names.execute(buffer[start:stop])
        if portal is None:
            return False
        if not self._known(portal.statement, _EXECUTE, after - start) or self._waits_for_catalog(portal):
            return False
        if portal.statement.redefines:
            for text in portal.statement.meanings:
                self.names.redefine(text)
        self.names.active = self.names.ran = True
        self.names.asked += 1
        portal.limit = buffer[after - 4 : after]
        self._request = portal.request
        return True

    def _call(self, buffer: bytes, start: int, after: int) -> bool:
        if after - start < 10:
            raise RemoteProtocolError("invalid FunctionCall", hint=_VIOLATION)
        if not self.names.query():
            return False
        body = buffer[start:after]
        self._request = Request("sql", function_text(body), 0, CallDetails(body, self.names))
        return True

    def _parse(self, buffer: bytes, start: int, after: int) -> bool:
        name, at = cstring(buffer, start, after)
        text, at = cstring(buffer, at, after)
        if after - at < 2 or after - at - 2 != 4 * int.from_bytes(buffer[at : at + 2]):
            raise RemoteProtocolError("invalid Parse", hint=_VIOLATION)
        if len(name) > MAX_NAME:
            return self._too_long(len(name), 0x50, after - start)
        names = self.names
        if names.looked and not names.active and names.waits(text):
            return False  # once its series has begun, nothing can be asked any more before its Sync
        statement = Statement(name, text, buffer[at + 2 : after], codec=names.codec)
        if not plain(text):
            behind = names.ran or bool(names.waiting)
            statement.doubtful = names.meanings.settings.doubts(text, behind=behind)
        names.parse(statement)
        return True

    def _too_long(self, length: int, kind: int, size: int) -> bool:
        """Refuse a message for its name: the server takes two that differ behind 63 bytes for one, and we would not."""
        reason = (
            f"a name of {length} bytes: PostgreSQL tells names apart by their first {MAX_NAME}, so use fewer"
        )
        self._refused = (kind, size + 5, "42622", reason)
        return False

    def _bind(self, buffer: bytes, start: int, after: int) -> bool:
        portal = buffer.find(0, start, after)
        name = buffer.find(0, portal + 1, after)
        if portal < 0 or name < 0:
            raise RemoteProtocolError("invalid Bind", hint=_VIOLATION)
        longest = max(portal - start, name - portal - 1)
        if longest > MAX_NAME:
            return self._too_long(longest, 0x42, after - start)
        names = self.names
        if names.looked and not names.active and names.waits(b"SELECT"):
            return False
        if not names.bind(buffer[start:portal], buffer[portal + 1 : name], buffer[name + 1 : after]):
            return False
        return self._known(names.latest.statement, _BIND, after - start)

    def _known(self, statement: Statement, kind: int, size: int) -> bool:
        if not statement.known:
            name = decode(statement.name, self.names.codec)
            reason = f'prepared statement "{name}" is no longer known to the gateway: prepare it again'
            self._refused = (kind, size + 5, "26000", reason)
        return statement.known

    def _close(self, buffer: bytes, start: int, after: int) -> bool:
        name, at = cstring(buffer, start + 1, after)
        if at != after or after - start > MAX_SMALL or buffer[start] not in (0x50, 0x53):
            raise RemoteProtocolError("invalid Close", hint=_VIOLATION)
        if len(name) > MAX_NAME:
            return self._too_long(len(name), 0x43, after - start)
        self.names.close(buffer[start], name)
        return True
