"""How the answers of several providers combine. Doubt means deny, and only observers are isolated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from recgate.decisions import ALLOW, Alert, Decision, Effect, stricter
from recgate.errors import AccessDenied
from recgate.providers import Policy, PolicyRequest, Stage
from recgate.sansio.frames import Frame

__all__ = ["allow_all", "broadcast", "deny_overrides", "first_answer", "pipeline"]

_EFFECTS = frozenset(Effect)
P = TypeVar("P")
T = TypeVar("T")


async def first_answer(providers: Sequence[P], ask: Callable[[P], Awaitable[T | None]]) -> T | None:
    """Ask each provider in order until one answers; None means that it abstains.

    An exception ends the asking: a provider that claimed the question and failed must not be overruled by
    a laxer one behind it.
    """
    for provider in providers:
        answer = await ask(provider)
        if answer is not None:
            return answer
    return None


def deny_overrides(policies: Sequence[Policy]) -> Callable[[PolicyRequest], Decision]:
    """Combine policies: a deny outweighs a hold, a hold outweighs an allow; an exception is a deny.

    Alerts of those that were asked go with whatever the decision is; nobody is asked after a deny.
    """
    asked = tuple(map(_answering, policies))
    if len(asked) < 2:
        return asked[0] if asked else allow_all

    def decide(request: PolicyRequest) -> Decision:
        held: Decision | None = None
        obligations: dict[str, object] = {}
        demanding = ""
        alerts: tuple[Alert, ...] = ()
        for ask in asked:
            decision = ask(request)
            alerts += decision.alerts
            if decision.effect is Effect.DENY:
                return replace(decision, alerts=alerts) if alerts else decision
            if decision.effect is Effect.HOLD:
                held = held or decision
            elif decision.obligations:
                demanding = demanding or decision.rule
                obligations = stricter(obligations, decision.obligations)
        if held is not None:
            # What another policy's allow demands stands behind an approval as well.
            demands = stricter(obligations, held.obligations) if obligations else held.obligations
            return replace(held, obligations=demands, alerts=alerts) if obligations or alerts else held
        if obligations or alerts:
            return Decision(Effect.ALLOW, demanding, obligations=obligations, alerts=alerts)
        return ALLOW

    return decide


def _answering(policy: Policy) -> Callable[[PolicyRequest], Decision]:
    """Ask one policy. Whatever is no decision is a deny."""
    ask = policy.decide

    def decide(request: PolicyRequest) -> Decision:
        try:
            decision = ask(request)
            if decision is ALLOW or decision.effect in _EFFECTS:
                return decision
        except AccessDenied as exc:
            # What it was asked about cannot be judged, and says why itself: a text whose encoding hides words.
            return Decision(Effect.DENY, exc.rule or policy.name, str(exc))
        except Exception as exc:  # noqa: BLE001 - a policy's doubt refuses this request, whatever it raised (law 3)
            reason = f"policy {policy.name} failed ({type(exc).__name__}); the request is refused"
            return Decision(Effect.DENY, policy.name, reason)
        return Decision(Effect.DENY, policy.name, f"policy {policy.name} gave no decision")

    return decide


def allow_all(request: PolicyRequest) -> Decision:
    """Combine no policies at all: a target's `allow:` is the allow."""
    return ALLOW


def pipeline(stages: Sequence[Stage]) -> Callable[[Frame], Frame] | None:
    """Chain stages into one call, or None when there are none, so that the pump can skip the call."""
    compiled = tuple(stages)
    if not compiled:
        return None
    if len(compiled) == 1:
        return compiled[0]

    def run(frame: Frame) -> Frame:
        for stage in compiled:
            frame = stage(frame)
        return frame

    return run


async def broadcast(
    providers: Sequence[P], tell: Callable[[P], Awaitable[None]], failed: Callable[[P, Exception], None]
) -> None:
    """Tell every provider; one that raises is reported to `failed` and does not keep the others from hearing."""
    for provider in providers:
        try:
            await tell(provider)
        except Exception as exc:  # noqa: BLE001 - observers alone are isolated (architecture: doubt means deny elsewhere)
            failed(provider, exc)
