"""Brakes: what a session has given so far, and at which row or byte its rules must be asked again.

Pure, so that a relay may hold it. A policy says at which values of a counter its answer may change; whoever passes on
what the target says counts up to just before the next of them, stops there, and has the request judged anew that the
row answers. So a rule about `session.rows` holds at exactly that row, and nothing is asked between.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import ChainMap, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast, runtime_checkable

from recgate.dispatch import deny_overrides
from recgate.policy.acts import ACTS, EXACT, KEPT, Act, acts_of, exact_of
from recgate.sansio.frames import Request

if TYPE_CHECKING:
    from recgate.decisions import Decision
    from recgate.providers import Policy, PolicyRequest

__all__ = [
    "DISTINCT", "FLOWING", "NEVER", "TODAY", "Brake", "Counted", "Counting", "Crossing", "Decided", "Distinct", "Tally",
    "counters_of", "crossed",
]  # fmt: skip

NEVER: Final = 1 << 62  # more than anything is ever counted to
MAX_DISTINCT: Final = 20_000  # statements that are told from each other; of more, each counts as one more
MAX_DECIDED: Final = 20_000  # requests that are on their way to the target
MAX_KEPT: Final = (
    65_536  # characters of a request's text that are kept until it is answered; a longer one is opaque
)
# Counters that move while a result flows, in the order of `Counted`.
FLOWING: Final = ("rows", "bytes", "rows_today", "bytes_today")
TODAY: Final = "_today"
DISTINCT: Final = frozenset(("statements", "statements_today"))
_OPAQUE: Final = (Act(opaque=True),)


class Counted(NamedTuple):
    """Flowing counters at one moment: of the session, and of its principal's day."""

    rows: int = 0
    bytes: int = 0
    rows_today: int = 0
    bytes_today: int = 0


class Distinct:
    """Different statements, counted; bounded."""

    __slots__ = ("fresh", "more", "seen")

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.fresh: list[bytes] = []  # since somebody last took them to keep
        self.more = 0  # beyond the bound

    def __len__(self) -> int:
        return len(self.seen) + self.more

    def add(self, mark: bytes) -> None:
        """Count one, if it is new."""
        if mark in self.seen:
            return
        if len(self.seen) < MAX_DISTINCT:
            self.seen.add(mark)
            self.fresh.append(mark)
        else:
            self.more += 1


class Tally:
    """What one principal was given today, over all sessions in which rules speak of it."""

    __slots__ = ("bytes", "changed", "files", "rows", "statements", "users")

    def __init__(self) -> None:
        self.users = 0  # open sessions that count here
        self.changed = False  # since it was last kept
        self.clear()

    def clear(self) -> None:
        """Begin anew: it is another day."""
        self.rows = self.bytes = self.files = 0
        self.statements = Distinct()


@runtime_checkable
class Counting(Protocol):
    """What a policy may offer besides `decide`: it says which counters it goes by, and at which values."""

    def counters(self) -> Mapping[str, Sequence[int]]:
        """Give counters by name (`rows`, `bytes`, `statements`, …, `rows_today`) and values in ascending order.

        A decision may change when a counter reaches one of its values, and not between them.
        """
        ...

    def crossed(self, request: PolicyRequest, before: Counted) -> Decision:
        """Judge by those rules alone that match now and did not match when flowing counters stood at `before`."""
        ...


def counters_of(policies: Sequence[Policy]) -> dict[str, list[int]]:
    """Give every counter that some policy goes by, with all its values."""
    found: dict[str, set[int]] = {}
    for policy in policies:
        if isinstance(policy, Counting):
            for name, values in policy.counters().items():
                found.setdefault(name, set()).update(values)
    return {name: sorted(values) for name, values in found.items()}


def crossed(policies: Sequence[Policy], request: PolicyRequest, before: Counted) -> Decision:
    """Judge by what a crossing makes match: deny over hold over allow, doubt is a deny."""
    return deny_overrides([_Crossed(policy, before) for policy in policies if isinstance(policy, Counting)])(
        request
    )


class _Crossed:
    """A policy, as it judges a crossing."""

    def __init__(self, policy: Counting, before: Counted) -> None:
        self.name: str = getattr(policy, "name", "policies")
        self.decide = partial(policy.crossed, before=before)


@dataclass(slots=True)
class Decided:
    """A request that was let through: as it was judged, when, and how many rows its allow grants."""

    request: Request
    seen: Counted
    max_rows: int = NEVER
    rule: str = ""  # that demands `max_rows`
    rows: int = 0  # that it has given so far


@dataclass(frozen=True, slots=True)
class Crossing:
    """A place where what flows must be judged: what it answers, what is about to go, and how counters stand then."""

    decided: Decided
    rows: int
    nbytes: int
    at: Counted


