"""A desk and those who come to it: people whose groups a test can change, and sessions that ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import trio

from recgate.decisions import Decision
from recgate.errors import RecgateError
from recgate.httpauth import Problem
from recgate.ids import new_session_id
from recgate.model import Principal, Secret
from recgate.policy import Act
from recgate.policy.approving import Caller
from recgate.sansio.frames import Request
from recgate.session import Session
from recgate_approvals.book import Book, Limits
from recgate_approvals.desk import ApprovalDesk, Surroundings
from recgate_approvals.people import People
from tests.rulehouse import alice, ask, session

LEADS = ("group:leads",)
LIMITS = Limits(per_person=3, per_hour=6, pending=5, kept=50, keep=1_000_000.0)
DELETE = Request(
    "sql", "DELETE FROM customers", details={"acts": (Act("DELETE", has_where=False),), "binds": ["7"]}
)


def lead(name: str, *groups: str, issuer: str = "corp") -> Principal:
    return Principal(
        issuer, f"s-{name}", name, frozenset(groups or ("leads",)), method="token", source=issuer
    )


@dataclass
class House:
    """`now` is the time; `gone` are people whose sign-in does not stand, `groups` those of others by name."""

    path: Path
    limits: Limits = LIMITS
    linked: tuple[tuple[str, ...], ...] = ()
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)
    now: float = 1_000_000.0

    def __post_init__(self) -> None:
        self.book = Book(self.path / "approvals.sqlite", Secret(b"k" * 32), "gate-1", self.limits)
        around = Surroundings(
            self.current,
            self.emit,
            self.access,
            lambda grant, why: self.ended.append((grant, why)),
            lambda: self.now,
        )
        self.desk = ApprovalDesk(self.book, People(self.linked), around)
        self.desk.begin()

    async def current(self, principal: Principal) -> Principal | None:
        await trio.lowlevel.checkpoint()
        if principal.name in self.gone:
            return None
        groups = self.groups.get(principal.name, principal.groups)
        return Principal(principal.issuer, principal.subject, principal.name, groups, source=principal.source)

    def emit(self, kind: str, **facts: object) -> None:
        self.events.append((kind, dict(facts)))

    def access(self, principal: Principal, target: str) -> tuple[tuple[str, ...], int, float, float]:
        if target != "prod-db":
            raise Problem(403, "not open on request")
        return LEADS, 1, 7_200.0, 600.0

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    async def call(self, who: Principal | None, call: str, **what: object) -> list[Mapping[str, Any]]:
        caller = Caller(who.name if who else "local:0", who)
        return list(await self.desk.call(caller, {"call": call, **what}))

    async def one(self, who: Principal | None, call: str, **what: object) -> Mapping[str, Any]:
        (row,) = await self.call(who, call, **what)
        return row

    async def refused(self, who: Principal | None, call: str, **what: object) -> str:
        try:
            await self.call(who, call, **what)
        except RecgateError as exc:
            return f"{getattr(exc, 'status', '')} {exc}"
        raise AssertionError(f"{call} was done")


@dataclass
class Holding:
    """A held request: its row, its session, and in the end its decision."""

    house: House
    session: Session
    id: str = ""
    digest: str = ""
    decision: Decision | None = None
    over: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def approve(self, who: Principal, **more: object) -> Mapping[str, Any]:
        what = {"request": self.id, "digest": self.digest, "reason": "fine", **more}
        return await self.house.one(who, "approve", **what)

    def steps(self) -> list[dict[str, Any]]:
        frames = self.session.recorder.frames  # type: ignore[attr-defined]
        return [cbor2.loads(frame.data) for frame in frames if frame.kind == "held"]

    async def run(self, request: Request, approvers: tuple[str, ...], within: float, of: int) -> None:
        with self.scope:
            asked = ask(request, self.session)
            self.decision = await self.house.desk.ask(asked, "unbounded", approvers, within, of)
        self.over.set()


@asynccontextmanager
async def held(
    house: House,
    request: Request = DELETE,
    *,
    by: Principal = alice,
    approvers: tuple[str, ...] = LEADS,
    within: float = 600.0,
    of: int = 1,
) -> AsyncIterator[Holding]:
    """A request that waits; whoever leaves the block leaves it waiting no longer."""
    holding = Holding(house, session(by, id=new_session_id()))
    known = {each.id for each in house.book.list()}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holding.run, request, approvers, within, of)
        with trio.fail_after(10):
            while not (holding.steps() or holding.over.is_set()):
                await trio.lowlevel.checkpoint()
        fresh = [each for each in house.book.list() if each.id not in known]
        if fresh:
            holding.id, holding.digest = fresh[0].id, fresh[0].digest
        yield holding
        holding.scope.cancel()
