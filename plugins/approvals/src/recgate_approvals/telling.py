"""Hear who was told of a request, so that the recording of the session that waits says so as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from recgate.audit import AuditEvent

__all__ = ["Telling"]

_STEPS: Final = {"notification.sent": "told", "notification.failed": "not told"}


class Telling:
    """An `Observer` of what became of notifications. `told` takes a request's id, the step, and words for it."""

    name = "approvals"

    def __init__(self, told: Callable[[str, str, str], None]) -> None:
        self._told = told

    async def observe(self, event: AuditEvent) -> None:
        """Hand on what is about a request that was asked."""
        step, facts = _STEPS.get(event.kind), event.fields
        if step is not None and facts.get("about") == "approval.asked":
            reason = f": {facts['reason']}" if facts.get("reason") else ""
            self._told(str(facts.get("approval", "")), step, f"{step}: {facts.get('receiver', '')}{reason}")
