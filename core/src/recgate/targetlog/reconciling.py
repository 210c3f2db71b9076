"""Hold a target's log against what was recorded: who got in without a recording, and which recording is not there.

A session's id that an arrival brings is no proof: whoever connects directly may bring one. So it must be of a session
that the ledger knows, to this target, within its time, from a gateway's address, and once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from recgate.targetlog.arrivals import Arrival, session_of
from recgate.transcript.moments import show_moment

__all__ = ["Finding", "Kind", "KnownSession", "Reconciliation"]

CATALOG: Final = "recgate catalog"  # the label of the gateway's own connections
MAX_LOOK: Final = 10_000  # sessions that an arrival without an id is held against


class Kind(StrEnum):
    """What is said of an arrival, or of a recording."""

    RECORDED = "recorded"
    GATEWAY = "gateway"
    UNRECORDED = "unrecorded"
    UNLOGGED = "unlogged"


@dataclass(frozen=True, slots=True)
class KnownSession:
    """What is known of one session. Times are wall-clock seconds.

    `target` is None where no recording says it; `ended` None while it is live or not closed; `logged` says whether
    the ledger knows it (None: there is no ledger), `reached` whether the target has sent anything (None: not known).
    """

    id: str
    began: float
    ended: float | None = None
    target: str | None = None
    logged: bool | None = None
    reached: bool | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Of an arrival (`arrival`), or of a recording that has none; `what` says why, or what a match rests on."""

    kind: Kind
    what: str
    session: str = ""
    arrival: Arrival | None = None


@dataclass(slots=True)
class Reconciliation:
    """Takes arrivals in the log's order; keeps sessions, and nothing of arrivals but the line of each that matched.

    Args:
        target: the name of the target whose log it is.
        sessions: what is known, of any target, by id.
        gateways: addresses that gateways come from; where there are none, addresses say nothing.
        tagged: sessions bring their id here, so that whoever brings none is no session, wherever from.
        skew: seconds by which the clocks of target and gateway may differ.
    """

    target: str
    sessions: dict[str, KnownSession]
    gateways: frozenset[str] = frozenset()
    tagged: bool = False
    skew: float = 5.0
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    first: float | None = None
    last: float | None = None
    _used: dict[str, int] = field(default_factory=dict[str, int])
    _ordered: list[KnownSession] = field(default_factory=list[KnownSession])

    def __post_init__(self) -> None:
        here = (each for each in self.sessions.values() if each.target == self.target)
        self._ordered = sorted(here, key=lambda each: each.began)

    def report(
        self, arrivals: Iterable[Arrival], since: float | None = None, until: float | None = None
    ) -> Iterator[Finding]:
        """Give what every arrival is, as it is read, and then the recordings that are not in the log."""
        for arrival in arrivals:
            yield self.take(arrival)
        yield from self.conclude(since, until)

    def take(self, arrival: Arrival) -> Finding:
        """Say what one arrival is."""
        if (wall := arrival.wall) is not None:
            self.first = wall if self.first is None else min(self.first, wall)
            self.last = wall if self.last is None else max(self.last, wall)
        session = session_of(arrival.label)
        finding = self._labelled(arrival, session) if session is not None else self._bare(arrival)
        self.counts[finding.kind] += 1
        if finding.kind is Kind.RECORDED:
            self._used[finding.session] = arrival.line
        return finding

    def conclude(self, since: float | None = None, until: float | None = None) -> Iterator[Finding]:
        """Name recordings of the target that began within the log's time (or that given) and are not in it."""
        begin, end = since if since is not None else self.first, until if until is not None else self.last
        if begin is None or end is None:
            return
        for session in self._ordered:
            if session.id in self._used or session.reached is False or not begin <= session.began <= end:
                continue
            self.counts[Kind.UNLOGGED] += 1
            unsure = "" if session.reached else ", unless it never got there"
            what = f"says that it went to {self.target} and is not in the log{unsure}"
            yield Finding(Kind.UNLOGGED, what, session.id)

    def _labelled(self, arrival: Arrival, name: str) -> Finding:
        session = self.sessions.get(name)
        wrong = list(self._wrong(arrival, session)) if session is not None else ["nobody knows that session"]
        if not wrong and name in self._used:
            wrong.append(f"line {self._used[name]} brought it already: one of the two is not the gateway's")
        if wrong:
            return Finding(
                Kind.UNRECORDED, f"brings the id of a session, but {'; '.join(wrong)}", name, arrival
            )
        rests = ["session id", "its time" if arrival.wall is not None else "no time: the line has none"]
        if self.gateways:
            rests.append("the gateway's address")
        if session is not None and session.target is None:
            rests.append("the ledger alone: no recording says where it went")
        return Finding(Kind.RECORDED, f"rests on: {', '.join(rests)}", name, arrival)

    def _wrong(self, arrival: Arrival, session: KnownSession) -> Iterator[str]:
        if session.logged is False:
            yield "the ledger does not know it"
        if session.target not in (None, self.target):
            yield f"that one went to {session.target}"
        if not self._within(arrival, session):
            until = show_moment(session.ended) if session.ended is not None else "now"
            yield f"that one lasted from {show_moment(session.began)} to {until}"
        if self._foreign(arrival):
            yield (
                f"{arrival.source} is no gateway's address"
                if arrival.source
                else "the log has no address for it"
            )

    def _bare(self, arrival: Arrival) -> Finding:
        ours = arrival.source in self.gateways
        if ours and arrival.label == CATALOG:
            what = "the gateway's own, to read the catalog; rests on: the gateway's address and its name"
            return Finding(Kind.GATEWAY, what, "", arrival)
        if ours and not self.tagged and arrival.wall is not None:
            session = self._fitting(arrival)
            if session is not None:
                return Finding(
                    Kind.RECORDED, "rests on: the gateway's address, the time", session.id, arrival
                )
            what = "brings no session id, and no session that is not in the log already fits its time"
        elif ours:
            what = "comes from the gateway's address and brings no session id"
        else:
            what = "brings no session id" + (", and is from elsewhere" if self.gateways else "")
        return Finding(Kind.UNRECORDED, what, "", arrival)

    def _fitting(self, arrival: Arrival) -> KnownSession | None:
        """Give the session to this target that began last before the arrival, and is not matched."""
        assert arrival.wall is not None
        place = bisect_right(self._ordered, arrival.wall + self.skew, key=lambda each: each.began)
        before: Iterable[KnownSession] = (self._ordered[number] for number in range(place - 1, -1, -1))
        for session in islice(before, MAX_LOOK):
            usable = session.id not in self._used and session.logged is not False
            if usable and session.reached is not False and self._within(arrival, session):
                return session
        return None

    def _within(self, arrival: Arrival, session: KnownSession) -> bool:
        if arrival.wall is None:
            return True
        end = session.ended if session.ended is not None else arrival.wall
        return session.began - self.skew <= arrival.wall <= end + self.skew

    def _foreign(self, arrival: Arrival) -> bool:
        return bool(self.gateways) and arrival.source not in self.gateways
