"""What a verification found out: a status, a line for each level, and every problem with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

__all__ = ["LEVELS", "Answer", "Problem", "Report", "Status"]

# `logged`, `complete` and `witnessed` need the ledger. Without it they are said to be unavailable, never passed over.
LEVELS: Final = ("file", "logged", "complete", "witnessed", "contents")
MAX_PROBLEMS: Final = 200  # that are listed; a recording with more is not better known for it


class Status(StrEnum):
    """What a recording is, the worst first: the first that applies is the answer."""

    ALTERED = "altered"
    MISSING = "missing"
    UNTRUSTED = "untrusted"
    UNKNOWN = "unknown"
    INCOMPLETE = "incomplete"
    UNSEALED = "unsealed"
    ERASED = "erased"
    RECOVERED = "recovered"
    COMPLETE = "complete"


class Answer(StrEnum):
    """How a level turned out."""

    OK = "ok"
    FAILED = "failed"
    UNAVAILABLE = "not available"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be: `where` names the object, and the frame as far as it can be told."""

    where: str
    what: str


@dataclass(slots=True)
class Report:
    """What is known of one recording. Times are ns of the wall clock, as the gateway's own clock said."""

    session: str
    status: Status = Status.COMPLETE
    levels: dict[str, Answer] = field(default_factory=lambda: dict.fromkeys(LEVELS, Answer.UNAVAILABLE))
    problems: list[Problem] = field(default_factory=list[Problem])
    gateway: str = ""
    key: str = ""
    segments: int = 0
    frames: int = 0
    stored: int = 0
    opened: int = 0
    last_seal: int = 0
    reason: str = ""
    sealed: str = ""  # why contents could not be looked at: they are for other eyes

    @property
    def ok(self) -> bool:
        """The recording is believed: complete, recovered and saying so, or lawfully gone."""
        return self.status in (Status.COMPLETE, Status.RECOVERED, Status.ERASED)

    def found(self, status: Status, where: str, what: str, level: str = "file") -> None:
        """Add a problem, which may make the status worse."""
        order = list(Status)
        if order.index(status) < order.index(self.status):
            self.status = status
        self.levels[level] = Answer.FAILED
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(where, what))

    def as_json(self) -> dict[str, object]:
        """Give the line of `verify --json`."""
        return {
            "session": self.session,
            "status": str(self.status),
            "levels": {level: str(answer) for level, answer in self.levels.items()},
            "problems": [{"where": each.where, "what": each.what} for each in self.problems],
            "gateway": self.gateway,
            "key": self.key,
            "segments": self.segments,
            "frames": self.frames,
            "bytes": self.stored,
            "opened": self.opened,
            "last_seal": self.last_seal,
            "reason": self.reason,
            "sealed": self.sealed,
        }
