"""What the columns of the rows are that come now: the books of a masked connection.

The client's messages are put into a queue as they go to the target, and the target's answers settle the oldest, as in
the transcript. What is not in the books is not known, and what is not known is not masked as something else.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate_postgres.cutting import Cutter
from recgate_postgres.origin.outcomes import Outcome, Plan
from recgate_postgres.rows import Column, columns_of, formats_of, with_formats

__all__ = ["Shapes"]

MAX_BODY: Final = 1024 * 1024  # bytes of a Bind or Parse that are looked at; its formats stand at the end
MAX_WAITING: Final = (
    100_000  # messages; whoever has more on the way gets rows of which nothing is known any more
)
MAX_NAMED: Final = 20_000  # statements or portals whose columns are remembered

_PARSE, _BIND, _CLOSE, _DESCRIBE, _EXECUTE, _SYNC, _QUERY, _CALL = b"PBCDESQF"
_ENDS: Final = frozenset((_SYNC, _QUERY, _CALL))
# What SQL itself may have done to names.
_REDEFINES: Final = (
    b"PREPARE",
    b"DEALLOCATE",
    b"DISCARD",
    b"DECLARE CURSOR",
    b"CLOSE CURSOR",
    b"DO",
    b"CALL",
)


class _Op:
    """A message that waits for its answer: its type, the name in it, and what else matters."""

    __slots__ = ("described", "done", "formats", "kind", "name", "other", "plan")

    def __init__(
        self, kind: int, name: bytes = b"", other: bytes = b"", formats: tuple[int, ...] | None = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.other = other
        self.formats = formats
        self.plan: Plan | None = None  # of a Query or an Execute: what its results may show
        self.done = 0  # statements of it that are answered
        self.described = False  # whether the one after those has said which columns it gives

    def outcome(self) -> Outcome | None:
        """What is to be done with the rows that it gives now; None where nobody knows."""
        plan = self.plan
        return plan.outcomes[self.done] if plan is not None and self.done < len(plan.outcomes) else None


class _Portal:
    """A bound statement: the columns that somebody described, or else the statement's in the formats asked for."""

    __slots__ = ("columns", "formats", "statement")

    def __init__(self, statement: bytes, formats: tuple[int, ...] | None) -> None:
        self.statement = statement
        self.formats = formats
        self.columns: tuple[Column, ...] | None = None


