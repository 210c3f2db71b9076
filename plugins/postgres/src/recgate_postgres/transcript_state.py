"""What a transcriber remembers between two segments, in at most 64 KiB.

What does not fit is left out, the oldest prepared statement first, and long texts are cut: such a text says so.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import cbor2

from recgate_postgres.rows import Column
from recgate_postgres.runs import Bound, Prepared, Run

__all__ = ["MAX_STATE", "Op", "Saved", "pack", "unpack"]

MAX_STATE: Final = 64 * 1024
MAX_UNPACKED: Final = 16 * 1024 * 1024
MAX_TEXT: Final = 16 * 1024  # characters of a statement
MAX_BODY: Final = 4 * 1024  # bytes of bind values
MAX_OPS: Final = 2_000
MAX_COLUMNS: Final = 256
CUT: Final = " … (cut in a saved state)"

_VERSION: Final = 1
_CutterState = tuple[bytes, int, int, int, bytes, bool]


@dataclass(slots=True)
class Op:
    """A message of the client's that waits for its answer: its type, the frame it came in, and what it names.

    `other` is a Parse's text, a Bind's statement name, a Close's or Describe's kind; `data` a Parse's types or a
    Bind's values; `run` what a Query, Execute or FunctionCall runs.
    """

    kind: int
    n: int
    t: int
    name: bytes = b""
    other: bytes = b""
    data: bytes = b""
    run: Run | None = None


@dataclass(slots=True)
class Saved:
    """A state taken apart."""

    codec: str
    denied: list[Mapping[str, object]]
    allowed: Mapping[str, object] | None
    client: _CutterState
    target: _CutterState
    statements: dict[bytes, Prepared] = field(default_factory=dict[bytes, Prepared])
    portals: dict[bytes, Bound] = field(default_factory=dict[bytes, Bound])
    ops: deque[Op] = field(default_factory=deque[Op])


def pack(
    codec: str,
    decisions: tuple[list[Mapping[str, object]], Mapping[str, object] | None],
    cutters: tuple[_CutterState, _CutterState],
    statements: Mapping[bytes, Prepared],
    portals: Mapping[bytes, Bound],
    ops: deque[Op],
) -> bytes:
    """Serialise; the most recently prepared statements are kept first."""
    kept: list[list[object]] = [[name, *_prepared(each)] for name, each in statements.items()]
    kept.reverse()
    bound = [
        [name, _prepared(each.prepared), each.body[:MAX_BODY], _columns(each.columns)]
        for name, each in portals.items()
    ]
    waiting = [_op(op) for op in ops]
    waiting = waiting[-MAX_OPS:]
    while True:
        state = [
            _VERSION,
            codec,
            [list(map(_small, decisions[0])), _small(decisions[1])],
            *map(list, cutters),
            kept[::-1],
            bound,
            waiting,
        ]
        packed = zlib.compress(cbor2.dumps(state), 1)
        if len(packed) <= MAX_STATE or not (kept or bound or waiting):
            return packed
        if kept:
            kept = kept[: len(kept) // 2]
        elif bound:
            bound = bound[: len(bound) // 2]
        else:
            waiting = waiting[(len(waiting) + 1) // 2 :]


def unpack(state: bytes) -> Saved:
    """Take a state apart. Raises `ValueError` for one of another version."""
    inflater = zlib.decompressobj()
    plain = inflater.decompress(state, MAX_UNPACKED)
    items = cast("list[object]", cbor2.loads(plain))
    if items[0] != _VERSION:
        raise ValueError("a transcriber state of another version")
    _, codec, decisions, client, target, kept, bound, waiting = items
    saved = Saved(
        cast("str", codec),
        *cast(
            "tuple[list[Mapping[str, object]], Mapping[str, object] | None]",
            tuple(cast("list[object]", decisions)),
        ),
        cast("_CutterState", tuple(cast("list[object]", client))),
        cast("_CutterState", tuple(cast("list[object]", target))),
    )
    for name, *prepared in cast("list[list[object]]", kept):
        saved.statements[cast("bytes", name)] = _to_prepared(prepared)
    for name, prepared, body, columns in cast("list[tuple[bytes, list[object], bytes, list[object]]]", bound):
        saved.portals[name] = Bound(_to_prepared(prepared), body, _to_columns(columns))
    saved.ops = deque(_to_op(op) for op in cast("list[list[object]]", waiting))
    return saved


def _small(decision: Mapping[str, object] | None) -> dict[str, object] | None:
    if decision is None:
        return None
    return {
        key: value[:2_000] if isinstance(value, str) else str(value)[:200] for key, value in decision.items()
    }


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + CUT


def _prepared(prepared: Prepared) -> list[object]:
    return [_cut(prepared.text), prepared.oids[:MAX_BODY], _columns(prepared.columns)]


def _to_prepared(items: list[object]) -> Prepared:
    text, oids, columns = items
    return Prepared(cast("str", text), cast("bytes", oids), _to_columns(cast("list[object]", columns)))


def _columns(columns: tuple[Column, ...]) -> list[object]:
    return [[column.name[:200], column.oid, column.binary] for column in columns[:MAX_COLUMNS]]


def _to_columns(items: list[object]) -> tuple[Column, ...]:
    return tuple(Column(*item) for item in cast("list[tuple[str, int, bool]]", items))


def _op(op: Op) -> list[object]:
    return [op.kind, op.n, op.t, op.name, op.other[:MAX_TEXT], op.data[:MAX_BODY], _run(op.run)]


def _to_op(items: list[object]) -> Op:
    kind, n, t, name, other, data, run = cast(
        "tuple[int, int, int, bytes, bytes, bytes, list[object] | None]", items
    )
    return Op(kind, n, t, name, other, data, None if run is None else _to_run(run))


def _run(run: Run | None) -> list[object] | None:
    if run is None:
        return None
    binds = [value if value is None else value[:MAX_BODY] for value in run.binds[:MAX_COLUMNS]]
    return [
        [run.n, run.t, run.side, run.channel, _cut(run.text)],
        [binds, _small(run.decision), run.done, run.since, _columns(run.columns), run.rows, run.data],
        [run.told, *(note[:200] for note in run.notices)],
    ]


def _to_run(items: list[object]) -> Run:
    made, progress, notices = items
    run = Run(*cast("tuple[int, int, int, int, str]", tuple(cast("list[object]", made))))
    binds, decision, run.done, run.since, columns, run.rows, run.data = cast(
        "tuple[list[str | None], Mapping[str, object] | None, int, int, list[object], int, int]", progress
    )
    run.binds, run.decision, run.columns = binds, decision, _to_columns(columns)
    run.told, *run.notices = cast("tuple[bool, str]", tuple(cast("list[object]", notices)))
    return run
