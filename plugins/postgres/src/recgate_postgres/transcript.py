"""What a recorded connection means: statements with bind values, rows, counts, errors and times.

It keeps the target's own books: what the client asked waits in a queue, and each answer settles the oldest. So a
name means here what it meant there, also behind an error, where everything up to the next Sync is skipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

import cbor2

from recgate.recording.frames import RecordedFrame
from recgate.transcript.entries import Entry
from recgate_postgres.cutting import Cutter
from recgate_postgres.encodings import DEFAULT, codec, decode
from recgate_postgres.facts import Facts, FactsCache, pieces_of
from recgate_postgres.messages import fields_of
from recgate_postgres.redefining import redefined
from recgate_postgres.refusals import ATTEMPT
from recgate_postgres.requests import function_text
from recgate_postgres.rows import Column, columns_of, row_of
from recgate_postgres.runs import Bound, Prepared, Run
from recgate_postgres.transcript_state import Op, pack, unpack
from recgate_postgres.values import bind_values

__all__ = ["PostgresTranscriber"]

MAX_BODY: Final = (
    16 * 1024 * 1024
)  # bytes of one message that are kept; a statement or row beyond is shown cut
MAX_DESCRIBED: Final = 512  # row descriptions remembered by their bytes
MAX_WAITING: Final = 100_000  # messages without an answer; a recording with more is damaged
MAX_DENIED: Final = 1_000  # refusals without their stand-in
SKIPPED: Final = "not run: an earlier message of the series failed"

_FRONT: Final = b"QPBECDFS"
_BACK: Final = b"TCESNtAZ"
_PARSE, _BIND, _CLOSE, _DESCRIBE, _EXECUTE, _SYNC, _QUERY, _CALL = (
    0x50,
    0x42,
    0x43,
    0x44,
    0x45,
    0x53,
    0x51,
    0x46,
)
_ROW: Final = 0x44
_ATTEMPT: Final = 0  # no message of the protocol: a Bind that was refused
_SAID: Final = frozenset(("effect", "rule", "reason"))
_REDEFINES: Final = frozenset(("PREPARE", "DECLARE CURSOR"))
_ENDS: Final = frozenset((_SYNC, _QUERY, _CALL))


class PostgresTranscriber:
    """Implements `recgate.transcript.entries.Transcriber`."""

    def __init__(self, opened: Mapping[str, object], state: bytes | None = None, rows: bool = False) -> None:
        self._decodes = rows
        self._client = Cutter(_FRONT + b"d" if rows else _FRONT, MAX_BODY)
        self._target = Cutter(_BACK + b"Dd" if rows else _BACK, MAX_BODY)
        self._codec = DEFAULT
        self._facts = FactsCache()
        self._described: dict[bytes, tuple[Column, ...]] = {}
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Bound] = {}
        self._ops: deque[Op] = deque()
        self._denied: list[Mapping[str, object]] = []  # refusals whose stand-in is still to come
        self._allowed: Mapping[str, object] | None = None  # what somebody approved
        self._last = RecordedFrame(0, 0, 0, 0, "", b"")
        self._out: list[Entry] = []
        self._answers: dict[int, Callable[[int, bytes], None]] = {
            0x31: self._parsed,
            0x32: self._bound,
            0x33: self._closed,
            0x41: self._notified,
            0x43: self._completed,
            0x44: self._row,
            0x45: self._failed,
            0x47: self._copies_in,
            0x49: self._empty,
            0x4E: self._noticed,
            0x53: self._parameter,
            0x54: self._columns,
            0x56: self._called,
            0x5A: self._ready,
            0x64: self._copied,
            0x6E: self._no_data,
            0x73: self._suspended,
            0x74: self._parameters,
        }
        if state is not None:
            saved = unpack(state)
            self._codec, self._denied, self._allowed = saved.codec, saved.denied, saved.allowed
            self._statements, self._portals, self._ops = saved.statements, saved.portals, saved.ops
            self._client.restore(saved.client)
            self._target.restore(saved.target)

    # -- the contract ----------------------------------------------------------------------------------------

    def feed(self, frame: RecordedFrame) -> Iterable[Entry]:
        """Take the next frame and give the entries that it completes."""
        kind = frame.kind
        if kind == "B":
            self._last = frame
            answers = self._answers
            for code, length, body, count in self._target.cut(frame.data):
                answer = answers.get(code)
                if count > 1:
                    self._counted(code, length, count)
                elif answer is not None:
                    answer(length, body)
            return self._given()
        elif kind == "F":
            self._last = frame
            for code, length, body, count in self._client.cut(frame.data):
                if count > 1:
                    self._counted(code, length, count)
                else:
                    self._asked(frame, code, length, body)
            return self._given()
        elif kind == "decision":
            self._decided(frame.data)
        elif kind == ATTEMPT:
            self._attempted(frame)
        return ()

    def _given(self) -> Iterable[Entry]:
        if self._decodes and self._ops:
            run = self._ops[0].run
            if run is not None and run.batch:
                self._out.extend(run.flush(self._last.t))  # a saved state holds no rows
        if not self._out:
            return ()
        out, self._out = self._out, []
        return out

    def finish(self) -> Iterable[Entry]:
        """The recording ends here: give what was left incomplete."""
        self._resolve(list(self._ops))
        for op in self._ops:
            if op.run is not None and (op.kind != _QUERY or op.run.done == 0):
                self._complete(op.run, "", "unfinished: the recording ends here")
        self._ops.clear()
        out, self._out = self._out, []
        return out

    def save(self) -> bytes:
        """Serialise the state at a segment border."""
        return pack(
            self._codec,
            (self._denied, self._allowed),
            (self._client.save(), self._target.save()),
            self._statements,
            self._portals,
            self._ops,
        )

    # -- what the client asks ----------------------------------------------------------------------------------

    def _asked(self, frame: RecordedFrame, code: int, length: int, body: bytes) -> None:
        ops = self._ops
        if code == _BIND:
            portal, _, rest = body.partition(b"\0")
            name, _, rest = rest.partition(b"\0")
            ops.append(Op(_BIND, frame.seq, frame.t, portal, name, rest))
        elif code == _EXECUTE:
            name = body[:-5]
            run = self._run(frame, "")
            if frame.side == 2 and ops and ops[-1].kind == _ATTEMPT:
                self._would_run(run, ops.pop())
            elif frame.side == 2 and (portal := self._refused_portal(run.text)) is not None:
                name, run.text = portal, ""
            ops.append(Op(_EXECUTE, frame.seq, frame.t, name, run=run))
        elif code == _SYNC:
            ops.append(Op(_SYNC, frame.seq, frame.t))
        elif code == _QUERY:
            text = decode(body[:-1] if len(body) == length - 4 else body, self._codec)
            ops.append(Op(_QUERY, frame.seq, frame.t, run=self._run(frame, text)))
        elif code == _PARSE:
            name, _, rest = body.partition(b"\0")
            text, _, rest = rest.partition(b"\0")
            ops.append(Op(_PARSE, frame.seq, frame.t, name, text, rest[2:]))
        elif code in (_CLOSE, _DESCRIBE):
            ops.append(Op(code, frame.seq, frame.t, body[1:-1], body[:1]))
        elif code == _CALL:
            run = self._run(frame, function_text(body))
            run.binds = bind_values(body[4:], b"", self._codec)
            ops.append(Op(_CALL, frame.seq, frame.t, run=run))
        elif code == 0x64:
            self._copied(length, body)
        if len(ops) > MAX_WAITING:
            ops.clear()

    def _run(self, frame: RecordedFrame, text: str) -> Run:
        run = Run(frame.seq, frame.t, frame.side, frame.channel, text)
        if frame.side == 2:
            # The stand-in of a refused message: what was asked is in the decision.
            run.side = 0
            run.decision = self._denied.pop(0) if self._denied else None
            asked = run.decision.get("text") if run.decision is not None else None
            run.text = asked if isinstance(asked, str) and asked else "(refused by the gateway)"
        elif self._allowed is not None:
            run.decision, self._allowed = self._allowed, None
        if run.decision is not None:
            run.decision = {key: value for key, value in run.decision.items() if key in _SAID}
        return run

    def _decided(self, data: bytes) -> None:
        try:
            body: object = cbor2.loads(data)
        except (cbor2.CBORError, ValueError, EOFError):
            return
        if not isinstance(body, dict):
            return
        decision = cast("Mapping[str, object]", body)
        # Frames that arrived together are recorded together, so a refusal may stand before what was allowed ahead
        # of it: it belongs to the next stand-in and to nothing else.
        if decision.get("effect") != "deny":
            self._allowed = decision
        elif decision.get("kind") != "session" and len(self._denied) < MAX_DENIED:
            self._denied.append(decision)

    def _attempted(self, frame: RecordedFrame) -> None:
        """Keep a refused Bind, which the target never saw: the stand-in that follows has no values of its own."""
        data = frame.data
        portal, _, rest = data[5 : 1 + int.from_bytes(data[1:5])].partition(b"\0")
        name, _, rest = rest.partition(b"\0")
        self._ops.append(Op(_ATTEMPT, frame.seq, frame.t, portal, name, rest[:MAX_BODY]))

    def _would_run(self, run: Run, bind: Op) -> None:
        prepared = self._prepared(bind.other)
        for op in self._ops:
            if op.kind == _PARSE and op.name == bind.other:
                prepared = Prepared(decode(op.other, self._codec), op.data)
        run.bind(Bound(prepared, bind.data), self._codec)

    def _refused_portal(self, asked: str) -> bytes | None:
        """Find the portal whose Execute was refused: a decision holds the beginning of its text alone."""
        parsed = {op.name: op.other for op in self._ops if op.kind == _PARSE}
        for op in reversed(self._ops):
            if op.kind == _BIND:
                text = parsed.get(op.other)
                shown = self._prepared(op.other).text if text is None else decode(text, self._codec)
                return op.name if shown.startswith(asked) else None
        return None

    # -- what the target answers -------------------------------------------------------------------------------

    def _next(self, kind: int) -> Op | None:
        """Take the oldest question of this kind, dropping what was never answered before it."""
        ops = self._ops
        while ops:
            if ops[0].kind in _ENDS:
                return None
            op = ops.popleft()
            if op.kind == kind:
                return op
        return None

    def _running(self) -> Run | None:
        """Give the run whose answers come now, resolving what an Execute runs at the first of them."""
        for op in self._ops:
            run = op.run
            if run is not None:
                if op.kind == _EXECUTE and not run.text:
                    bound = self._portals.get(op.name)
                    if bound is None:
                        run.text = self._cursor(op.name)
                    else:
                        run.bind(bound, self._codec)
                        run.columns = bound.described()
                return run
        return None

    def _parsed(self, length: int, body: bytes) -> None:
        op = self._next(_PARSE)
        if op is not None:
            self._statements[op.name] = Prepared(decode(op.other, self._codec), op.data)

    def _bound(self, length: int, body: bytes) -> None:
        op = self._next(_BIND)
        if op is not None:
            self._portals[op.name] = Bound(self._prepared(op.other), op.data)

    def _prepared(self, name: bytes) -> Prepared:
        found = self._statements.get(name)
        return found if found is not None else Prepared(f'EXECUTE "{decode(name, self._codec)}"')

    def _cursor(self, name: bytes) -> str:
        return f'FETCH FROM "{decode(name, self._codec)}"'

    def _closed(self, length: int, body: bytes) -> None:
        op = self._next(_CLOSE)
        if op is not None:
            (self._statements if op.other == b"S" else self._portals).pop(op.name, None)

    def _parameters(self, length: int, body: bytes) -> None:
        for op in self._ops:
            if op.kind == _DESCRIBE:
                prepared = self._statements.get(op.name)
                if prepared is not None:
                    prepared.oids = body[2:]
                return

    def _no_data(self, length: int, body: bytes) -> None:
        self._next(_DESCRIBE)

    def _columns(self, length: int, body: bytes) -> None:
        columns = self._described.get(body)
        if columns is None:
            columns = columns_of(body, self._codec)
            if len(self._described) >= MAX_DESCRIBED:
                self._described.clear()
            self._described[body] = columns
        op = self._next(_DESCRIBE)
        if op is None:
            run = self._running()
            if run is not None:
                run.columns = columns
        elif op.other == b"S":
            self._prepared(op.name).columns = columns
        elif op.name in self._portals:
            self._portals[op.name].columns = columns

    def _row(self, length: int, body: bytes) -> None:
        run = self._running()
        if run is None:
            return
        run.rows += 1
        run.data += length - 4
        if self._decodes and run.add(row_of(body, run.columns, self._codec), len(body)):
            self._out.extend(run.flush(self._last.t))

    def _copied(self, length: int, body: bytes) -> None:
        run = self._running()
        if run is None:
            return
        run.data += length - 4
        if self._decodes and run.add([decode(body, self._codec).rstrip("\n")], len(body)):
            self._out.extend(run.flush(self._last.t))

    def _counted(self, code: int, length: int, count: int) -> None:
        """Count rows that nobody decodes, or pieces of COPY data, which together have this length."""
        run = self._running()
        if run is None:
            return
        run.data += length - 4 * count
        if code == _ROW:
            run.rows += count

    def _copies_in(self, length: int, body: bytes) -> None:
        self._running()
        # The target ignores a Sync while it takes COPY data; libpq sends one right behind the Execute.
        ops = self._ops
        while len(ops) > 1 and ops[1].kind == _SYNC:
            del ops[1]

    def _completed(self, length: int, body: bytes) -> None:
        self._end(decode(body[:-1], "latin-1"), None)

    def _suspended(self, length: int, body: bytes) -> None:
        self._end("", None)

    def _empty(self, length: int, body: bytes) -> None:
        self._end("", None)

    def _called(self, length: int, body: bytes) -> None:
        run = self._running()
        if run is not None:
            run.data += max(length - 8, 0)
        self._end("", None)

    def _end(self, tag: str, error: str | None) -> None:
        run = self._running()
        if run is None:
            return
        self._complete(run, tag, error)
        ops = self._ops
        while ops and ops[0].run is not run:
            ops.popleft()
        if ops and ops[0].kind == _EXECUTE:
            ops.popleft()

    def _complete(self, run: Run, tag: str, error: str | None) -> None:
        t = self._last.t
        if self._decodes and error is None:
            self._out.extend(run.flush(t))
        text, facts = self._piece(run)
        if tag in _REDEFINES and error is None:
            # From here on the name is SQL's: what was parsed or bound under it is not what runs.
            books = self._portals if tag == "DECLARE CURSOR" else self._statements
            names = redefined(text.encode(), portals=tag == "DECLARE CURSOR")
            for name in tuple(books) if names is None else names:
                books.pop(name, None)
        self._out.append(run.complete(t, facts, text, tag, error))

    def _piece(self, run: Run) -> tuple[str, Facts]:
        """Which statement of a Query is over."""
        text = run.text
        if ";" in text:
            pieces = pieces_of(text)
            if len(pieces) > 1:
                text = pieces[min(run.done, len(pieces) - 1)]
        return text, self._facts.get(text)

    def _failed(self, length: int, body: bytes) -> None:
        fields = fields_of(body)
        said = decode(fields.get("M", b""), self._codec)
        error = f"{decode(fields.get('C', b''), 'latin-1')}: {said}"
        ops = self._ops
        if not ops:
            return  # the connection is being ended, not a statement
        if ops[0].kind in (_QUERY, _CALL):
            self._end("", error)
            return
        series: list[Op] = []
        while ops and ops[0].kind not in _ENDS:
            series.append(ops.popleft())
        self._resolve(series)
        runs = [op.run for op in series if op.run is not None]
        if not runs:
            runs = self._unrun(series)
        for index, run in enumerate(runs):
            self._complete(run, "", SKIPPED if index else error)

    def _resolve(self, series: list[Op]) -> None:
        """Say what Executes would have run, whose Parse or Bind was not confirmed."""
        statements: dict[bytes, Prepared] = {}
        portals: dict[bytes, Bound] = {}
        for op in series:
            if op.kind == _PARSE:
                statements[op.name] = Prepared(decode(op.other, self._codec), op.data)
            elif op.kind == _BIND:
                portals[op.name] = Bound(statements.get(op.other) or self._prepared(op.other), op.data)
            elif op.kind == _EXECUTE and op.run is not None and not op.run.text:
                bound = portals.get(op.name) or self._portals.get(op.name)
                if bound is None:
                    op.run.text = self._cursor(op.name)
                else:
                    op.run.bind(bound, self._codec)

    def _unrun(self, series: list[Op]) -> list[Run]:
        """A series that failed before it came to an Execute: its text is an attempt all the same."""
        for op in series:
            if op.kind in (_PARSE, _BIND):
                parsed = op.kind == _PARSE
                text = decode(op.other, self._codec) if parsed else self._prepared(op.other).text
                return [Run(op.n, op.t, 0, self._last.channel, text)]
        return []

    def _ready(self, length: int, body: bytes) -> None:
        ops = self._ops
        while ops:
            if ops.popleft().kind in _ENDS:
                break
        if body == b"I" and self._portals:
            self._portals.clear()  # no transaction, no portals

    def _parameter(self, length: int, body: bytes) -> None:
        name, _, value = body.partition(b"\0")
        if name == b"client_encoding":
            self._codec = codec(decode(value.rstrip(b"\0"), "latin-1"))

    def _noticed(self, length: int, body: bytes) -> None:
        run = self._running()
        if run is not None:
            run.note(decode(fields_of(body).get("M", b""), self._codec))

    def _notified(self, length: int, body: bytes) -> None:
        channel, _, payload = body[4:].partition(b"\0")
        text = f"{decode(channel, self._codec)}: {decode(payload[:-1], self._codec)}"
        last = self._last
        self._out.append(
            Entry(last.seq, last.t, last.side, last.channel, "note", {"text": f"NOTIFY {text}"}, text)
        )
