"""Which text a portal runs, as the target knows it: the books that make "decided on at every Execute" true.

A client may name a statement, let the target skip the Parse that would replace it (everything behind an
error is skipped up to the next Sync), and execute the old text under a name that seems to mean the new one. So
a name changes here when the target says that it did, and not before. Between the two, a name is what the
same series last said of it; and where the outcome of an *earlier* series decides between two texts, the
client waits until the target has answered (`None` from `bind` and `execute`).

A *series* is what stands between two Syncs; each ends in one ReadyForQuery, as does each Query and
FunctionCall (55.2.3). Rules about COPY: see `copy_in`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from recgate.errors import RemoteProtocolError
from recgate.mask.columns import COLUMNS, ColumnRefusal
from recgate.policy import Act
from recgate_postgres.encodings import DEFAULT, decode
from recgate_postgres.meanings import Meanings
from recgate_postgres.origin.sights import Wait
from recgate_postgres.redefining import redefined
from recgate_postgres.requests import NO_LIMIT, Portal, Statement

if TYPE_CHECKING:
    from recgate_postgres.origin.bearings import Bearings
    from recgate_postgres.origin.judging import Judge

__all__ = ["MAX_SERIES", "Names"]

MAX_SERIES: Final = 1_024  # Syncs and Queries under way; a client that pipelines more waits for answers
MAX_CHANGES: Final = 8_192  # names whose change the target has not confirmed
MAX_STATEMENTS: Final = 10_000
MAX_PORTALS: Final = 10_000
MAX_MEANINGS: Final = 64  # texts that one name may mean
MAX_REDEFINING: Final = 16 * 1024 * 1024  # bytes of SQL that are kept because they may have redefined a name
MAX_TEXT: Final = 64 * 1024 * 1024  # bytes of all statements' texts
IDLE: Final = 73  # "I": no transaction, so no portal either

_PARSE, _CLOSE, _CLOSE_PORTAL = 1, 3, 0
_NOTHING: Final[dict[bytes, Portal | None]] = {}  # a series that binds nothing; never written to


class _Series:
    """What a series changes: statements in order and by name, and portals."""

    __slots__ = ("bound", "changes", "said")

    def __init__(self) -> None:
        self.changes: deque[tuple[int, bytes, Statement | None]] = deque()
        # Of a name each text in turn: whether the later ones came into force is for the target to say.
        self.said: dict[bytes, list[Statement | None]] = {}
        self.bound: dict[bytes, Portal | None] = {}


class Names:
    """The names of one connection. Client messages come in through verbs, the target's answers through participles."""

    __slots__ = (
        "_bound",
        "_errored",
        "_redefining",
        "_series",
        "_text",
        "_tick",
        "_unsettled",
        "active",
        "answered",
        "asked",
        "changes",
        "codec",
        "copying",
        "evicted",
        "failed",
        "flushed",
        "foreign",
        "guarded",
        "judge",
        "latest",
        "meanings",
        "portals",
        "ran",
        "sights",
        "statements",
        "status",
        "waiting",
    )

    def __init__(self) -> None:
        self.statements: dict[bytes, Statement] = {}
        self.portals: dict[bytes, Portal] = {}
        self.waiting: deque[_Series | dict[bytes, Portal | None] | None] = deque()
        self.meanings = Meanings(self.means)
        self.judge: Judge | None = None  # where masks by origin hold
        self.sights: Bearings | None = None  # where something must know what names mean
        self.status = IDLE  # of the transaction, as the last ReadyForQuery said
        self.active = False  # something was asked since the last Sync
        self.ran = False  # and some of it was executed
        self.failed = False  # and the target is skipping up to the next
        self.asked = self.answered = 0  # messages of the open series, and answers to them
        self.flushed = 0  # how many had been asked at the last Flush
        self.copying = False
        self.guarded = False  # a Query under way may begin a COPY, which would eat the message behind it
        self.changes = 0
        self.codec = DEFAULT
        self.evicted = False
        self.foreign = False  # the target may have names that are not in these books: SQL's, and evicted ones
        self._series: _Series | None = None
        self._bound: dict[bytes, Portal | None] = {}
        self.latest = Portal(b"", Statement(b"", b""), DEFAULT, self)  # what the last Bind made
        self._unsettled: dict[bytes, int] = {}
        self._errored = False
        self._redefining = 0
        self._text = 0
        self._tick = 0

    @property
    def crowded(self) -> bool:
        """Whether so much awaits its answer that the client must wait."""
        return len(self.waiting) >= MAX_SERIES or self.changes >= MAX_CHANGES

    def known(self) -> dict[str, str]:
        """Give every name that may mean a text, for judging EXECUTE, FETCH and MOVE."""
        found = {name: statements[-1].meanings for name, statements in self._prepared().items()}
        found.update((name, portals[-1].statement.meanings) for name, portals in self._opened().items())
        return {
            decode(name, self.codec): decode(b";\n".join(texts), self.codec) for name, texts in found.items()
        }

    def behind(self) -> bool:
        """Whether something is under way that stands before the last Query."""
        return len(self.waiting) > 1

    def refusal(self) -> ColumnRefusal | None:
        """Say why the request of now would show what it may not. Raises `KeyError` where nobody has looked."""
        if self.judge is None:
            raise KeyError(COLUMNS)
        return self.judge.refusal

    @property
    def looked(self) -> bool:
        """Whether what names mean is looked at: for masks by origin, or for policies with a catalog."""
        return self.judge is not None or self.sights is not None

    def waits(self, text: bytes) -> bool:
        """Whether a text cannot be judged before the target, or the gateway's own connection, has answered."""
        if self.sights is not None:
            return isinstance(self.sights.sight(text), Wait)
        return self.judge is not None and self.judge.waits(text)

    def resolved(self, acts: Sequence[Act]) -> Sequence[Act]:
        """Give acts with the schemas of their names, where a catalog says them."""
        return acts if self.sights is None else self.sights.resolved(acts)

    def opened(self, sort: str, name: str) -> list[Statement] | list[Portal]:
        """Give what a name may mean: of a `cursor` the portals, of a `statement` the statements."""
        return (
            self._opened().get(name.encode(self.codec, "replace"), [])
            if sort == "cursor"
            else self.means(sort, name)
        )

    def means(self, sort: str, name: str) -> list[Statement]:
        """Give the statements that a name may mean, of a `cursor` or of a `statement`."""
        said = name.encode(self.codec, "replace")
        if sort == "cursor":
            return [each.statement for each in self._opened().get(said, ())]
        return self._prepared().get(said, [])

    def _prepared(self) -> dict[bytes, list[Statement]]:
        """Give every statement that a name may mean, the latest last."""
        found = {name: [statement] for name, statement in self.statements.items()}
        for series in (*self.waiting, self._series):
            if isinstance(series, _Series):
                for name, texts in series.said.items():
                    found.setdefault(name, []).extend(each for each in texts if each is not None)
        return {name: statements for name, statements in found.items() if statements}

    def _opened(self) -> dict[bytes, list[Portal]]:
        """Give every portal that a name may mean, the latest last."""
        found = {name: [portal] for name, portal in self.portals.items()}
        for series in (*self.waiting, self._series, self._bound):
            bound = series.bound if isinstance(series, _Series) else series
            for name, portal in (bound or {}).items():
                if portal is not None:
                    found.setdefault(name, []).append(portal)
        return found

    def redefine(self, text: bytes) -> None:
        """Note that SQL is about to run which may give names another meaning.

        From now on such a name is judged as EXECUTE or FETCH would be that runs any of its texts, the old ones and
        this: whether the SQL is skipped, fails or succeeds makes no difference to what has been said of it.
        """
        self.foreign = True
        self.meanings.unread(text)
        names = redefined(text, portals=False)
        for name, statements in self._prepared().items():
            if name and (names is None or name in names):
                meant = self._meanings(statements, text)
                for statement in statements:
                    statement.redefine(_quoted(b"EXECUTE", name), meant)
        names = redefined(text, portals=True)
        for name, portals in self._opened().items():
            if name and (names is None or name in names):
                meant = self._meanings([each.statement for each in portals], text)
                held = Statement(b"", _quoted(b"FETCH FROM", name))
                held.redefine(held.text, meant)
                for portal in portals:
                    portal.redefine(held)

    def _meanings(self, statements: list[Statement], text: bytes) -> tuple[bytes, ...]:
        """Give all texts together, or none where they are too many to keep."""
        meant = dict.fromkeys(each for statement in statements for each in statement.meanings)
        if text not in meant:
            self._redefining += len(text)
            meant[text] = None
        known = all(each.known for each in statements)
        fits = len(meant) <= MAX_MEANINGS and self._redefining <= MAX_REDEFINING
        return tuple(meant) if known and fits else ()

    # -- what the client says ------------------------------------------------------------------------------

    def parse(self, statement: Statement) -> None:
        """Note a Parse."""
        self.active = True
        self.asked += 1
        self._change(_PARSE, statement.name, statement)

    def close(self, kind: int, name: bytes) -> None:
        """Note a Close of a statement ("S") or a portal."""
        self.active = True
        self.asked += 1
        if kind == 0x53:
            self._change(_CLOSE, name, None)
        else:
            self._change(_CLOSE_PORTAL, name, None)
            self._bound[name] = None

    def _change(self, kind: int, name: bytes, statement: Statement | None) -> None:
        if self.failed:
            return  # it will be skipped
        series = self._series
        if series is None:
            series = self._series = _Series()
            series.bound = self._bound
        series.changes.append((kind, name, statement))
        self.changes += 1
        if kind != _CLOSE_PORTAL:
            series.said.setdefault(name, []).append(statement)
            self._unsettled[name] = self._unsettled.get(name, 0) + 1

    def bind(self, portal: bytes, name: bytes, bound: bytes) -> bool:
        """Note a Bind. False when the statement's text hangs on answers that are still to come."""
        statement = self.statements.get(name)
        if self._unsettled and name in self._unsettled:
            found, statement = self._resolve(name, statement)
            if not found:
                return False
        self.active = True
        self.asked += 1
        if statement is None:
            # Made by SQL's own PREPARE, which was decided on there, or not at all.
            statement = Statement(name, _quoted(b"EXECUTE", name), known=not self.evicted)
        self._tick = statement.used = self._tick + 1
        made = statement.portal
        # Bound anew only while nothing that is still under way speaks of it.
        if made is None or portal or self.waiting or made.codec != self.codec:
            made = Portal(portal, statement, self.codec, self)
            if not portal:
                statement.portal = made
        made.bound = bound
        made.plan = None
        if len(self._bound) >= MAX_PORTALS:
            raise RemoteProtocolError(f"more than {MAX_PORTALS} portals", hint="54000")
        self._bound[portal] = self.latest = made
        return True

    def run(self, name: bytes, bound: bytes) -> Portal | None:
        """Note Bind, Execute and Sync of the unnamed portal at once, as one series.

        None, and nothing noted, where that is more than a matter of course: something else is under way, or the
        statement is not one that the target has confirmed, or what it does may redefine names.
        """
        if self.waiting or self._bound or self._series is not None or self.copying:
            return None
        statement = self.statements.get(name)
        if statement is None or not statement.known or statement.redefines:
            return None
        self._tick = statement.used = self._tick + 1
        portal = statement.portal
        if portal is None or portal.codec != self.codec:
            portal = statement.portal = Portal(b"", statement, self.codec, self)
        portal.bound = bound
        portal.plan = None
        portal.limit = NO_LIMIT
        self.waiting.append({b"": portal})
        self._begin_series()
        return portal

    def _resolve(self, name: bytes, settled: Statement | None) -> tuple[bool, Statement | None]:
        series = self._series
        if series is not None and name in series.said:
            return True, series.said[name][-1]  # if it is skipped, so is the Bind
        latest = settled
        for each in self.waiting:
            for statement in each.said.get(name, ()) if isinstance(each, _Series) else ():
                if statement is not None:
                    if self.foreign if latest is None else not latest.same(statement):
                        return False, None
                    latest = statement
        return True, latest

    def execute(self, name: bytes) -> Portal | None:
        """Give the portal that an Execute runs. None when that hangs on answers that are still to come."""
        bound = self._bound
        if name in bound:
            portal = bound[name]
            return self._unknown(name) if portal is None else portal
        latest = self.portals.get(name)
        for each in self.waiting:
            portals = each.bound if isinstance(each, _Series) else each
            portal = portals.get(name) if portals else None
            if portal is not None:
                if self.foreign if latest is None else not latest.statement.same(portal.statement):
                    return None
                latest = portal
        return self._unknown(name) if latest is None else latest

    def _unknown(self, name: bytes) -> Portal:
        # A cursor that SQL declared, which was decided on there; or no such portal.
        return Portal(name, Statement(b"", _quoted(b"FETCH FROM", name)), self.codec, self)

    def sync(self) -> None:
        """Note a Sync: what comes next is a new series."""
        series = self._series
        if series is not None:
            self.waiting.append(series)
            self._series = None
            self._bound = {}
        elif self._bound:
            self.waiting.append(self._bound)
            self._bound = {}
        else:
            self.waiting.append(_NOTHING)
        self._begin_series()

    def _begin_series(self) -> None:
        self.active = self.ran = self.failed = False
        self.asked = self.answered = self.flushed = 0

    def query(self, *, may_copy: bool = False) -> bool:
        """Note a Query or FunctionCall. `may_copy` says that COPY data may be what the target wants next.

        False while a series that has no Sync, but a Flush, awaits answers: if it fails, this is skipped too.

        Raises:
            RemoteProtocolError: such a series has failed, or will not be answered as there is no Flush either.
        """
        if self.active:
            if self.failed or self.flushed != self.asked:
                reason = "a Query inside a series of extended messages: send Sync first"
                raise RemoteProtocolError(reason, hint="08P01")
            if self.waiting or self.answered != self.asked:
                return False
            # Answered in whole: the Query ends it (asyncpg prepares so). Its portals live on in a transaction.
            self.portals.update((name, each) for name, each in self._bound.items() if each is not None)
            self._series, self._bound = None, {}
            self._begin_series()
        self.waiting.append(None)
        self.guarded = self.guarded or may_copy
        return True

    def may_copy(self) -> bool:
        """Whether COPY data may pass: the target takes it, or would ignore it because nothing else is under way."""
        return self.copying or not (self.waiting or (self.active and not self.failed))

    # -- what the target answers -----------------------------------------------------------------------------

    def _oldest(self) -> _Series | None:
        if self.waiting:
            first = self.waiting[0]
            return first if isinstance(first, _Series) else None
        return self._series

    def changed(self, parsed: bool) -> None:
        """Apply the change that ParseComplete or CloseComplete confirms.

        Raises:
            RemoteProtocolError: none was asked for.
        """
        series = self._oldest()
        if series is None or not series.changes or (series.changes[0][0] == _PARSE) is not parsed:
            raise RemoteProtocolError("the target confirms what was not asked")
        kind, name, statement = series.changes.popleft()
        self.changes -= 1
        if not self.waiting:
            self.answered += 1
        if kind == _CLOSE_PORTAL:
            return
        self._settle(name)
        old = self.statements.pop(name, None)
        if old is not None:
            self._text -= old.size
        if statement is not None:
            self.statements[name] = statement
            self._text += statement.size
            self._tick = statement.used = self._tick + 1
            if len(self.statements) > MAX_STATEMENTS or self._text > MAX_TEXT:
                self._evict()

    def _settle(self, name: bytes) -> None:
        left = self._unsettled[name] - 1
        if left:
            self._unsettled[name] = left
        else:
            del self._unsettled[name]

    def _evict(self) -> None:
        self.evicted = self.foreign = True
        oldest = sorted(self.statements.values(), key=lambda each: each.used)
        for statement in oldest[: max(1, len(oldest) // 8)]:
            self._text -= statement.size
            del self.statements[statement.name]

    def errored(self) -> None:
        """Note an ErrorResponse: what the series still wanted to change is skipped."""
        self._errored = True
        self.copying = False
        series = self._oldest()
        if not self.waiting:
            self.failed = self.active
        if series is not None:
            self._drop(series)

    def _drop(self, series: _Series) -> None:
        for kind, name, _ in series.changes:
            self.changes -= 1
            if kind != _CLOSE_PORTAL:
                self._settle(name)
        series.changes.clear()
        series.said.clear()

    def ready(self, status: int) -> None:
        """Note a ReadyForQuery: the oldest series is over.

        Raises:
            RemoteProtocolError: nothing was under way.
        """
        waiting = self.waiting
        if waiting:
            series = waiting.popleft()
        elif self.active:
            # The Sync behind a COPY's Execute was thought to be swallowed (see `copy_in`), but was not.
            series = self._series or self._bound
            self._series, self._bound = None, {}
            self._begin_series()
        else:
            raise RemoteProtocolError("the target is ready for a query that nobody asked")
        if self.guarded and not waiting:
            self.guarded = False
        if status == IDLE:
            if self.portals:
                self.portals = {}
        elif series:
            self._keep_portals(series)
        if series.__class__ is _Series:
            self._drop(series)  # pyright: ignore[reportArgumentType] - the class says it
        self._errored = False
        self.status = status
        if self.sights is not None:
            self.sights.ready(status)

    def _keep_portals(self, series: _Series | dict[bytes, Portal | None]) -> None:
        if self._errored:
            return  # its transaction failed, and its portals with it; older ones keep their texts
        for name, portal in (series.bound if isinstance(series, _Series) else series).items():
            if portal is None:
                self.portals.pop(name, None)
            else:
                if portal.statement.portal is portal:
                    portal.statement.portal = None  # it lives on, so it must not be bound anew
                self.portals[name] = portal
        if len(self.portals) > MAX_PORTALS:
            raise RemoteProtocolError(f"more than {MAX_PORTALS} portals", hint="54000")

    def copy_in(self) -> None:
        """Note that the target takes COPY data now.

        In that state it ignores Sync (`CopyGetData`), which libpq sends right behind the Execute of a COPY; the
        Sync behind the data is answered. So the series under way goes on until then. A Sync *inside* the data
        would be answered or not depending on whether the COPY has failed by then: the frontend refuses it.
        """
        self.copying = True
        if not self.waiting:
            return
        first = self.waiting[0]
        if first is None:
            while len(self.waiting) > 1 and self.waiting[1] == {}:
                del self.waiting[1]
            return
        self.waiting.popleft()
        while self.waiting and not self.waiting[0] and not isinstance(self.waiting[0], _Series):
            self.waiting.popleft()  # another Sync that is ignored, or a Query that breaks the COPY and is skipped
        self._merge(first if isinstance(first, _Series) else _of(first))

    def _merge(self, first: _Series) -> None:
        if self.waiting:
            second = self.waiting[0]
            self.waiting[0] = first
        else:
            second = self._series or self._bound
            self._series, self._bound, self.active = first, first.bound, True
        if isinstance(second, _Series):
            first.changes.extend(second.changes)
            for name, texts in second.said.items():
                first.said.setdefault(name, []).extend(texts)
        first.bound.update((second.bound if isinstance(second, _Series) else second) or {})


def _of(bound: dict[bytes, Portal | None]) -> _Series:
    series = _Series()
    series.bound = dict(bound)
    return series


def _quoted(word: bytes, name: bytes) -> bytes:
    return b'%b "%b"' % (word, name.replace(b'"', b'""'))
