"""Keep catalog and search index up with recordings while they are made, one segment after the other.

The sealing worker drives it before it seals a segment (`recording/indexer.py`): `feed` takes the segment's frames,
`save` puts what they mean into the indexes and gives the state to go on from. After a crash the same frames come
again from the last saved state; what they put is put again in the same places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, cast

import cbor2

from recgate.errors import LocalProtocolError
from recgate.providers import Catalog, ProtocolProvider, SearchIndex, SessionRow
from recgate.recording.frames import RecordedFrame
from recgate.transcript.entries import Entry
from recgate.transcript.transcribing import SessionTranscriber
from recgate.transcript.withheld import withhold

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.plugins import Registry

__all__ = ["Indexer", "build_indexer", "row_of"]

MAX_WAITING: Final = 16 << 20  # characters of entries that wait for the segment's end before they are indexed
MAX_VALUES: Final = 1 << 20  # characters of bind values and result rows that are indexed with one entry
ENTRY_COST: Final = 400  # characters that an entry counts for besides its text

# What `index: facts` may keep: who, target, verbs, objects, tables, hits by rule and place; no text of anybody's.
FACTS: Final = frozenset(
    {"verb", "object", "schema", "table", "column", "database", "function", "secret", "rule", "decision"}
)
# An entry of one of these is something that was asked of the target.
REQUESTS: Final = frozenset({"sql", "shell", "file", "forward", "http", "request", "command"})

Level = Literal["text", "facts", "off"]


def build_indexer(config: Configuration, registry: Registry) -> Indexer:
    """Make the indexer that the configuration in force asks for, with its catalog and search index.

    With `index: off` it keeps the catalog alone: a session that is not listed would be one that nobody finds.
    """
    settings = config.recording
    return Indexer(
        registry.protocols,
        registry.catalog,
        registry.search,
        level=settings.index,
        values=settings.index_values,
    )


def row_of(opened: Mapping[str, object]) -> SessionRow:
    """Give the catalog's row of a session that has just been opened, from its `opened` frame."""
    groups = opened.get("groups", ())
    started = opened.get("started", 0)
    return SessionRow(
        id=str(opened["session"]),
        user=str(opened.get("user", "")),
        groups=tuple(str(group) for group in cast("Sequence[object]", groups)),
        target=str(opened.get("target", "")),
        protocol=str(opened.get("protocol", "")),
        source=str(opened.get("source", "")),
        started=started / 1e9 if isinstance(started, (int, float)) else 0.0,
    )


GRANTED: Final = "access was granted"  # the note of a session that stands on a grant
MAX_APPROVED: Final = 100  # names of one row


@dataclass(slots=True)
class _Indexed:
    """What is known of one session that is being recorded."""

    row: SessionRow
    transcriber: SessionTranscriber
    requests: int = 0
    rows: int = 0
    denied: int = 0
    masked: int = 0
    approved: list[str] = field(default_factory=list[str])
    data: list[int] = field(default_factory=lambda: [0, 0, 0])
    last: int = 0  # µs of the last frame
    waiting: list[Entry] = field(default_factory=list[Entry])
    weight: int = 0

    def counted(self) -> SessionRow:
        """Give the row with the counts so far."""
        return replace(
            self.row,
            requests=self.requests,
            rows=self.rows,
            bytes_client=self.data[0],
            bytes_upstream=self.data[1],
            denied=self.denied,
            masked=self.masked,
            approved=tuple(self.approved),
        )


def _note_approvals(approved: list[str], body: Mapping[str, object]) -> None:
    """Note who let something through: a held request, or the session by a grant."""
    by: object = ()
    if body.get("step") == "approved":
        by = (body.get("by"),)
    elif body.get("text") == GRANTED:
        by = body.get("by")
    for name in cast("Sequence[object]", by) if isinstance(by, (list, tuple)) else ():
        if isinstance(name, str) and name not in approved and len(approved) < MAX_APPROVED:
            approved.append(name)


