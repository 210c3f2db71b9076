"""Run a policy over what was recorded: what it would have stopped, held or raised an alert on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from recgate.decisions import Decision, Effect
from recgate.dispatch import deny_overrides
from recgate.model import ConnectionInfo, Principal, TargetInfo
from recgate.policy.acts import ACTS, Act
from recgate.policy.braking import DISTINCT, FLOWING, Brake, Counted, counters_of, crossed
from recgate.providers import Policy, PolicyRequest, ProtocolProvider
from recgate.recording.frames import RecordedFrame
from recgate.sansio.frames import UPSTREAM, Request
from recgate.session import Counters, Session
from recgate.transcript.entries import Entry
from recgate.transcript.reading import read_entries

__all__ = ["Match", "PastSession", "replay"]


@dataclass(frozen=True, slots=True)
class Match:
    """What a policy would have said of one entry. `entry` and `part` are its numbers, `t` wall-clock seconds."""

    session: str
    entry: int
    part: int
    t: float
    user: str
    target: str
    kind: str
    effect: str
    rule: str
    reason: str
    text: str


class PastSession(Session):
    """A session that is over, as policies saw it at the moment that is looked at. Forwards and records nothing."""

    __slots__ = ("clock", "counting")

    def __init__(self, opened: Mapping[str, object]) -> None:  # pyright: ignore[reportMissingSuperCall] - nothing live
        address = _text(opened, "address")
        host, _, port = address.rpartition(":")
        labels = opened.get("labels")
        details = opened.get("details")
        groups = opened.get("groups")
        started = opened.get("started")
        self.id = _text(opened, "session")
        self.principal = Principal(
            _text(opened, "issuer"),
            _text(opened, "subject"),
            _text(opened, "user"),
            frozenset(map(str, cast("list[object]", groups))) if isinstance(groups, list) else frozenset(),
            method=_text(opened, "method"),
            credential_id=_text(opened, "credential"),
        )
        self.target = TargetInfo(
            _text(opened, "target"),
            _text(opened, "protocol"),
            host,
            int(port) if port.isdigit() else 0,
            None,
            cast("dict[str, str]", labels) if isinstance(labels, dict) else {},
        )
        self.connection = ConnectionInfo(
            self.target.protocol,
            _text(opened, "listener"),
            _text(opened, "source"),
            tls=opened.get("tls") is True,
        )
        self.reason = _text(cast("dict[str, object]", details), "reason") if isinstance(details, dict) else ""
        self.started = started / 1e9 if isinstance(started, int) else 0.0
        self.clock = self.started
        self.requests = self.denied_requests = self.files = 0
        self.wire = Counters()
        self.approver = None
        self.counting = Brake(values=dict.fromkeys(DISTINCT, ()))
        self.brake = self.counting

    def count(self, rows: int) -> Counted:
        """Count rows that were given, and take the bytes from the wire; gives how counters stood before."""
        before = self.counting.now
        self.counting.passed(rows, self.wire.data[UPSTREAM] - self.counting.bytes)
        return before

    def now(self) -> float:
        """The moment that is looked at."""
        return self.clock


def replay(
    opened: Mapping[str, object],
    frames: Iterable[RecordedFrame],
    protocols: Mapping[str, ProtocolProvider],
    policies: Sequence[Policy],
) -> Iterator[Match]:
    """Give what the policies would have said but a plain allow, in order: of requests, and of rows at which their
    answers cross a line. Raises what reading the frames raises.
    """
    decide = deny_overrides(policies)
    lines = counters_of(policies)
    session = PastSession(opened)
    details = opened.get("details")
    door = Request("session", session.target.name, details=cast("dict[str, object]", details or {}))
    yield from _asked(session, Entry(0, 0, 2, 0, "opened"), door, decide)
    provider = protocols.get(session.target.protocol)
    for entry in read_entries(_counted(session, frames), protocols):
        request = _request(entry, provider)
        if request is not None:
            judged = session.counting.now
            yield from _asked(session, entry, request, decide)
            rows = entry.body.get("rows")
            session.count(rows if isinstance(rows, int) else 0)
            yield from _crossed(session, (entry, request), policies, lines, judged)


def _counted(session: PastSession, frames: Iterable[RecordedFrame]) -> Iterator[RecordedFrame]:
    """Count bytes as the session did while it went on."""
    for frame in frames:
        yield frame
        session.wire.data[frame.side] += len(frame.data)
        session.wire.frames[frame.side] += 1


def _request(entry: Entry, provider: ProtocolProvider | None) -> Request | None:
    """Give what an entry asked for; None for those that asked for nothing, or were refused then."""
    body = entry.body
    if entry.kind == "sql":
        text = _text(body, "text")
        details: dict[str, object] = {}
        if provider is not None and provider.acts is not None:
            details[ACTS] = provider.acts(text)
        return Request("sql", text, entry.channel, details)
    if entry.kind == "shell" and "command" in body:
        return Request("shell", _text(body, "command"), entry.channel)
    if entry.kind == "file":
        details = {key: body[key] for key in ("path", "direction") if key in body}
        verb = {"upload": "WRITE", "download": "READ"}.get(_text(body, "direction"), "")
        path = _text(body, "path")
        return Request("file", path, entry.channel, {**details, ACTS: (Act(verb, (f"file {path}",)),)})
    return None


def _asked(
    session: PastSession, entry: Entry, request: Request, decide: Callable[[PolicyRequest], Decision]
) -> Iterator[Match]:
    session.requests += 1
    session.files += request.kind == "file"
    session.count(0)
    session.counting.asked(request)
    session.clock = session.started + entry.t / 1e6
    decision = decide(PolicyRequest(request, session.principal, session.target, session))
    yield from _matches(session, entry, request, decision)


def _crossed(
    session: PastSession,
    asked: tuple[Entry, Request],
    policies: Sequence[Policy],
    lines: Mapping[str, Sequence[int]],
    before: Counted,
) -> Iterator[Match]:
    """Judge an answer at each line that it crossed, as the session would have at that row; a deny ends it there."""
    entry, request = asked
    counting, after = session.counting, session.counting.now
    seen = before
    for at in _steps(lines, before, after):
        counting.view = at
        try:
            decision = crossed(
                policies, PolicyRequest(request, session.principal, session.target, session), seen
            )
        finally:
            counting.view = None
        yield from _matches(session, entry, request, decision)
        if decision.effect is Effect.DENY:
            return
        seen = at


def _steps(lines: Mapping[str, Sequence[int]], before: Counted, after: Counted) -> Iterator[Counted]:
    """Give how counters stood at each value that they reached between two moments. Rows and bytes go up together."""
    reached: list[tuple[float, Counted]] = []
    for index, name in enumerate(FLOWING):
        length = after[index] - before[index]
        for value in lines.get(name, ()):
            if before[index] < value <= after[index]:
                part = (value - before[index]) / length
                at = [start + int((end - start) * part) for start, end in zip(before, after, strict=True)]
                at[index] = value
                reached.append((part, Counted(*at)))
    yield from (at for _, at in sorted(reached))


def _matches(session: PastSession, entry: Entry, request: Request, decision: Decision) -> Iterator[Match]:
    said = [("alert", alert.rule, alert.reason) for alert in decision.alerts]
    if decision.effect is not Effect.ALLOW:
        said.append((decision.effect.value, decision.rule, decision.reason))
        session.denied_requests += decision.effect is Effect.DENY
    for effect, rule, reason in said:
        yield Match(
            session.id, entry.n, entry.part, session.clock, session.principal.name, session.target.name,
            request.kind, effect, rule, reason, request.text,
        )  # fmt: skip


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key, "")
    return value if isinstance(value, str) else ""
