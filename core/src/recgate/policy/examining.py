"""What is odd about rules that are right: never matching, hidden by another, matching more than meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from recgate.model import TargetInfo

__all__ = ["Examining", "Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One oddity: the rule, what is odd about it, and what to do."""

    rule: str
    what: str


@runtime_checkable
class Examining(Protocol):
    """What a policy may offer besides `decide`: it looks at its own rules, for `recgate policy check`."""

    def findings(self, targets: Sequence[TargetInfo]) -> Sequence[Finding]:
        """Say what is odd about the rules; `targets` are the configured ones, or none where that is not known."""
        ...
