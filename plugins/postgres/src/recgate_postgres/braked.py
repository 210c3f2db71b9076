"""What the target says to a client that may not have all of it: counted as it flows, and stopped at the very row.

Stands in front of the usual half, or of the masked one, and goes over the headers of what they give out. Where the
brake says so, a row goes out by itself and asks to be judged: let through, all goes on; refused, the client reads an
error in its place, the target is told to cancel, and what still comes up to ReadyForQuery goes nowhere. Until that
cancel is over nothing is read: the target must wait for room with what it has, and no late cancel can hit the client's
next statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate.decisions import Decision
from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.policy.braking import Brake, Crossing
from recgate.sansio.asks import PAUSED, NeedData, Paused, PeerClosed
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame
from recgate_postgres.answers import Answers
from recgate_postgres.backend import KIND, Backend
from recgate_postgres.fronting import Front
from recgate_postgres.masked import MaskedBackend
from recgate_postgres.messages import HEADER, error_response, execute, message, query
from recgate_postgres.refusals import error_text

__all__ = ["BrakedBackend"]

INSUFFICIENT_PRIVILEGE: Final = "42501"
QUERY_CANCELED: Final = "57014"
STOPPED: Final = b"recgate_stopped"  # what no portal and no statement is called

# What is done with a message, by its type byte.
_PLAIN, _ROW, _STOPS, _LEFT_OUT, _ENDS, _ERROR, _READY, _COPY_IN, _COPY_BOTH = range(9)
_ROLES: Final = bytes(
    {
        0x44: _ROW,  # DataRow
        0x64: _ROW,  # CopyData
        0x54: _STOPS,  # RowDescription: SQL can make names of values
        0x56: _STOPS,  # FunctionCallResponse
        0x4E: _LEFT_OUT,  # NoticeResponse
        0x41: _LEFT_OUT,  # NotificationResponse
        0x43: _ENDS,  # CommandComplete
        0x49: _ENDS,  # EmptyQueryResponse
        0x73: _ENDS,  # PortalSuspended
        0x45: _ERROR,
        0x5A: _READY,
        0x47: _COPY_IN,
        0x57: _COPY_BOTH,
    }.get(kind, _PLAIN)
    for kind in range(256)
)
_ERROR_KIND, _READY_KIND, _STATUS_KIND = b"EZS"
_BLOCK: Final = 0x54  # "T": in a transaction block
# Binary COPY ends in a message of its own, which is no row: a count of -1.
_TRAILER: Final = b"d\0\0\0\x06\xff\xff"


class BrakedBackend(Front[Backend | MaskedBackend]):
    """The target's half of an open session with a brake; reads go in by `receive`, frames come out of `event`."""

    __slots__ = (
        "_answers",
        "_at",
        "_brake",
        "_cancelling",
        "_crossing",
        "_data",
        "_drop",
        "_ended",
        "_failure",
        "_fits",
        "_judged",
        "_last",
        "_left",
        "_session_id",
        "_spoiling",
        "_stopping",
        "_two_ways",
    )

    def __init__(
        self, inner: Backend | MaskedBackend, brake: Brake, session_id: str, fits: Callable[[], bool]
    ) -> None:
        """`fits` says whether a message of ours may go to the target now: not inside one of the client's."""
        super().__init__(inner)
        self._brake = brake
        self._session_id = session_id
        self._fits = fits
        self._answers = Answers(brake)
        self._data = b""  # what `inner` gave out, to be gone over from `_at` on
        self._at = 0
        self._last = False
        self._left = 0  # bytes to come of a message that goes on
        self._drop = 0  # bytes to come of one that does not
        self._crossing: Crossing | None = None  # what is being judged
        self._judged: Frame | None = None
        self._stopping = False  # an answer was ended: up to its ReadyForQuery nothing goes on
        self._cancelling = False
        self._spoiling: Frame | None = (
            None  # what makes the target's series or transaction fail as the client's has
        )
        self._ended = False  # a failing Query of ours is under way, and its ReadyForQuery is the client's
        self._two_ways = False  # a replication stream, which has no place for an error
        self._failure = ""

    # -- what relays ask of a backend ----------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the target is gone, and everything before that has been given out."""
        return self._inner.closed and not self._data

    @property
    def skip(self) -> int:
        """Bytes to come of the message that has gone out in part."""
        return self._left

    def unfinished(self) -> tuple[int, bytes]:
        """Say what of the target's last message is still to come, as the half behind says it."""
        return self._inner.unfinished()

    def asked(self, frame: Frame) -> None:
        """Hear what goes to the target."""
        self._answers.asked(frame)

    def receive(self, data: bytes) -> None:
        """Buffer a read; `b""` is EOF."""
        self._inner.receive(data)

    def event(self) -> Frame | PeerClosed | NeedData | Paused:
        """Give the next frame; PAUSED while a cancel is under way behind which nothing may come.

        Raises:
            RemoteProtocolError: the target speaks out of turn, or a stream was refused that has no place for an error.
        """
        if self._failure:
            raise RemoteProtocolError(self._failure, hint=INSUFFICIENT_PRIVILEGE)
        if self._cancelling:
            return (
                PAUSED  # and nothing is read: the target cannot run ahead of the cancel, nor of what is kept
            )
        if self._crossing is not None:
            self._brake.settle(self._crossing)  # nobody refused it
            self._crossing = self._judged = None
        while True:
            if self._data:
                frame = self._next()
                if frame is not None:
                    return frame
                continue
            event = self._inner.event()
            if not isinstance(event, Frame):
                return event
            if event.side is UPSTREAM:
                self._data, self._at, self._last = event.data, 0, event.last
            elif event.to is not CLIENT:
                return event
            else:
                # An error in the place of the target's: of a refusal, or of masks.
                self._answers.failed()
                if not self._stopping:
                    return event

    # -- going over what comes -----------------------------------------------------------------------------------

    def _next(self) -> Frame | None:
        """Give the next piece of what is here. None when nothing of it goes on."""
        data, start = self._data, self._at
        end = len(data)
        if self._drop:
            gone = min(self._drop, end - start)
            self._drop -= gone
            return self._taken(start + gone)
        position = start
        if self._left:
            position += min(self._left, end - start)
            self._left -= position - start
        if position < end and not self._stopping:
            position = self._passing(data, position, end)
        if position > start:
            return self._cut(start, position)
        return self._stop(data, start) if self._stopping else self._cross(data, start)

    def _passing(self, data: bytes, position: int, end: int) -> int:
        """Count messages up to the one that must be judged, or is left out; gives its offset."""
        header, roles, answers, brake = HEADER, _ROLES, self._answers, self._brake
        decided = answers.current
        room, space = brake.room(decided)
        rows, begun = 0, position
        while position < end:
            kind, length = header(data, position)
            size = length + 1
            role = roles[kind]
            if role == _ROW:
                row = size != 7 or not data.startswith(_TRAILER, position)
                if (row and rows >= room) or position + size - begun > space:
                    break
                rows += row
            elif role:
                if role <= _LEFT_OUT or role == _ERROR:
                    if position + size - begun > space:
                        break
                    if role == _ERROR:
                        answers.failed()
                elif role == _ENDS:
                    brake.passed(rows, position + size - begun, decided)
                    answers.ended()
                    decided = answers.current
                    room, space = brake.room(decided)
                    rows, begun = 0, position + size
                elif role == _READY:
                    answers.ready()
                elif role == _COPY_IN:
                    answers.copy_in()
                elif role == _COPY_BOTH:
                    self._two_ways = True
            position += size
        brake.passed(rows, position - begun, decided)
        self._left = max(position - end, 0)
        return min(position, end)

    def _cut(self, start: int, position: int) -> Frame:
        data = self._data
        whole = position == len(data)
        piece = data if whole and not start else data[start:position]
        self._taken(position)
        return Frame(UPSTREAM, KIND, piece, 0, None, None, whole and self._last)

    def _taken(self, position: int) -> None:
        if position >= len(self._data):
            self._data, self._at = b"", 0
        else:
            self._at = position

    def _piece(self, data: bytes, position: int) -> tuple[bytes, int, int]:
        """Take the message at an offset, as far as it is here: that, its kind and how much of it is to come."""
        kind, length = HEADER(data, position)
        after = position + length + 1
        self._taken(after)
        return data[position:after], kind, max(after - len(data), 0)

    def _cross(self, data: bytes, position: int) -> Frame | None:
        """Give out the message that must be judged; one that nobody asked for is left out without a word."""
        piece, kind, to_come = self._piece(data, position)
        role = _ROLES[kind]
        if role == _LEFT_OUT:
            self._drop = to_come
            return None
        decided = self._answers.current
        if role == _ERROR:
            self._answers.failed()
        crossing = self._brake.cross(decided, int(role == _ROW), len(piece) + to_come)
        self._crossing, self._left = crossing, to_come
        self._judged = Frame(UPSTREAM, KIND, piece, 0, decided.request)
        return self._judged

    # -- an answer that was ended ----------------------------------------------------------------------------------

    def refuse(self, frame: Frame, decision: Decision) -> list[Frame]:
        """End the answer in the place of the row that was refused; gives what is said instead."""
        if frame is not self._judged:
            raise LocalProtocolError("only the row that was given out last can be refused")
        self._crossing = self._judged = None
        self._drop, self._left = self._left, 0
        self._stopping = self._cancelling = True
        text = error_text(decision.reason or "denied", decision.rule, self._session_id)
        if self._two_ways:
            self._failure = text
            return []
        code = QUERY_CANCELED if decision.code == "cancelled" else INSUFFICIENT_PRIVILEGE
        words = error_response(code, text, encoding=self.names.codec)
        frames = [Frame(GATEWAY, KIND, words, 0, None, CLIENT)]
        if self._answers.unsynced:
            # The client takes its series for failed, and so must the target, or the next Sync would commit.
            self._spoiling = Frame(GATEWAY, "F", execute(STOPPED), 0, None, UPSTREAM)
            frames.append(self._spoiling)
        return frames

    def passes(self, frame: Frame) -> bool:
        """Whether a frame of ours for the target may still go there."""
        if frame is not self._spoiling:
            return True
        self._spoiling = None
        return self._answers.unsynced and self._fits()

    def cancelled(self) -> None:
        """The cancel is over, whether or not the target heard of it."""
        self._cancelling = False

    def _stop(self, data: bytes, position: int) -> Frame | None:
        """Leave out the next message, or pass it on: what is no part of an answer, and the answer's end."""
        if data[position] == _READY_KIND:
            return self._end(data, position)
        piece, kind, to_come = self._piece(data, position)
        if kind == _STATUS_KIND:
            self._left = to_come
            self._brake.passed(0, len(piece) + to_come)
            return Frame(UPSTREAM, KIND, piece)
        self._drop = to_come
        role = _ROLES[kind]
        if role == _ENDS:
            self._answers.ended()
        elif role == _ERROR:
            self._answers.failed()
        elif role == _COPY_IN:
            self._answers.copy_in()
            # Nobody will send what the target waits for: the client believes that all this has failed.
            gone = message(b"f", b"what stood before it was stopped\0")
            return Frame(GATEWAY, "F", gone, 0, None, UPSTREAM)
        elif role == _COPY_BOTH:
            raise RemoteProtocolError("a replication stream behind what was stopped", hint="0A000")
        return None

    def _end(self, data: bytes, position: int) -> Frame | None:
        """Come to the ReadyForQuery of an answer that was ended."""
        status = data[position + 5]
        names = self.names
        self._answers.ready()
        piece, _, _ = self._piece(data, position)
        free = self._answers.idle and not names.waiting and not names.active
        if status == _BLOCK and not self._ended and self._brake.immediate and free and self._fits():
            # An error fails a transaction. The cancel came too late for the target to notice one, so it gets one.
            self._ended = True
            names.waiting.append(None)
            return Frame(GATEWAY, "F", query(STOPPED), 0, None, UPSTREAM)
        self._stopping = self._ended = False
        self._brake.passed(0, len(piece))
        return Frame(UPSTREAM, KIND, piece)
