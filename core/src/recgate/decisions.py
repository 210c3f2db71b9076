"""A decision on a request: allow, deny or hold, with a reason and what an allow demands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, cast

__all__ = ["ALLOW", "UNKEPT", "Alert", "Decision", "Effect", "stricter"]


# The code of a refusal whose request holds what must not be kept: whoever refuses it records nothing of its contents.
UNKEPT: Final = "unkept"


class Effect(StrEnum):
    """What a policy says. Deny outweighs hold, hold outweighs allow."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Alert:
    """What somebody is to hear of, whatever the decision is: the rule that matched, and its words."""

    rule: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of a policy.

    `rule` names the rule, `reason` is what the client reads, `obligations` is what an allow demands
    (mask set, row limit, read-only …). A hold carries `wait`: awaiting it gives the final decision, which
    is an allow or a deny; cancelling it withdraws the question. `alerts` go with any effect. `code` is a word that
    relays map to their protocol's own (`cancelled`), where the refusal has another one than any other.
    """

    effect: Effect
    rule: str = ""
    reason: str = ""
    obligations: Mapping[str, object] = field(default_factory=dict[str, object])
    wait: Callable[[], Awaitable[Decision]] | None = None
    alerts: tuple[Alert, ...] = ()
    code: str = ""

    @classmethod
    def deny(cls, reason: str, *, rule: str = "") -> Decision:
        """Refuse, saying why."""
        return cls(Effect.DENY, rule, reason)


ALLOW = Decision(Effect.ALLOW)


def stricter(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    """Join what two allows demand: of two numbers the smaller, of two sets of names all of them."""
    joined = {**one, **other}
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            joined[name] = min(a, b)
        elif isinstance(a, tuple) and isinstance(b, tuple):
            joined[name] = tuple(dict.fromkeys((*cast("tuple[str, ...]", a), *cast("tuple[str, ...]", b))))
    return joined
