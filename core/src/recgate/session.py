"""A session: one principal's authorised use of one target, login to seal. Every frame passes through here.

`submit` is where laws 1, 3 and 5 hold: decide, run the stages, record, and only then give the frame back to
whoever forwards it. Relays are driven by the pump, drivers call it themselves; both get the same answers.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import cbor2
import trio

from recgate.decisions import Alert, Decision, Effect, stricter
from recgate.dispatch import allow_all, deny_overrides
from recgate.errors import LocalProtocolError
from recgate.mask.inputs import InputPolicy, Inputs, Pasted
from recgate.metrics import DECISIONS
from recgate.model import ConnectionInfo, Credential, Principal, TargetInfo
from recgate.policy.braking import DISTINCT, NEVER, Brake, Crossing, counters_of, crossed
from recgate.policy.demands import Met, unmet
from recgate.policy.narrowing import ORDINARY, narrowed, unjudged
from recgate.policy.obligations import MAX_ROWS
from recgate.providers import PolicyRequest
from recgate.recording.originals import with_originals
from recgate.sansio.asks import Denied
from recgate.sansio.frames import GATEWAY, Frame, Request, Side
from recgate.sansio.relay import Relay

if TYPE_CHECKING:
    from recgate.mask import Masking
    from recgate.policy.approving import Approver, Grant
    from recgate.providers import Policy
    from recgate.recording.recorder import Recorder
    from recgate.surveying import KnownOfTarget

__all__ = ["ORDINARY", "Counters", "Session", "Watcher"]


class SideDoors(Protocol):
    """What a protocol's target options may offer: an allow of their own for kinds that are not `ORDINARY`."""

    def allows(self, request: Request) -> bool:
        """Whether the operator opened this door."""
        ...


class Watcher(Protocol):
    """Sees frames as they are recorded. Must not block; a watcher that cannot keep up drops out by itself."""

    def __call__(self, seq: int, t: int, frame: Frame) -> None:
        """Take one frame; `seq` is its number in the recording, `t` microseconds, read a moment later."""
        ...


@dataclass(slots=True)
class Counters:
    """Bytes and frames that were put on each side's wire, by who sent them: client, upstream, gateway."""

    frames: list[int] = field(default_factory=lambda: [0, 0, 0])
    data: list[int] = field(default_factory=lambda: [0, 0, 0])

    def as_map(self) -> dict[str, object]:
        """Give them in the shape of the `closed` frame."""
        names = ("client", "upstream", "gateway")
        return {name: {"bytes": self.data[i], "frames": self.frames[i]} for i, name in enumerate(names)}


