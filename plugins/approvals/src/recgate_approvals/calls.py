"""What somebody wants at the desk, read strictly: it comes from a socket or over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from recgate.httpauth import Problem

__all__ = ["STATUSES", "WORDS", "Call"]

WORDS: Final = ("ls", "show", "new", "approve", "deny", "revoke")
STATUSES: Final = ("pending", "approved", "denied", "expired", "withdrawn", "revoked")
MAX_REASON: Final = 500  # characters
MAX_ID: Final = 64


@dataclass(frozen=True, slots=True)
class Call:
    """One call. What its word does not need is empty."""

    word: str
    request: str = ""
    reason: str = ""
    digest: str = ""
    status: str = ""
    target: str = ""
    lasts: float = 0.0
    since: float = 0.0

    @classmethod
    def of(cls, what: Mapping[str, object]) -> Call:
        """Read a call. Raises `Problem` 400."""
        word, status = _text(what, "call", MAX_ID), _text(what, "status", MAX_ID)
        if word not in WORDS:
            raise Problem(400, f"a call is one of {', '.join(WORDS)}")
        if status not in ("", *STATUSES):
            raise Problem(400, f"a status is one of {', '.join(STATUSES)}")
        return cls(
            word,
            _text(what, "request", MAX_ID),
            _text(what, "reason", MAX_REASON).strip(),
            _text(what, "digest", MAX_ID),
            status,
            _text(what, "target", MAX_ID),
            _number(what, "for"),
            _number(what, "since"),
        )


def _text(what: Mapping[str, object], key: str, longest: int) -> str:
    value = what.get(key, "")
    if not isinstance(value, str) or len(value) > longest:
        raise Problem(400, f"`{key}` should be text of at most {longest} characters")
    return value.encode("utf-8", "backslashreplace").decode()


def _number(what: Mapping[str, object], key: str) -> float:
    value = what.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise Problem(400, f"`{key}` should be a number of seconds")
    return float(value)
