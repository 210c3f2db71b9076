"""The part of a relay that finds out what names mean while the client waits: by asks, and by questions of its own."""

from __future__ import annotations

from typing import Protocol

from recgate.errors import LocalProtocolError
from recgate.sansio.asks import PAUSED, Paused, Reply, Survey
from recgate.sansio.frames import GATEWAY, UPSTREAM, Frame
from recgate_postgres.messages import query
from recgate_postgres.origin.asking import ANSWER, QUESTION, Answer
from recgate_postgres.origin.bearings import Bearings

__all__ = ["Consulting"]


class _Backend(Protocol):
    def unfinished(self) -> tuple[int, bytes]: ...

    def receive(self, data: bytes) -> None: ...


class Consulting:
    """Of one connection. Between `sent` and the answer's end all that the target says goes through here."""

    __slots__ = ("_answer", "_ask", "bearings")

    def __init__(self, bearings: Bearings) -> None:
        self.bearings = bearings
        self._ask: Survey | None = None
        self._answer: Answer | None = None

    @property
    def listening(self) -> bool:
        """Whether what the target says may be our answer."""
        return self._answer is not None

    def paused(self) -> Survey | Frame | Paused:
        """Say what the client is paused for: an ask, a question that goes to the target, or nothing of this."""
        if self._ask is not None:
            return PAUSED
        wanted = self.bearings.wanted()
        if isinstance(wanted, Survey):
            self._ask = wanted
            return wanted
        if wanted is None:
            return PAUSED
        return Frame(GATEWAY, QUESTION, query(wanted.encode()), 0, None, UPSTREAM)

    def answer(self, ask: Survey, reply: Reply) -> None:
        """End the pause of a survey. Raises `LocalProtocolError` if that ask is not open."""
        if ask is not self._ask:
            raise LocalProtocolError("that ask is not open")
        self._ask = None
        self.bearings.surveyed(reply)

    def sent(self, backend: _Backend) -> None:
        """Note that the question goes to the target now."""
        self._answer = Answer(*backend.unfinished())

    def receive(self, data: bytes) -> None:
        """Buffer a read of the target's."""
        assert self._answer is not None
        self._answer.reader.feed(data)

    def heard(self, backend: _Backend) -> Frame | None:
        """Hand on what is not ours of what has come; gives the answer once it is whole, for the recording.

        Raises:
            RemoteProtocolError: the target answers otherwise than it may.
        """
        answer = self._answer
        assert answer is not None
        passed = answer.passed()
        if passed:
            backend.receive(passed)
        ended = answer.reader.eof
        if not answer.status and not ended:
            return None
        self._answer = None
        rest = answer.reader.take_all()
        if rest:
            backend.receive(rest)
        if ended:
            backend.receive(b"")
        if not answer.status:
            return None
        self.bearings.answered(answer.row, answer.status)
        return Frame(GATEWAY, ANSWER, answer.recorded)