class Session:
    """An open session. Made by the door when the recording is open; ends exactly once."""

    __slots__ = (
        "_callbacks",
        "_decide",
        "_finished",
        "_holds",
        "_left",
        "_policies",
        "approver",
        "brake",
        "connection",
        "credential",
        "denied",
        "denied_requests",
        "emit",
        "ending",
        "files",
        "free",
        "grant",
        "id",
        "inputs",
        "known",
        "lasts",
        "masking",
        "met",
        "notice",
        "principal",
        "reason",
        "recorder",
        "relay",
        "requests",
        "stages",
        "started",
        "target",
        "unruled",
        "waits",
        "watchers",
        "wire",
        "withdrawal",
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the glossary's word for it
        principal: Principal,
        target: TargetInfo,
        connection: ConnectionInfo,
        recorder: Recorder,
        decide: Callable[[PolicyRequest], Decision],
    ) -> None:
        self.id = id
        self.principal = principal
        self.target = target
        self.connection = connection
        self.recorder = recorder
        self.credential = Credential()
        self.relay: Relay | None = None  # None for drivers
        self.stages: Callable[[Frame], Frame] | None = None
        self.masking: Masking | None = None  # asked before anything of the target goes on
        self.waits: bool = recorder.waits
        self.known: KnownOfTarget | None = None  # what its relay may learn of the target besides
        self.wire = Counters()
        self.started = time.time()
        self.requests = 0
        self.files = 0  # requests of that kind; rows, bytes and time are counted elsewhere
        self.reason = ""  # why the client says that it is here
        self.lasts: float | None = None  # seconds from `started` after which it ends, as demanded
        self.approver: Approver | None = None  # who is asked about holds, where a plugin brings approvals
        self.emit: Callable[..., None] = _nobody  # the audit trail
        self.denied_requests = 0
        self.brake: Brake | None = None  # counts what goes to the client; its protocol stops where it says
        self.met = Met()
        self.ending = trio.Event()
        self.denied: Denied | None = None
        self.notice: Callable[[str], None] | None = None  # how the client is told something while it waits
        self.grant: Grant | None = None  # what opened the target, where its `allow:` does not
        self.withdrawal = ""  # why the client does not wait any longer for what is held
        self._holds: set[trio.CancelScope] = set()
        self._decide = decide
        self._policies: Sequence[Policy] | None = None
        self._left: Sequence[Policy] = ()  # of the policies, what concerns this session
        # The kinds of requests that nobody judges: asking can be left out. Forwarding looks at every request anew.
        self.free: frozenset[str] = ORDINARY if decide is allow_all else frozenset()
        self.unruled = self.free  # those which no rule judges, whatever else looks at them
        self.inputs: Inputs | None = None  # what is looked for in what its client sends
        self._callbacks: list[Callable[[], None]] = []
        self._finished: list[Callable[[], None]] = []
        self.watchers: list[Watcher] = []

    # -- every frame -----------------------------------------------------------------------------------

    def submit_now(self, frame: Frame) -> Frame:
        """Run the stages and record a frame that asks for nothing; gives the frame to forward.

        Raises:
            RecordingFailed: the recorder could not take it: do not forward, end the session.
            LocalProtocolError: the frame carries a request, or this session's durability needs waiting.
        """
        if frame.request is not None or self.waits:
            raise LocalProtocolError(
                "submit_now takes frames without a request, in sessions that do not wait"
            )
        if self.stages is not None:
            frame = self.stages(frame)
        self.recorder.append(frame.side, frame.kind, frame.data, frame.channel)
        if self.watchers:
            self._show(frame)
        return frame

    async def submit(self, frame: Frame) -> Frame | Decision:
        """Decide on, record and make durable one frame; gives the frame to forward, or the deny.

        A deny has been recorded; the caller says it in the protocol's own words. Cancelled, the frame may be
        recorded but must not be forwarded. Raises `RecordingFailed`.
        """
        if frame.request is not None and (denied := await self.ask(frame.request)) is not None:
            return denied
        if self.stages is not None:
            frame = self.stages(frame)
        self.recorder.append(frame.side, frame.kind, frame.data, frame.channel)
        if self.watchers:
            self._show(frame)
        if self.waits:
            await self.recorder.durable()
        return frame

    async def ask(self, request: Request) -> Decision | None:
        """Decide on what no single frame asks for, waiting where it is held; gives the deny, which has been recorded.

        Cancelling withdraws the question; nothing may be forwarded then. Raises `RecordingFailed`.
        """
        decision = self.decide(request)
        if decision.effect is Effect.HOLD:
            decision = await self.held(request, decision)
        elif decision.effect is Effect.DENY:
            self.note_decision(request, decision)
        return None if decision.effect is Effect.ALLOW else decision

    def record_frames(self, frames: list[Frame]) -> None:
        """Record several decided frames with one write, in order. Raises `RecordingFailed`."""
        if len(frames) == 1:
            frame = frames[0]
            data = with_originals(frame.data, frame.kept) if frame.kept else frame.data
            self.recorder.append(frame.side, frame.kind, data, frame.channel)
        elif any(frame.kept for frame in frames):
            self.recorder.append_all([_whole(frame) for frame in frames])
        else:
            self.recorder.append_all(frames)
        if self.watchers:
            for behind, frame in zip(range(len(frames), 0, -1), frames, strict=True):
                self._show(frame, behind)

    def decide(self, request: Request) -> Decision:
        """Ask the policies, after the target's own allow for what needs one. Records nothing."""
        self.requests += 1
        if request.kind == "file":
            self.files += 1
        if request.kind not in ORDINARY and not self._opened_by_operator(request):
            decision = Decision.deny(
                f"{request.kind} is not allowed on {self.target.name}", rule=f"target {self.target.name}"
            )
        else:
            brake = self.brake
            if brake is not None:
                brake.asked(request)
                brake.judged = brake.now
            decision = self._decide(PolicyRequest(request, self.principal, self.target, self))
            if decision.alerts:
                self._alert(request, decision.alerts)
            if decision.effect is Effect.ALLOW and (decision.obligations or brake is not None):
                decision = self._let_through(request, decision)
        return decision

    def judge(self, crossing: Crossing) -> Decision:
        """Judge a request anew whose answer is about to cross a line, by the rules that this makes match."""
        brake, decided = self.brake, crossing.decided
        assert brake is not None
        if decided.rows + crossing.rows > decided.max_rows:
            return _too_many(decided.max_rows, decided.rule)
        request = PolicyRequest(decided.request, self.principal, self.target, self)
        brake.view = crossing.at
        try:
            decision = crossed(self._left, request, decided.seen)
        finally:
            brake.view = None
        if decision.alerts:
            self._alert(decided.request, decision.alerts)
        return self._demanded_of(crossing, decision) if decision.effect is Effect.ALLOW else decision

    def _demanded_of(self, crossing: Crossing, decision: Decision) -> Decision:
        """Meet what an allow demands that comes in the middle of an answer."""
        decided, demands = crossing.decided, decision.obligations
        if not demands:
            return decision
        if why := unmet(self, decided.request, demands, decision.rule):
            return Decision.deny(why, rule=decision.rule or "obligations")
        limit = demands.get(MAX_ROWS)
        if isinstance(limit, int) and limit < decided.max_rows:
            decided.max_rows, decided.rule = limit, decision.rule
            if decided.rows + crossing.rows > limit:
                return _too_many(limit, decision.rule)
        return replace(decision, obligations={})

    def narrow(self, policies: Sequence[Policy]) -> None:
        """Go by what is left of policies for this session from now on. Raises what a policy raises."""
        left, opening = narrowed(policies, self), self._policies is None
        self._policies, self._decide, self.free = policies, deny_overrides(left), unjudged(left)
        self._left = left
        counters = counters_of(left)
        self._count_for(counters, opening=opening)
        counted = frozenset(("sql", "shell")) if counters.keys() & DISTINCT else frozenset[str]()
        rules = [policy for policy in left if not isinstance(policy, InputPolicy)]
        self.unruled = unjudged(rules) - counted

    def _count_for(self, counters: Mapping[str, Sequence[int]], *, opening: bool) -> None:
        """Count what rules go by from now on. What was not counted from the opening cannot be had any more."""
        brake = self.brake
        if not opening and (brake is None or counters.keys() - brake.values.keys()) and counters:
            self.end(Denied("other rules hold for you now: connect again", "access", self.id))
        elif counters or (brake is not None and brake.max_rows < NEVER):
            if brake is None:
                brake = self.brake = Brake(immediate=not self.waits)
            brake.values = counters if opening else {**dict.fromkeys(brake.values, ()), **counters}
        elif opening:
            self.brake = None
        if counters.keys() & DISTINCT:
            self.free -= {"sql", "shell"}

    @property
    def masked(self) -> frozenset[str]:
        """The masks by whose names values are masked in this session."""
        return self.masking.masks if self.masking is not None else frozenset()

    def renewed(self, principal: Principal) -> None:
        """Take what the identity source says of the principal now, which policies go by from here on."""
        changed, self.principal = principal != self.principal, principal
        if changed and self._policies is not None:
            self.narrow(self._policies)

    def now(self) -> float:
        """The time by which rules go, wall-clock seconds."""
        return time.time()

    def _alert(self, request: Request, alerts: Sequence[Alert]) -> None:
        """Record, count and tell that rules matched which only want to be heard of."""
        for alert in alerts:
            DECISIONS.labels(self.connection.protocol, "alert").inc()
            self._record_decision(request, "alert", alert.rule, alert.reason)
            # Never the text of a request: it may hold what only the recording, and who may read that, should have.
            self.emit(
                "policy.alert",
                session=self.id,
                user=self.principal.name,
                target=self.target.name,
                asks=request.kind,
                request=self.requests,
                rule=alert.rule,
                reason=alert.reason,
            )

    def _let_through(self, request: Request, decision: Decision) -> Decision:
        """Meet what an allow demands, or refuse; then note the request, whose answer is to be counted."""
        demands = decision.obligations
        if demands and (why := unmet(self, request, demands, decision.rule)):
            return Decision.deny(why, rule=decision.rule or "obligations")
        if self.brake is not None and request.kind != "session":
            limit = demands.get(MAX_ROWS)
            limited = limit if isinstance(limit, int) else None
            self.brake.let_through(request, limited, decision.rule, self.brake.judged)
        return replace(decision, obligations={}) if demands else decision

    def pasted(self, found: Pasted) -> None:
        """Record and tell that the client sent something that it should not have. Raises `RecordingFailed`."""
        self.record("secret", found.body)
        self.emit(
            "secret.pasted",
            session=self.id,
            user=self.principal.name,
            target=self.target.name,
            rule=found.rule,
            place=found.place,
            count=found.count,
            blocked=found.blocked,
        )

    def _opened_by_operator(self, request: Request) -> bool:
        allows = getattr(self.target.options, "allows", None)
        return allows is not None and allows(request) is True

    async def held(self, request: Request, decision: Decision, crossing: Crossing | None = None) -> Decision:
        """Wait for whoever decides on a held request. Cancelling withdraws the question; doubt is a deny.

        With `crossing` it is the rest of an answer that waits, and not the request.
        """
        self.record("held", {"kind": request.kind, "rule": decision.rule, "reason": decision.reason})
        DECISIONS.labels(self.connection.protocol, "hold").inc()
        if self.notice is not None:
            self.notice(decision.reason)
        if decision.wait is None:
            final = Decision.deny("nobody can approve this", rule=decision.rule)
        else:
            final = await self._waited(decision.wait, decision.rule)
        if final.effect is Effect.HOLD:
            final = Decision.deny("nobody decided", rule=decision.rule)
        if final.effect is Effect.ALLOW:
            demands = stricter(decision.obligations, final.obligations)
            final = replace(final, rule=final.rule or decision.rule, obligations=demands)
            if crossing is None:
                final = self._let_through(request, final)
            else:
                final = self._demanded_of(crossing, final)
        self.note_decision(request, final)
        return final

    async def _waited(self, wait: Callable[[], Awaitable[Decision]], rule: str) -> Decision:
        """Wait for an answer until there is one, or the client withdraws."""
        final = None
        with trio.CancelScope() as scope:
            self._holds.add(scope)
            try:
                final = await wait()
            finally:
                self._holds.discard(scope)
        if final is None:
            final = replace(Decision.deny(self.withdrawal or "withdrawn", rule=rule), code="cancelled")
            self.withdrawal = ""
        return final

    @property
    def holding(self) -> bool:
        """Whether a request of it waits for somebody."""
        return bool(self._holds)

    def withdraw(self, why: str) -> bool:
        """Give up what is held, as the client wants; the session goes on. False if nothing is."""
        self.withdrawal = why if self._holds else self.withdrawal
        for scope in tuple(self._holds):
            scope.cancel()
        return bool(self._holds)

    def note_decision(self, request: Request, decision: Decision) -> None:
        """Record and count what was decided on a request."""
        if decision.effect is Effect.DENY:
            self.denied_requests += 1
            DECISIONS.labels(self.connection.protocol, "deny").inc()
        self._record_decision(request, decision.effect.value, decision.rule, decision.reason)
        if decision.effect is Effect.DENY:
            self.emit(
                "request.denied",
                session=self.id,
                user=self.principal.name,
                target=self.target.name,
                asks=request.kind,
                request=self.requests,
                rule=decision.rule,
                reason=decision.reason,
            )

    def _record_decision(self, request: Request, effect: str, rule: str, reason: str) -> None:
        self.record(
            "decision",
            {
                "kind": request.kind,
                "channel": request.channel,
                "text": (self.inputs.hidden(request.text) if self.inputs is not None else request.text)[
                    :1_000
                ],
                "effect": effect,
                "rule": rule,
                "reason": reason,
            },
        )

    def record(self, kind: str, body: Mapping[str, object], kept: Sequence[bytes] = ()) -> None:
        """Record one of the gateway's own frames (CBOR). Raises `RecordingFailed`.

        `kept` are the values that a `mask` frame tells of: they are sealed with it, and nobody who watches sees them.
        """
        data = cbor2.dumps(body)
        self.recorder.append(GATEWAY, kind, with_originals(data, kept) if kept else data)
        if self.watchers:
            self._show(Frame(GATEWAY, kind, data))

    def sent(self, side: Side, nbytes: int, frames: int = 1) -> None:
        """Count what was put on the wire; `side` is who said it. Whoever forwards calls this."""
        self.wire.frames[side] += frames
        self.wire.data[side] += nbytes

    async def room(self) -> None:
        """Wait until the recorder's backlog allows reading on. Returns at once while it does."""
        if self.recorder.full:
            await self.recorder.room()

    # -- who looks on, and the end -----------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Show every frame from now on to `watcher`; gives the call that stops it."""
        self.watchers.append(watcher)

        def stop() -> None:
            if watcher in self.watchers:
                self.watchers.remove(watcher)

        return stop

    def _show(self, frame: Frame, behind: int = 1) -> None:
        """Show a frame that has just been recorded, `behind` numbers before the next one."""
        journal = self.recorder.journal
        seq, t = journal.next_seq - behind, journal.elapsed
        for watcher in tuple(self.watchers):
            watcher(seq, t, frame)

    def end(self, denied: Denied) -> None:
        """End the session from outside (kill, expiry, revocation, shutdown). The first reason stands."""
        if self.denied is None:
            self.denied = denied
            self.ending.set()
            for callback in tuple(self._callbacks):
                callback()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the session is ended from outside; at once if it was already."""
        self._callbacks.append(callback)
        if self.denied is not None:
            callback()

    def on_finish(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the recording has been closed, however the session ended."""
        self._finished.append(callback)

    def finished(self) -> None:
        """The recording is closed: let go of everybody who looked on."""
        self.watchers.clear()
        for callback in tuple(self._finished):
            callback()

    async def killed(self) -> Denied:
        """Wait until the session must end; gives the reason. For drivers, which say it themselves."""
        await self.ending.wait()
        assert self.denied is not None
        return self.denied


def _whole(frame: Frame) -> Frame:
    """Give a frame as the journal has it: what a mask removed is in it."""
    return replace(frame, data=with_originals(frame.data, frame.kept)) if frame.kept else frame


def _too_many(limit: int, rule: str) -> Decision:
    rows = "row" if limit == 1 else "rows"
    return Decision.deny(f"one statement may give {limit} {rows} here", rule=rule)


def _nobody(kind: str, **facts: object) -> None:
    """Tell nobody: a session apart from a gateway has no audit trail."""
