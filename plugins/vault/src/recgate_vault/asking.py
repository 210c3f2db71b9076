"""What is known of a session when a credential is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recgate.model import Principal, TargetInfo

__all__ = ["Asking"]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who, where to, in which session; and the configured names of fields."""

    principal: Principal
    target: TargetInfo
    session: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
