"""Who asks people about held requests: what a plugin brings by the hook `recgate_approvals`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from recgate.decisions import Decision
    from recgate.providers import PolicyRequest

__all__ = ["Approver"]


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
