"""Refuse, in a session that was allowed for reading alone, what its target would not."""

from __future__ import annotations

from typing import Final

from recgate.decisions import ALLOW, Decision
from recgate.providers import PolicyRequest

__all__ = ["WRITES", "ReadOnlyPolicy"]

# The key of `Request.details` by which a protocol says what of a request is more than reading: words, or nothing.
WRITES: Final = "writes"


class ReadOnlyPolicy:
    """Judges every request of a session with `read_only`: what does not say that it only reads is refused."""

    name = "read-only"

    def decide(self, request: PolicyRequest) -> Decision:
        """Refuse what is more than reading, or might be."""
        asked = request.request
        why = asked.details.get(WRITES) if asked.kind == "sql" else f"{asked.kind} is more than reading"
        if why == "":
            return ALLOW
        reason = why if isinstance(why, str) else "it does not tell what it does"
        return Decision.deny(f"this session is read-only: {reason}", rule=self.name)
