"""One rule of `policies:`: its name, its condition, what it does, and what the refused read."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from recgate.config import Settings
from recgate.policy.effects import RULE_NAME, Then
from recgate_policy_cel.checking import check
from recgate_policy_cel.syntax import MAX_TEXT

__all__ = ["CelRule"]

MAX_MESSAGE: Final = 500  # characters


def _checked(text: str) -> str:
    check(text)
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("should be one line of printable text")
    return text


class CelRule(Settings):
    """A rule whose condition is CEL. Where `opaque` is absent the effect settles it: alerts ignore, others match."""

    name: Annotated[str, Field(pattern=RULE_NAME)]
    when: Annotated[str, AfterValidator(_checked)] = Field(
        max_length=MAX_TEXT, description="a condition, see the policy model"
    )
    then: Then
    message: Annotated[str, AfterValidator(_printable)] = Field(default="", max_length=MAX_MESSAGE)
    opaque: Literal["match", "ignore"] | None = Field(
        default=None,
        description="whether it matches what cannot be read from the request's text, where it asks for facts of it",
    )

    @property
    def matches_opaque(self) -> bool:
        """Whether a request that does not tell its facts is taken for the worst that it could be."""
        return self.opaque == "match" or (self.opaque is None and self.then.effect != "alert")
