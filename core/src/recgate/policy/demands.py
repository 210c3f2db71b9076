"""Meet what an allow demands, or say what of it cannot be met here.

Some demands are met when the session opens, and hold for all of it: reading alone, masks. A rule that speaks of single
requests cannot bring them in later, so what it would allow is refused in a session that was opened without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from recgate.policy.obligations import MASKS, MAX_ROWS, READ_ONLY, REASON, SESSION_TIME
from recgate.sansio.frames import Request

if TYPE_CHECKING:
    from recgate.session import Session

__all__ = ["Met", "unmet"]


@dataclass(slots=True)
class Met:
    """What of demands is met in a session: `enforces` names those that its protocol can meet.

    `read_only` says that opening it was allowed for reading alone, `masks` are those that it was allowed with.
    """

    enforces: frozenset[str] = frozenset()
    read_only: bool = False
    masks: frozenset[str] = frozenset()


def _how(session: Session) -> str:
    """Say how a reason is given, where the target's protocol tells."""
    hint = getattr(session.target.options, "reason_hint", "")
    return f": {hint}" if isinstance(hint, str) and hint else ""


def unmet(session: Session, request: Request, demands: Mapping[str, object], rule: str) -> str:
    """Meet what an allow of this request demands; gives what cannot be met, in words for the client, or nothing.

    `max_rows` of a request in an open session is its caller's to meet, by the brake.
    """
    left = dict(demands)
    opening = request.kind == "session"
    lasts = left.pop(SESSION_TIME, None)
    if isinstance(lasts, float):
        session.lasts = min(lasts, session.lasts or lasts)
    if left.pop(REASON, None) is not None and not session.reason:
        return f"say why you need it when you connect{_how(session)}"
    met = session.met.enforces
    if MAX_ROWS in left and MAX_ROWS in met and session.brake is not None:
        limit = left.pop(MAX_ROWS)
        if opening and isinstance(limit, int) and limit < session.brake.max_rows:
            session.brake.max_rows, session.brake.rule = limit, rule
    if READ_ONLY in left and READ_ONLY in met:
        if not opening and not session.met.read_only:
            return "this needs a session that is read-only from its opening: let the rule match `session` requests too"
        del left[READ_ONLY]
        session.met.read_only = True
    if MASKS in left and MASKS in met:
        names = frozenset(cast("tuple[str, ...]", left.pop(MASKS)))
        if not opening and not names <= session.masked:
            return "this needs a session that is masked from its opening: let the rule match `session` requests too"
        if opening:
            session.met.masks |= names
    return f"this gateway cannot enforce {', '.join(sorted(left))}" if left else ""
