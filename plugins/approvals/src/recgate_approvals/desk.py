"""The desk: held requests wait here, people decide here, and each hears of the other at once.

The book is what is true. In memory there is only who waits for which request, and the grants that stand, since a door
asks for those in the byte's way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakValueDictionary

import structlog
import trio

from recgate.decisions import Decision, Effect
from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.httpauth import Problem
from recgate.ids import new_session_id
from recgate.ledger.acts import Words
from recgate.policy.approving import Caller, Grant
from recgate_approvals.asking import Asked, access_asked, asked_by
from recgate_approvals.book import APPROVED, PENDING, Book, Decided, NotSo, Request
from recgate_approvals.calls import Call
from recgate_approvals.people import People, may_decide
from recgate_approvals.rows import row_of

if TYPE_CHECKING:
    from recgate.model import Principal
    from recgate.providers import PolicyRequest
    from recgate.session import Session

__all__ = ["ApprovalDesk", "Surroundings"]

ENDING: Final = 5.0  # seconds to write down that a request is over while its session is cancelled

T = TypeVar("T")

log = structlog.get_logger("recgate.approvals")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a desk needs of its gateway.

    `current` says who somebody is now, or None for nobody; `emit` is the audit trail; `access` says what a target
    offers to whom on request, as (approvers, how many, seconds at most, seconds to decide); `end` ends sessions that
    stand on a grant; `enter` puts somebody's word into the ledger, and raises where an approval cannot be put there.
    """

    current: Callable[[Principal], Awaitable[Principal | None]]
    emit: Callable[..., None]
    access: Callable[[Principal, str], tuple[tuple[str, ...], int, float, float]]
    end: Callable[[str, str], None] = lambda grant, why: None
    now: Callable[[], float] = time.time
    enter: Callable[[Request, Words, Principal], None] = lambda request, words, by: None


@dataclass(slots=True)
class _Waiting:
    """One held request that somebody's client waits for."""

    request: Request
    session: Session
    news: trio.Event = field(default_factory=trio.Event)
    heard: int = 0  # decisions that are on the record already


