"""Ask whoever may approve a held request: bounded in time, and whatever goes wrong on the way is a no."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import structlog
import trio

from recgate.decisions import Decision, Effect

if TYPE_CHECKING:
    from recgate.policy.approving import Approver
    from recgate.policy.effects import Hold
    from recgate.providers import PolicyRequest

__all__ = ["Question", "words", "waiting"]

GRACE: Final = 5.0  # seconds beyond its time-out for a provider of approvals to say that there was no answer

log = structlog.get_logger("recgate.policy")


@dataclass(frozen=True, slots=True)
class Question:
    """What one rule wants approved."""

    rule: str
    hold: Hold
    message: str = ""

    @property
    def words(self) -> str:
        """What the client reads meanwhile: who can approve, and for how long it waits."""
        count = f"{self.hold.of} of " if self.hold.of > 1 else ""
        who = ", ".join(self.hold.approvers)
        waits = f"waits for approval by {count}{who}, for at most {_lasting(self.hold.timeout)}"
        return f"{self.message} ({waits})" if self.message else waits


def words(questions: Sequence[Question]) -> str:
    """Give the words of several questions."""
    return "; ".join(question.words for question in questions)


def waiting(
    request: PolicyRequest, questions: Sequence[Question]
) -> Callable[[], Awaitable[Decision]] | None:
    """Give what awaits the answers to every question, or None where nobody is there to be asked.

    Cancelling it withdraws the question that is open.
    """
    approver = request.session.approver
    if approver is None:
        return None
    asked, known = tuple(questions), approver

    async def wait() -> Decision:
        final = Decision.deny("nothing was asked")
        for question in asked:
            final = await _answer(known, request, question)
            if final.effect is not Effect.ALLOW:
                break
        return final

    return wait


async def _answer(approver: Approver, request: PolicyRequest, question: Question) -> Decision:
    hold, rule = question.hold, question.rule
    decision: object = None
    with trio.move_on_after(hold.timeout + GRACE):
        try:
            decision = await approver.ask(request, rule, hold.approvers, hold.timeout, hold.of)
        except Exception as exc:  # noqa: BLE001 - a failed approval refuses this request, whatever it raised (law 3)
            log.error("approval.failed", session=request.session.id, rule=rule, error=type(exc).__name__)
            return Decision.deny("the approval failed, so this is refused", rule=rule)
    if isinstance(decision, Decision) and decision.effect in (Effect.ALLOW, Effect.DENY):
        return decision
    return Decision.deny(f"nobody decided within {_lasting(hold.timeout)}", rule=rule)


def _lasting(seconds: float) -> str:
    for size, unit in ((3_600.0, "h"), (60.0, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{cast('int', seconds // size):.0f} {unit}"
    return f"{seconds:g} s"
