"""Who asks people about held requests: what a plugin brings by the hook `recgate_approvals`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from recgate.decisions import Decision
    from recgate.model import Principal
    from recgate.providers import PolicyRequest

__all__ = ["Approver", "Caller", "Desk", "Grant", "Granting"]


class Approver(Protocol):
    """Asks people whether a held request may go on."""

    async def ask(
        self, request: PolicyRequest, rule: str, approvers: Sequence[str], within: float, of: int
    ) -> Decision:
        """Wait until `of` different people among `approvers` (`user:NAME`, `group:NAME`) have approved.

        Gives an allow or a deny; anything else, an exception, or not enough of them `within` so many seconds is a deny.
        What is approved is this request alone, its exact bytes. Cancelling withdraws the question.
        """
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls on a desk: `by` is for the audit trail, `principal` whom a token proves, or None for the gateway's own
    machine, whose owner may look and may not decide."""

    by: str
    principal: Principal | None = None
    source: str = ""


@runtime_checkable
class Desk(Protocol):
    """What an approver may offer besides: a place where people see what waits, and decide (`recgate requests`)."""

    async def call(self, caller: Caller, what: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
        """Do one of `ls`, `show`, `new`, `approve`, `deny`, `revoke`, as `what["call"]` says; gives rows of JSON data.

        The principal is as its identity source knows it now. Raises `RecgateError` with words for who called.
        """
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """Access that people have granted: `until` is wall-clock seconds, `by` names who approved, `reason` is what for."""

    id: str
    until: float
    by: tuple[str, ...] = ()
    reason: str = ""


@runtime_checkable
class Granting(Protocol):
    """What an approver may offer besides: access to targets whose `allow:` does not name somebody, for a time."""

    def grant_for(self, principal: Principal, target: str) -> Grant | None:
        """Give the grant that opens a target to somebody now, or None. From memory, since doors wait for it."""
        ...