class ApprovalDesk:
    """An `Approver`, a `Desk` and `Granting`."""

    def __init__(self, book: Book, people: People, around: Surroundings) -> None:
        self._book = book
        self._people = people
        self._around = around
        self._waiting: dict[str, _Waiting] = {}
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        self._grants: dict[str, Request] = {}

    def begin(self) -> None:
        """Find what was left behind: requests that nobody holds any more end, grants that stand go on standing."""
        now = self._around.now()
        for each in self._book.end_all("withdrawn", "the gateway stopped while it waited", now):
            self._around.emit("approval.withdrawn", **self._facts(each), reason=each.why)
        self._grants = {each.id: each for each in self._book.standing(now)}

    # -- Approver --------------------------------------------------------------------------------------------

    async def ask(
        self, request: PolicyRequest, rule: str, approvers: Sequence[str], within: float, of: int
    ) -> Decision:
        """Wait for people. Cancelled, the request is withdrawn, in the book as well."""
        asked = asked_by(
            request, rule, approvers, within, of
        )  # before anything is awaited: it is true only now
        try:
            made = await self._opened(asked)
        except NotSo as exc:
            return Decision.deny(str(exc), rule=rule)
        waiting = self._waiting[made.id] = _Waiting(made, request.session)
        session, final = request.session, made
        try:
            await self._heard(session, waiting, within)
            final = waiting.request
            if final.status == PENDING:
                final = await self._over(made, "expired", "nobody decided in time")
            self._record(session, waiting, final)
        finally:
            del self._waiting[made.id]
            if final.status == PENDING:
                with trio.CancelScope(shield=True), trio.move_on_after(ENDING):
                    await self._over(made, "withdrawn", _why_left(session))
        return _decision(final, rule)

    async def _heard(self, session: Session, waiting: _Waiting, within: float) -> None:
        """Put on the record what comes, until it is decided or the time is over."""
        self._record(session, waiting, waiting.request)
        with trio.move_on_after(within - (self._around.now() - waiting.request.asked)):
            while waiting.request.status == PENDING:
                await waiting.news.wait()
                waiting.news = trio.Event()
                if waiting.request.status == PENDING:
                    self._record(session, waiting, waiting.request)

    def told(self, request: str, step: str, words: str) -> None:
        """Put on the record of a request that waits that somebody was told of it, or was not."""
        waiting = self._waiting.get(request)
        if waiting is not None:
            waiting.session.record("held", {**_body(waiting.request), "step": step, "reason": words})

    def _record(self, session: Session, waiting: _Waiting, now: Request) -> None:
        body = _body(now)
        if not waiting.heard and now.status == PENDING and not now.decisions:
            who = ", ".join(now.approvers)
            session.record("held", {**body, "step": "asked", "reason": f"asked: {who}", "digest": now.digest})
        for each in now.decisions[waiting.heard :]:
            said = {"approve": "approved", "deny": "denied"}[each.effect]
            words = f"{said} by {each.principal.name}: {each.reason}"
            session.record("held", {**body, "step": said, "by": each.principal.name, "reason": words})
        waiting.heard = len(now.decisions)
        if now.status not in (PENDING, APPROVED, "denied"):
            session.record("held", {**body, "step": now.status, "reason": now.why})

    async def _opened(self, asked: Asked) -> Request:
        person = self._people.person(asked.principal.name)
        made = await self._in_thread(self._book.open, new_session_id(), asked, person, self._around.now())
        self._around.emit(
            "approval.asked",
            **self._facts(made),
            approvers=list(made.approvers),
            needed=made.needed,
            until=made.until,
            digest=made.digest,
            asks=asked.asks,
            reason=asked.reason,
        )
        return made

    async def _over(self, request: Request, status: str, why: str) -> Request:
        """End a request that nobody decided; gives what it is then, which may be a decision that was faster."""
        ended = await self._in_thread(self._book.end, request.id, status, why, self._around.now())
        if ended.status == "expired":
            self._around.emit("approval.expired", **self._facts(ended), reason=why)
        elif ended.status == "withdrawn":
            self._around.emit("approval.withdrawn", **self._facts(ended), reason=why)
        return ended

    # -- Granting --------------------------------------------------------------------------------------------

    def grant_for(self, principal: Principal, target: str) -> Grant | None:
        """Give the grant that opens a target to somebody now: of several the one that lasts longest."""
        now, best = self._around.now(), None
        for each in tuple(self._grants.values()):
            if each.expires is None or each.expires <= now:
                del self._grants[each.id]
            elif each.target == target and (each.issuer, each.subject) == (
                principal.issuer,
                principal.subject,
            ):
                best = each if best is None or each.expires > (best.expires or 0.0) else best
        if best is None or best.expires is None:
            return None
        by = tuple(each.principal.name for each in best.approvals)
        return Grant(best.id, best.expires, by, str(best.more.get("reason", "")))

    # -- Desk ------------------------------------------------------------------------------------------------

    async def call(self, caller: Caller, what: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
        """Do what somebody wants here. Raises `Problem` with words for them."""
        call = Call.of(what)
        for each in await self._in_thread(self._book.expire, self._around.now()):
            self._around.emit("approval.expired", **self._facts(each), reason=each.why)
        try:
            if call.word == "ls":
                return await self._listed(caller, call)
            if call.word == "new":
                return [await self._asked_ahead(caller, call)]
            request = await self._in_thread(self._book.get, call.request)
            if request is None or not self._concerns(caller, request):
                raise Problem(404, "there is no such request, or it is none of yours: see `recgate requests`")
            if call.word == "show":
                return [await self._shown(caller, request)]
            if call.word == "revoke":
                return [await self._revoked(caller, call, request)]
            return [await self._decided(caller, call, request)]
        except NotSo as exc:
            raise Problem(409, str(exc)) from None

    async def _listed(self, caller: Caller, call: Call) -> list[dict[str, object]]:
        found = await self._in_thread(self._book.list, call.status, call.since)
        return [self._row(caller, each) for each in found if self._concerns(caller, each)]

    async def _shown(self, caller: Caller, request: Request) -> dict[str, object]:
        row = self._row(caller, request)
        if row["may_decide"]:
            said = await self._in_thread(self._book.shown, request.id)
            row |= {"text": said.text, "binds": list(said.binds), "cut": said.cut}
        return row

    def _row(self, caller: Caller, request: Request) -> dict[str, object]:
        principal = caller.principal
        mine = principal is not None and self._is_own(principal, request)
        may = principal is not None and not mine and may_decide(principal, request.approvers)
        return row_of(request, mine=mine, may=may)

    def _concerns(self, caller: Caller, request: Request) -> bool:
        """Whether somebody may know of a request: the gateway's own machine, who asked, and who may decide."""
        principal = caller.principal
        if principal is None:
            return True
        return self._is_own(principal, request) or may_decide(principal, request.approvers)

    def _is_own(self, principal: Principal, request: Request) -> bool:
        if (principal.issuer, principal.subject) == (request.issuer, request.subject):
            return True
        return self._people.person(principal.name) == request.person

    # -- deciding --------------------------------------------------------------------------------------------

    async def _decided(self, caller: Caller, call: Call, request: Request) -> dict[str, object]:
        principal = await self._somebody(caller)
        if self._is_own(principal, request):
            raise Problem(403, "nobody decides on their own request, by whichever identity")
        if not may_decide(principal, request.approvers):
            raise Problem(403, "you are not, or no longer, among those who may decide on this request")
        if call.word == "approve" and call.digest != request.digest:
            raise Problem(409, "that digest is another request's: look at this one and approve what you see")
        if not call.reason:
            raise Problem(400, "say why: `--reason TEXT`")
        lock = self._locks.setdefault(request.id, trio.Lock())
        async with lock:
            return await self._put_down(caller, call, request, principal)

    async def _put_down(
        self, caller: Caller, call: Call, request: Request, principal: Principal
    ) -> dict[str, object]:
        """Take a word down, one at a time for a request: who still may is found out before it is counted."""
        here = await self._in_thread(self._book.get, request.id)
        if here is None or here.status != PENDING:
            raise NotSo(f"this request is {here.status if here else 'gone'} already")
        if here.kind == "hold" and here.id not in self._waiting:
            raise NotSo("nobody waits for this request here any more")
        still = [each.n for each in here.approvals if await self._still_may(each, here)]
        person = self._people.person(principal.name)
        word = Decided(0, call.word, person, principal, call.reason, self._around.now(), counts=True)
        said: list[Words] = []

        def on_record(ended: Request) -> None:
            said.append(self._words(ended, word))
            self._around.enter(ended, said[0], principal)

        try:
            ended = await self._in_thread(self._book.decide, here, word, still, self._around.now(), on_record)
        except (RecordingFailed, LedgerDamaged) as exc:
            log.error("approvals.unrecorded", approval=here.id, reason=str(exc))
            raise Problem(
                503, "this cannot be put on record now, so it does not count: the gateway's log says why"
            ) from None
        self._around.emit(said[0].event, **said[0].fields)
        if ended.kind == "access" and ended.status == APPROVED:
            self._grants[ended.id] = ended
        waiting = self._waiting.get(ended.id)
        if waiting is not None:
            waiting.request = ended
            waiting.news.set()
        return self._row(caller, ended)

    def _words(self, ended: Request, word: Decided) -> Words:
        facts, by = self._facts(ended), word.principal.name
        if word.effect == "deny":
            return Words.of("approval.denied", **facts, by=by, why=word.reason)
        return Words.of(
            "approval.approved",
            **facts,
            by=by,
            why=word.reason,
            approvals=len(ended.approvals),
            needed=ended.needed,
            digest=ended.digest,
        )

    async def _still_may(self, said: Decided, request: Request) -> bool:
        """Whether an earlier approval counts still: by who its person is now, or it does not."""
        now = await self._around.current(said.principal)
        return now is not None and may_decide(now, request.approvers) and not self._is_own(now, request)

    async def _somebody(self, caller: Caller) -> Principal:
        """Give who calls, as they are now. Raises `Problem`."""
        if caller.principal is None:
            raise Problem(403, "deciding acts as a person: give that person's token in RECGATE_TOKEN")
        now = await self._around.current(caller.principal)
        if now is None:
            raise Problem(403, "your sign-in does not stand any more: sign in again")
        return now

    # -- access ahead of a session -----------------------------------------------------------------------------

    async def _asked_ahead(self, caller: Caller, call: Call) -> dict[str, object]:
        principal = await self._somebody(caller)
        approvers, needed, longest, within = self._around.access(principal, call.target)
        if not call.reason:
            raise Problem(400, "say why you need it: `--reason TEXT`")
        if not 0 < call.lasts <= longest:
            raise Problem(400, f"{call.target} is granted for {longest:g} seconds at most: `--for`")
        asked = access_asked(principal, call.target, (approvers, needed, within), call.lasts, call.reason)
        return self._row(caller, await self._opened(asked))

    async def _revoked(self, caller: Caller, call: Call, request: Request) -> dict[str, object]:
        """Take a grant back, or an access request of one's own that still waits."""
        principal = await self._somebody(caller)
        if request.kind != "access":
            raise Problem(409, "a held request is withdrawn where it waits: cancel it in its client")
        now, why = self._around.now(), call.reason or f"taken back by {principal.name}"
        if request.status == PENDING:
            if not self._is_own(principal, request):
                raise Problem(409, "it waits still: deny it")
            return self._row(caller, await self._over(request, "withdrawn", why))
        if request.status != APPROVED or (request.expires or 0.0) <= now:
            over = "over" if request.status == APPROVED else request.status
            raise NotSo(f"this request is {over}: there is nothing to take back")
        ended = await self._in_thread(lambda: self._book.end(request.id, "revoked", why, now, was=APPROVED))
        self._grants.pop(request.id, None)
        words = Words.of("approval.revoked", **self._facts(ended), by=principal.name, why=why)
        self._around.emit(words.event, **words.fields)
        self._around.end(request.id, "the grant that it stood on was taken back")
        await self._in_thread(self._around.enter, ended, words, principal)
        return self._row(caller, ended)

    # -- what all of it needs ----------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(lambda: work(*arguments))

    def _facts(self, request: Request) -> dict[str, object]:
        # Never the text of a request: it may hold what only those who decide, and the recording, should have.
        return {
            "approval": request.id,
            "user": request.user,
            "target": request.target,
            "session": request.session,
            "rule": request.more.get("rule", ""),
            "status": request.status,
        }


def _why_left(session: Session) -> str:
    if session.denied is not None:
        return f"its session ended: {session.denied.reason}"
    return session.withdrawal or "its client did not wait for it"


def _decision(request: Request, rule: str) -> Decision:
    who = ", ".join(each.principal.name for each in request.approvals)
    if request.status == APPROVED:
        return Decision(Effect.ALLOW, rule, f"approved by {who}")
    last = request.decisions[-1] if request.decisions else None
    if request.status == "denied" and last is not None:
        return Decision.deny(f"{last.principal.name} denied it: {last.reason}", rule=rule)
    return Decision.deny(f"nobody approved it in time (request {request.id})", rule=rule)


def _body(request: Request) -> dict[str, object]:
    more = request.more
    return {"kind": more.get("asks", ""), "rule": more.get("rule", ""), "approval": request.id}
