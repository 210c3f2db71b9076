"""What a target demands of the sign-in behind a credential (step-up authentication, RFC 9470)."""

from __future__ import annotations

from typing import Final

from recgate.config.sections import SignInDemand
from recgate.model import Principal

__all__ = ["unmet"]

SKEW: Final = 60.0  # seconds that an identity provider's clock may be ahead of ours


def unmet(demand: SignInDemand, principal: Principal, now: float) -> str:
    """Say what the sign-in lacks and how to sign in again, or "". What a source does not say is lacking."""
    if demand.acr and principal.acr not in demand.acr:
        wanted = " or ".join(demand.acr)
        return f"needs a sign-in at {wanted}: run `recgate login --acr {demand.acr[0]}` and try again"
    missing = [method for method in demand.amr if method not in principal.amr]
    if missing:
        return f"needs a sign-in with {' and '.join(missing)}: run `recgate login --fresh` and try again"
    if demand.max_age is not None and not _lately(principal.auth_time, demand.max_age, now):
        return (
            f"needs a sign-in of the last {_span(demand.max_age)}: run `recgate login --fresh` and try again"
        )
    return ""


def _lately(auth_time: float | None, max_age: float, now: float) -> bool:
    return auth_time is not None and now - max_age <= auth_time <= now + SKEW


def _span(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
