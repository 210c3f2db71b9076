"""The vendor kit for policies: subclass `PolicyContract`, name what yours refuses, and the law of doubt is tested.

    class TestMyPolicy(PolicyContract):
        def make_policy(self): return MyPolicy(...)
        refused = [sql(Act("DROP"))]
        allowed = [sql(Act("SELECT"))]

`asked` makes the question of a request, and `sql` a request of one or more acts, for tests of your own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, cast

import pytest

from recgate.decisions import Decision, Effect
from recgate.model import ConnectionInfo, Principal, TargetInfo
from recgate.policy.acts import ACTS, Act
from recgate.providers import Policy, PolicyRequest
from recgate.sansio.frames import Request
from recgate.session import Session
from recgate.testing.fakes import MemoryRecorder

__all__ = ["ALICE", "PolicyContract", "asked", "sql"]

ALICE: Final = Principal("corp", "17", "alice", frozenset({"dba"}), method="token")

# Every kind that a protocol of today gives, and one of tomorrow.
KINDS: Final = ("session", "sql", "shell", "file", "forward", "agent", "x11", "replication", "of-tomorrow")


def sql(*acts: Act, text: str = "select 1") -> Request:
    """Give a request of a database session that does `acts`; without any it is opaque, as a `DO` block is."""
    return Request("sql", text, details={ACTS: acts or (Act(opaque=True),)})


def asked(
    request: Request,
    *,
    labels: Mapping[str, str] | None = None,
    principal: Principal = ALICE,
    target: str = "prod-db",
) -> PolicyRequest:
    """Ask about a request, in a session that has just opened."""
    info = TargetInfo(target, "postgres", "db.internal", 5432, options=None, labels=labels or {"env": "prod"})
    session = Session(
        id="0" * 26,
        principal=principal,
        target=info,
        connection=ConnectionInfo("postgres", "127.0.0.1:7", "10.1.2.3:5555"),
        recorder=MemoryRecorder(),  # pyright: ignore[reportArgumentType] - has the methods that sessions use
        decide=lambda _: Decision.deny("the kit decides nothing"),
    )
    return PolicyRequest(request, principal, info, session)


class PolicyContract:
    """What every policy must be. Give `make_policy`, and some requests that it refuses and lets through."""

    refused: ClassVar[Sequence[Request]] = ()
    """Requests that it denies or holds."""
    allowed: ClassVar[Sequence[Request]] = ()
    """Requests that it has nothing to say about."""
    labels: ClassVar[Mapping[str, str]] = {"env": "prod"}
    """What the target of these requests is labelled with."""

    def make_policy(self) -> Policy:
        """A fresh policy, as your hook makes it."""
        raise AssertionError("a PolicyContract says how its policy is made")

    def decide(self, request: Request) -> Decision:
        """Ask a fresh policy."""
        return self.make_policy().decide(asked(request, labels=self.labels))

    def test_it_has_a_name_and_decides_synchronously(self) -> None:
        policy = self.make_policy()
        assert policy.name, "a deny by exception names the policy"
        assert not inspect.iscoroutinefunction(policy.decide), (
            "`decide` stands in the byte's way: a plain `def`"
        )

    def test_what_it_refuses_is_refused_with_rule_and_reason(self) -> None:
        if not self.refused:
            pytest.fail("this contract needs `refused`")
        for request in self.refused:
            decision = self.decide(request)
            assert decision.effect is not Effect.ALLOW, f"allowed {request.kind}: {request.text}"
            assert decision.rule, "a refusal names its rule"
            assert decision.reason, "a refusal says what to do instead"
            assert (decision.wait is not None) == (decision.effect is Effect.HOLD), (
                "a hold, and only a hold, waits"
            )

    def test_what_it_does_not_speak_of_is_let_through(self) -> None:
        if not self.allowed:
            pytest.fail("this contract needs `allowed`")
        for request in self.allowed:
            assert self.decide(request).effect is Effect.ALLOW, f"refused {request.kind}: {request.text}"

    def test_it_answers_about_every_kind_of_request(self) -> None:
        for kind in KINDS:
            for text in ("", "x", "\x00\n\u202e", "x" * 100_000):
                decision = self.decide(Request(kind, text))
                assert isinstance(decision, Decision), f"{kind}: gave no Decision"

    def test_a_refused_act_is_refused_wherever_in_a_batch_it_stands(self) -> None:
        for request in self.refused:
            for acts in _batches(request):
                decision = self.decide(Request(request.kind, request.text, request.channel, {ACTS: acts}))
                assert decision.effect is not Effect.ALLOW, (
                    f"a batch hides {request.text} as {len(acts)} acts"
                )

    def test_what_cannot_be_read_is_not_let_through_where_acts_are_refused(self) -> None:
        if any(_acts(request) for request in self.refused):
            assert self.decide(sql()).effect is not Effect.ALLOW, (
                "a DO block does what it likes past this policy"
            )


def _acts(request: Request) -> tuple[Act, ...]:
    return tuple(cast("Sequence[Act]", request.details.get(ACTS) or ()))


def _batches(request: Request) -> list[tuple[Act, ...]]:
    acts = _acts(request)
    harmless = Act("SELECT")
    return [(harmless, *acts), (*acts, harmless), (harmless, *acts, harmless)] if acts else []