class Indexer:
    """Derives entries from frames and indexes them. Not safe for threads.

    `level` is `recording.index`, `values` is `recording.index_values`. Errors of catalog and search index
    (`RecgateError`) pass through; then nothing of that call counts as saved.
    """

    def __init__(
        self,
        protocols: Mapping[str, ProtocolProvider],
        catalog: Catalog,
        search: SearchIndex,
        *,
        level: Level = "text",
        values: bool = False,
    ) -> None:
        self._protocols = protocols
        self._catalog = catalog
        self._search = search
        self._level: Level = level
        self._values = values
        self._sessions: dict[str, _Indexed] = {}

    def restore(self, session: str, opened: Mapping[str, object], state: bytes | None) -> None:
        """Take up a session: a new one, which is listed as live from now on, or one that `save` gave the state of."""
        row = row_of(opened)
        if state is None:
            transcriber = SessionTranscriber(self._protocols, opened, rows=self._decodes)
            self._sessions[session] = _Indexed(row, transcriber)
            self._catalog.put(row)
            return
        # What an earlier release saved has nobody's names behind the counts.
        inner, counts, *names = cast("tuple[bytes, list[int], list[str]]", cbor2.loads(state))
        transcriber = SessionTranscriber(self._protocols, opened, state=inner, rows=self._decodes)
        requests, rows, denied, masked, last, *data = counts
        approved = list(names[0]) if names else []
        self._sessions[session] = _Indexed(
            row, transcriber, requests, rows, denied, masked, approved, data, last
        )

    def feed(self, session: str, opened: Mapping[str, object], frames: Iterable[RecordedFrame]) -> None:
        """Take the next frames of a session, in order."""
        indexed = self._of(session)
        data, step = indexed.data, indexed.transcriber.feed
        for frame in frames:
            data[frame.side] += len(frame.data)
            indexed.last = frame.t
            for entry in step(frame):
                self._take(indexed, entry)
                if indexed.weight > MAX_WAITING:
                    self._index(indexed)

    def save(self, session: str) -> bytes:
        """Put what has been fed into catalog and search index, and give the state to go on from."""
        indexed = self._of(session)
        self._index(indexed)
        self._catalog.put(indexed.counted())
        counts = [indexed.requests, indexed.rows, indexed.denied, indexed.masked, indexed.last, *indexed.data]
        return cbor2.dumps([indexed.transcriber.save(), counts, indexed.approved])

    def finish(self, session: str, end: Mapping[str, object], status: str) -> None:
        """The recording is sealed: index what was left incomplete and give the row its end and `status`."""
        indexed = self._sessions.pop(session, None)
        if indexed is None:
            # It could not be taken up, so nothing is known of it but the row that may be there.
            row = self._catalog.get(session)
        else:
            row = indexed.counted()
        if row is None:
            raise LocalProtocolError(f"session {session} ends and was never taken up")
        ended, reason = end.get("ended"), str(end.get("reason", ""))
        if problem := end.get("index_problem"):
            reason = f"{reason} (its index is incomplete: {problem})"
        ended = ended / 1e9 if isinstance(ended, int) else row.started
        # The row first: it must not stay live because the search index is full.
        self._catalog.put(replace(row, ended=ended, status=status, reason=reason))
        if indexed is None:
            return
        for entry in indexed.transcriber.finish():
            self._take(indexed, entry)
        self._index(indexed)
        self._catalog.put(replace(indexed.counted(), ended=ended, status=status, reason=reason))

    @property
    def _decodes(self) -> bool:
        return self._values and self._level == "text"

    def _of(self, session: str) -> _Indexed:
        try:
            return self._sessions[session]
        except KeyError:
            raise LocalProtocolError(f"session {session} was not taken up here") from None

    def _take(self, indexed: _Indexed, entry: Entry) -> None:
        kind = entry.kind
        if kind in REQUESTS:
            indexed.requests += 1
            rows = entry.body.get("rows")
            indexed.rows += rows if isinstance(rows, int) else 0
        elif kind == "decision":
            indexed.denied += entry.body.get("effect") == "deny"
        elif kind in ("held", "note"):
            _note_approvals(indexed.approved, entry.body)
        elif kind == "mask":
            count = entry.body.get("count", 1)
            indexed.masked += count if isinstance(count, int) else 1
        if self._level == "off":
            return
        seen = self._seen(entry)
        if seen.text or seen.terms:
            indexed.waiting.append(seen)
            indexed.weight += len(seen.text) + ENTRY_COST

    def _seen(self, entry: Entry) -> Entry:
        """Give what the index may see of an entry."""
        text, terms = "", entry.terms
        if entry.kind == "file" and isinstance(path := entry.body.get("path"), str):
            terms += (("file", path),)
        if self._level == "text":
            text = withhold(entry.text)
            if self._values:
                text = "\n".join((text, *_values(entry.body)))
        else:
            terms = tuple(term for term in terms if term[0] in FACTS)
        if text is entry.text and terms is entry.terms and not self._decodes:
            return entry
        # Without the body: with decoded rows it holds a part of a result, and what waits must stay small.
        return Entry(entry.n, entry.t, entry.side, entry.channel, entry.kind, {}, text, terms, entry.part)

    def _index(self, indexed: _Indexed) -> None:
        if indexed.waiting:
            self._search.add(indexed.row, indexed.waiting)
            indexed.waiting = []
            indexed.weight = 0


def _values(body: Mapping[str, object]) -> Iterable[str]:
    """Give bind values and result values as text, up to `MAX_VALUES` characters."""
    left = MAX_VALUES
    for key in ("binds", "rows"):
        value = body.get(key)
        # `rows` of a statement is how many; of a result, which.
        for leaf in _leaves(value, 3) if not isinstance(value, int) else ():
            left -= len(leaf)
            if left < 0:
                return
            yield leaf


def _leaves(value: object, depth: int) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)
    elif depth and isinstance(value, Mapping):
        for each in cast("Mapping[object, object]", value).values():
            yield from _leaves(each, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for each in cast("Sequence[object]", value):
            yield from _leaves(each, depth - 1)