class Shapes:
    """The books of one connection. `current` are the columns of the rows that come now, None where nobody said.

    With `origins` each request has a plan: `outcome` is what it says of the rows that come now, None where it says
    nothing of them.
    """

    __slots__ = (
        "_client",
        "_copied",
        "_lost",
        "_ops",
        "_portals",
        "_statements",
        "copies",
        "copy",
        "current",
        "done",
        "origins",
        "outcome",
        "plan",
        "unknown_binary",
    )

    def __init__(self, origins: bool = False) -> None:
        self.origins = origins
        self.plan: Plan | None = None
        self.outcome: Outcome | None = None
        self.done: Outcome | None = None  # the outcome of what was answered last
        self.copy = 0  # how many COPYs have begun
        self._copied = 0  # how many columns the last of them has
        self.current: tuple[Column, ...] | None = None
        self.unknown_binary = False  # nobody has described the rows, and they may be in binary
        self.copies = ""  # `text` or `binary` while COPY data comes
        self._client = Cutter(b"PBCDESQF", MAX_BODY)
        self._ops: deque[_Op] = deque()
        self._lost = False  # more was on the way than is kept, so that no answer can be told from another
        self._statements: dict[bytes, tuple[Column, ...]] = {}
        self._portals: dict[bytes, _Portal] = {}

    # -- what goes to the target ---------------------------------------------------------------------------------

    def asked(self, data: bytes, plan: Plan | None = None) -> None:
        """Take what is sent to the target, however it is cut. `plan` is of the one Query or Execute in it."""
        ops = self._ops
        before = len(ops)
        for code, length, body, _ in self._client.cut(data):
            if code == _BIND:
                portal, _, rest = body.partition(b"\0")
                name, _, rest = rest.partition(b"\0")
                whole = len(body) == length - 4
                ops.append(_Op(_BIND, portal, name, formats_of(rest) if whole else None))
            elif code in (_CLOSE, _DESCRIBE):
                ops.append(_Op(code, body[1:-1], body[:1]))
            elif code == _EXECUTE:
                ops.append(_Op(_EXECUTE, body[:-5]))
            elif code == _PARSE:
                ops.append(_Op(_PARSE, body.partition(b"\0")[0]))
            elif code in _ENDS:
                ops.append(_Op(code))
        if plan is not None:
            for op in itertools.islice(ops, before, None):
                if op.kind in (_QUERY, _EXECUTE):
                    op.plan = plan
        if self._lost or len(ops) > MAX_WAITING:
            self._lost = True
            ops.clear()
        self._row_shape()  # an Execute of a portal that is there already is answered by rows at once

    # -- what the target answers ---------------------------------------------------------------------------------

    def answered(self, kind: int, body: bytes, codec: str) -> None:
        """Take any message of the target's but rows and COPY data, in order. Raises `RemoteProtocolError`."""
        self.done = None
        if kind == 0x54:  # RowDescription
            columns = columns_of(body, codec)
            if len(columns) != int.from_bytes(body[:2]):
                raise RemoteProtocolError("invalid RowDescription from the target", hint="08P01")
            self._described(columns)
        elif kind == 0x31:
            op = self._next(_PARSE)
            if op is not None:
                self._statements.pop(op.name, None)
        elif kind == 0x32:
            self._bound()
        elif kind == 0x33:
            op = self._next(_CLOSE)
            if op is not None:
                (self._statements if op.other == b"S" else self._portals).pop(op.name, None)
        elif kind == 0x6E:  # NoData
            self._next(_DESCRIBE)
        elif kind in b"CIs":  # CommandComplete, EmptyQueryResponse, PortalSuspended
            self._completed(body)
        elif kind == 0x45:
            self._failed()
        elif kind == 0x5A:
            self._ready(body)
        elif kind == 0x48:  # CopyOutResponse
            self.copies = "binary" if body[:1] == b"\x01" else "text"
            self.copy += 1
            self._copied = int.from_bytes(body[1:3])
        elif kind == 0x47:
            while len(self._ops) > 1 and self._ops[1].kind == _SYNC:
                del self._ops[1]  # the target ignores a Sync while it takes COPY data
        elif kind == 0x63:
            self.copies = ""
        self._row_shape()

    def _next(self, kind: int) -> _Op | None:
        ops = self._ops
        while ops:
            if ops[0].kind in _ENDS:
                return None
            op = ops.popleft()
            if op.kind == kind:
                return op
        return None

    def _described(self, columns: tuple[Column, ...]) -> None:
        op = self._next(_DESCRIBE)
        if op is None:
            self.current = columns  # of a Query, just ahead of its rows
            if self._ops:
                self._again(self._ops[0])
        elif op.other == b"S":
            if len(self._statements) >= MAX_NAMED:
                self._statements.clear()
            self._statements[op.name] = columns
        elif op.name in self._portals:
            self._portals[op.name].columns = columns
        else:
            # SQL's own cursor: known from here on.
            portal = self._portals[op.name] = _Portal(b"", None)
            portal.columns = columns

    def _again(self, op: _Op) -> None:
        """Forget what is known of a Query whose statement gives a second result: a rule of the target's added it."""
        if op.described:
            op.plan = None
        op.described = True

    def _bound(self) -> None:
        op = self._next(_BIND)
        if op is None:
            return
        if len(self._portals) >= MAX_NAMED:
            self._portals.clear()
        self._portals[op.name] = _Portal(op.other, op.formats)

    def _completed(self, body: bytes) -> None:
        self.copies = ""
        ops = self._ops
        if body.startswith(_REDEFINES):
            self._statements.clear()
            if body.startswith((b"DECLARE", b"CLOSE", b"DISCARD", b"DO", b"CALL")):
                for portal in self._portals.values():
                    portal.formats = portal.columns = None
        if ops and ops[0].kind == _QUERY:
            self.current = None
            self.done = ops[0].outcome()
            ops[0].done += 1
            ops[0].described = False
            return
        op = self._next(_EXECUTE)
        self.done = op.outcome() if op is not None else None

    def _failed(self) -> None:
        self.copies = ""
        ops = self._ops
        while ops and ops[0].kind not in _ENDS:
            ops.popleft()

    def _ready(self, body: bytes) -> None:
        self.copies = ""
        self.current = None
        ops = self._ops
        while ops:
            if ops.popleft().kind in _ENDS:
                break
        if body == b"I":
            self._portals.clear()

    def _row_shape(self) -> None:
        """Say what rows look like that come next: of the oldest Execute, or what a Query has described."""
        self.unknown_binary = self._lost
        self.plan = self.outcome = None
        if self._lost:
            self.current = None
            return
        for op in self._ops:
            if op.kind == _QUERY:
                self.plan, self.outcome = op.plan, op.outcome()
                return
            if op.kind == _EXECUTE:
                self.plan, self.outcome = op.plan, op.outcome()
                self.current = self._of(self._portals.get(op.name))
                return
            if op.kind in _ENDS:
                break
        self.current = None

    @property
    def width(self) -> int | None:
        """How many columns the rows have that come now, as far as the target has said; None where it has not."""
        if self.copies:
            return self._copied
        return len(self.current) if self.current is not None else None

    @property
    def guarded(self) -> bool:
        """Whether an error or a notice that comes now may quote what must not be seen."""
        if self._lost:
            return True
        for op in self._ops:
            if op.kind in (_QUERY, _EXECUTE):
                return op.plan is None or any(outcome.guarded for outcome in op.plan.outcomes)
            if op.kind in _ENDS:
                return False
        return False

    def _of(self, portal: _Portal | None) -> tuple[Column, ...] | None:
        if portal is None:
            self.unknown_binary = True
            return None
        if portal.columns is not None:
            return portal.columns
        if portal.formats is None:
            self.unknown_binary = True
            return None
        columns = self._statements.get(portal.statement)
        if columns is not None:
            return with_formats(columns, portal.formats)
        self.unknown_binary = any(portal.formats)
        return None