@dataclass(slots=True)
class Brake:
    """Counters of one session. `values` are those of `counters_of`, `tally` is shared by a principal's sessions."""

    tally: Tally = field(default_factory=Tally)
    values: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    rows: int = 0
    bytes: int = 0
    statements: Distinct = field(default_factory=Distinct)
    max_rows: int = NEVER  # of every request, by what opening the session demanded
    rule: str = ""  # that demanded it
    immediate: bool = True  # frames are sent in the turn in which they were given out
    judged: Counted = field(default_factory=Counted)  # how counters stood when the last request was judged
    crossing: Crossing | None = None  # the last one that was given out to be judged
    view: Counted | None = None  # what counters are to be taken for, while somebody looks at another moment
    _decided: dict[int, deque[Decided]] = field(default_factory=dict[int, "deque[Decided]"])

    @property
    def flowing(self) -> bool:
        """Whether what the target says must be counted as it flows."""
        return self.max_rows < NEVER or any(name in self.values for name in (*FLOWING, "max_rows"))

    @property
    def now(self) -> Counted:
        """The flowing counters as they are, or as somebody looks at them."""
        tally = self.tally
        return self.view or Counted(self.rows, self.bytes, tally.rows, tally.bytes)

    def count(self, name: str) -> int:
        """Give one counter by the name that rules know."""
        if name in FLOWING:
            return cast("int", getattr(self.now, name))
        of = self.tally if name.endswith(TODAY) else self
        value: object = getattr(of, name.removesuffix(TODAY))
        return len(value) if isinstance(value, Distinct) else cast("int", value)

    # -- requests ------------------------------------------------------------------------------------------------

    def asked(self, request: Request) -> None:
        """Count a request that is about to be judged."""
        tally = self.tally
        if request.kind in ("sql", "shell"):
            if not any(name in self.values for name in DISTINCT):
                return  # nobody asks, and to tell texts apart costs more than all else here
            mark = hashlib.blake2b(request.text.encode("utf-8", "replace"), digest_size=8).digest()
            self.statements.add(mark)
            tally.statements.add(mark)
        elif request.kind == "file":
            tally.files += 1
        tally.changed = True

    def let_through(self, request: Request, max_rows: int | None, rule: str, seen: Counted) -> None:
        """Note a request that goes to the target, in order; `seen` is how counters stood when it was judged."""
        waiting = self._decided.setdefault(request.channel, deque())
        if len(waiting) >= MAX_DECIDED:
            waiting.clear()  # nothing is known of the next ones: they are judged as opaque, from zero
        limit, by = (self.max_rows, self.rule) if max_rows is None else (max_rows, rule)
        if limit > self.max_rows:
            limit, by = self.max_rows, self.rule
        waiting.append(Decided(_kept(request), seen, limit, by))

    def next_decided(self, request: Request) -> Decided:
        """Take what was noted of the next request that is sent; one that nobody noted is opaque."""
        return self.taken(request.channel) or self.unknown(request.kind)

    def taken(self, channel: int) -> Decided | None:
        """Take what was noted of the next request on a channel; None if nothing is."""
        waiting = self._decided.get(channel)
        return waiting.popleft() if waiting else None

    def forget(self, channel: int) -> None:
        """Let go of what is noted of a channel that is gone."""
        self._decided.pop(channel, None)

    def unknown(self, kind: str = "sql") -> Decided:
        """Give what stands for a request of which nothing is known."""
        return Decided(Request(kind, "", 0, {ACTS: _OPAQUE}), Counted(), self.max_rows, self.rule)

    # -- what flows ----------------------------------------------------------------------------------------------

    def room(self, decided: Decided) -> tuple[int, int]:
        """Say how many rows and how many bytes of an answer may pass before it must be judged."""
        seen, now = decided.seen, self.now
        left = [decided.max_rows - decided.rows, NEVER]
        for index, name in enumerate(FLOWING):
            values = self.values.get(name)
            if values is None:
                continue
            at = bisect_right(values, seen[index])
            if at < len(values):
                left[index % 2] = min(left[index % 2], values[at] - 1 - now[index])
        return max(left[0], 0), max(left[1], 0)

    def passed(self, rows: int, nbytes: int, decided: Decided | None = None) -> None:
        """Count what goes to the client."""
        self.rows += rows
        self.bytes += nbytes
        tally = self.tally
        tally.rows += rows
        tally.bytes += nbytes
        tally.changed = True
        if decided is not None:
            decided.rows += rows

    def cross(self, decided: Decided, rows: int, nbytes: int) -> Crossing:
        """Note that these would cross a line, and that this is to be judged."""
        now = self.now
        at = Counted(now.rows + rows, now.bytes + nbytes, now.rows_today + rows, now.bytes_today + nbytes)
        self.crossing = Crossing(decided, rows, nbytes, at)
        return self.crossing

    def settle(self, crossing: Crossing) -> None:
        """Count what was judged: it goes on."""
        self.passed(crossing.rows, crossing.nbytes, crossing.decided)
        crossing.decided.seen = crossing.at


def _kept(request: Request) -> Request:
    """Give a copy of what rules read of a request: the relay's own is good until its next event only."""
    text = request.text
    try:
        acts = tuple(acts_of(request)) if len(text) <= MAX_KEPT else _OPAQUE
    except Exception:  # noqa: BLE001 - acts that cannot be told are opaque acts (law 3)
        acts = _OPAQUE
    return Request(request.kind, text[:MAX_KEPT], request.channel, _details(request, acts))


def _details(request: Request, acts: Sequence[Act]) -> Mapping[str, object]:
    """Give what else is kept of a request: for those who approve of it later, its exact bytes and values as well."""
    if request.kind != "sql":
        return {**request.details, ACTS: acts}
    try:
        kept, exact = request.details.get(KEPT), b""
        if kept is None:
            exact = exact_of(request)
    except Exception:  # noqa: BLE001 - what cannot be told exactly is opaque (law 3)
        return {ACTS: _OPAQUE}
    if isinstance(kept, Mapping):
        # Bind values are worked out when somebody asks for them, and no rule does.
        return ChainMap({ACTS: acts}, cast("dict[str, object]", kept))
    if len(exact) > MAX_KEPT:
        exact = hashlib.sha256(exact).digest()
    return {ACTS: acts, EXACT: exact}
