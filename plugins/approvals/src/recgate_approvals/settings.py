"""The keys of `approvals:`."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, field_validator

from recgate.config import Duration, Settings
from recgate_approvals.people import folded

__all__ = ["ApprovalSettings"]

MAX_KEPT: Final = 1_000_000
Name = Annotated[str, Field(min_length=1, max_length=200)]


class ApprovalSettings(Settings):
    """`approvals:` — who counts as one person, how much may wait, and for how long answers are kept."""

    people: tuple[tuple[Name, ...], ...] = Field(
        default=(),
        description="names that are one person, of whichever identity sources: `[[alice, corp:alice]]`",
    )
    per_person: int = Field(
        default=20, ge=1, le=1_000, description="requests of one person that may wait at once"
    )
    per_hour: int = Field(
        default=120, ge=1, le=100_000, description="requests that one person may make in an hour"
    )
    pending: int = Field(default=1_000, ge=1, le=100_000, description="requests of all that may wait at once")
    keep: Annotated[Duration, Field(gt=0)] = Field(
        default=34_560_000.0, description="how long a request is kept once it is over"
    )
    kept: int = Field(
        default=100_000, ge=1, le=MAX_KEPT, description="requests kept at most; the oldest go first"
    )

    @field_validator("people")
    @classmethod
    def _once(cls, people: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        seen: set[str] = set()
        for name in (name for person in people for name in person):
            # As people are told apart when they decide: letter case makes nobody somebody else.
            if folded(name) in seen:
                raise ValueError(f"names {name} twice: a name is one person's")
            seen.add(folded(name))
        return people
