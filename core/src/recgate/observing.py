"""What observers may do besides observing: work of their own, so that nobody waits for whom they tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from recgate.audit import AuditTrail

__all__ = ["Working"]


@runtime_checkable
class Working(Protocol):
    """What an observer may offer besides: work of its own, so that observing waits for nobody."""

    async def work(self, trail: AuditTrail) -> None:
        """Work for as long as the audit trail does, and until cancelled with it.

        What it has to say itself it emits there. An exception is logged and counted, and ends the work alone.
        """
        ...
