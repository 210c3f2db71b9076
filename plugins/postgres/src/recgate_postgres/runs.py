"""One statement on its way through the target: what was asked, what came back, and the entries that say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from recgate.transcript.entries import Entry
from recgate_postgres.facts import Facts
from recgate_postgres.rows import Column, formats_of, with_formats
from recgate_postgres.values import bind_values

__all__ = ["Bound", "Prepared", "Run"]

MAX_BATCH_ROWS: Final = 200
MAX_BATCH_BYTES: Final = 256 * 1024
MAX_NOTICES: Final = 20

_COUNTED: Final = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "FETCH", "MOVE"))


class Prepared:
    """A prepared statement as the target has it. `columns` are known once it was described."""

    __slots__ = ("columns", "oids", "text")

    def __init__(self, text: str, oids: bytes = b"", columns: tuple[Column, ...] = ()) -> None:
        self.text = text
        self.oids = oids
        self.columns = columns


class Bound:
    """A portal as the target has it. `body` is the Bind's behind its names."""

    __slots__ = ("body", "columns", "prepared")

    def __init__(self, prepared: Prepared, body: bytes, columns: tuple[Column, ...] = ()) -> None:
        self.prepared = prepared
        self.body = body
        self.columns = columns

    def described(self) -> tuple[Column, ...]:
        """Give the columns of its rows, as far as anybody has described them."""
        return self.columns or with_formats(self.prepared.columns, formats_of(self.body))


class Run:
    """A Query, an Execute or a FunctionCall. A Query of several statements is completed once for each."""

    __slots__ = (
        "batch",
        "batched",
        "binds",
        "channel",
        "columns",
        "data",
        "decision",
        "done",
        "n",
        "notices",
        "rows",
        "side",
        "since",
        "t",
        "text",
        "told",
    )

    def __init__(self, n: int, t: int, side: int, channel: int, text: str) -> None:
        self.n = n
        self.t = t
        self.side = side
        self.channel = channel
        self.text = text
        self.binds: list[str | None] = []
        self.decision: Mapping[str, object] | None = None
        self.done = 0  # statements of it that have completed
        self.since = t
        self.columns: tuple[Column, ...] = ()
        self.rows = 0
        self.data = 0  # bytes of rows and COPY data
        self.notices: list[str] = []
        self.batch: list[list[str | None]] = []
        self.batched = 0
        self.told = False  # rows entries of this statement have been given

    def bind(self, bound: Bound, codec: str) -> None:
        """Say what an Execute runs."""
        prepared = bound.prepared
        self.text = prepared.text
        if bound.body[2:4] != b"\0\0" or bound.body[:2] != b"\0\0":
            self.binds = bind_values(bound.body, prepared.oids, codec)

    def note(self, text: str) -> None:
        """Keep a notice."""
        if len(self.notices) < MAX_NOTICES:
            self.notices.append(text)

    def add(self, row: list[str | None], size: int) -> bool:
        """Keep a row for the next rows entry; True when that is due."""
        self.batch.append(row)
        self.batched += size
        return len(self.batch) >= MAX_BATCH_ROWS or self.batched >= MAX_BATCH_BYTES

    def flush(self, t: int) -> Iterator[Entry]:
        """Give what was kept as a rows entry."""
        if self.batch or (self.columns and not self.told):
            names = [column.name for column in self.columns]
            yield Entry(self.n, t, 1, self.channel, "rows", {"columns": names, "rows": self.batch})
            self.told = True
        self.batch = []
        self.batched = 0

    def complete(self, t: int, facts: Facts, text: str, tag: str, error: str | None) -> Entry:
        """Give the entry of the statement that is over, and begin the next."""
        word, _, rest = tag.partition(" ")
        rows = self.rows
        if word in _COUNTED and not rows:
            count = rest.rpartition(" ")[2]
            rows = int(count) if count.isdecimal() else 0
        body: dict[str, object] = {
            "text": text,
            "binds": self.binds,
            "verb": facts.verbs[0] if facts.verbs else word,
            "objects": facts.objects,
            "tables": facts.tables,
            "columns": [column.name for column in self.columns],
            "rows": rows,
            "error": error,
            "duration_ms": (t - self.since) / 1000,
            "tag": tag,
            "bytes": self.data,
            "decision": self.decision,
        }
        if len(facts.verbs) > 1:
            body["verbs"] = facts.verbs
        if self.notices:
            body["notices"] = self.notices
        entry = Entry(self.n, self.t, self.side, self.channel, "sql", body, text, facts.search)
        self.done += 1
        self.since = t
        self.columns = ()
        self.rows = self.data = 0
        self.notices = []
        self.told = False
        return entry
