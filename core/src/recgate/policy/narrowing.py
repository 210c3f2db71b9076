"""What is left of policies inside one open session, so that those which cannot concern it cost it nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from recgate.providers import Policy
    from recgate.session import Session

__all__ = ["ORDINARY", "Narrowed", "Narrowing", "narrowed", "unjudged"]

# What a target's `allow:` covers. Everything else, and every kind that somebody invents later, needs an allow of its
# own in the target's options (law 5): forwarding, agent, X11, replication lead past the recorded protocol.
ORDINARY: Final = frozenset({"session", "sql", "shell", "file"})


@runtime_checkable
class Narrowing(Protocol):
    """What a policy may offer besides `decide`: itself, for the requests of one session that is open."""

    def narrowed(self, session: Session) -> Policy | None:
        """Give what is left of the policy in this session, or None if nothing of it can match any request there.

        Called when the session has opened, and again when its principal's groups have changed. What it gives decides
        on that session's requests from then on, and may be a `Narrowed`. An exception refuses the session.
        """
        ...


@runtime_checkable
class Narrowed(Protocol):
    """What a policy for one session may offer besides `decide`."""

    def judges(self, kind: str) -> bool:
        """Whether requests of a kind could be decided otherwise than by a plain allow. Doubt is a yes."""
        ...


def narrowed(policies: Sequence[Policy], session: Session) -> list[Policy]:
    """Give what is left of each policy, in their order."""
    left: list[Policy] = []
    for policy in policies:
        found = policy.narrowed(session) if isinstance(policy, Narrowing) else policy
        if found is not None:
            left.append(found)
    return left


def unjudged(policies: Sequence[Policy]) -> frozenset[str]:
    """Name the ordinary kinds that none of these policies judges: asking about such a request can be left out."""
    if not policies:
        return ORDINARY
    # Files are counted where requests are decided on, so they always come by there while anybody may look.
    kinds = ORDINARY - {"file", "session"}
    return frozenset(
        kind
        for kind in kinds
        if all(isinstance(policy, Narrowed) and policy.judges(kind) is False for policy in policies)
    )
