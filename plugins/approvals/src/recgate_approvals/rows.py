"""A request as JSON data: for the API, the command line, and nobody's eyes but theirs whom it concerns."""

from __future__ import annotations

from recgate_approvals.book import Request

__all__ = ["row_of"]


def row_of(request: Request, *, mine: bool, may: bool) -> dict[str, object]:
    """Give what may be known of a request by everybody whom it concerns; never its text.

    Args:
        request: as it stands.
        mine: whether whoever looks has asked for it, by whichever identity.
        may: whether whoever looks may decide on it.
    """
    more = request.more
    return {
        "id": request.id,
        "kind": request.kind,
        "status": request.status,
        "asked": request.asked,
        "until": request.until,
        "ended": request.ended,
        "expires": request.expires,
        "for": request.lasts,
        "why": request.why,
        "user": request.user,
        "issuer": request.issuer,
        "groups": more.get("groups", []),
        "target": request.target,
        "protocol": more.get("protocol", ""),
        "source": more.get("source", ""),
        "session": request.session,
        "request": more.get("request", 0),
        "asks": more.get("asks", ""),
        "rule": more.get("rule", ""),
        "reason": more.get("reason", ""),
        "facts": more.get("facts", []),
        "digest": request.digest,
        "needed": request.needed,
        "approvers": list(request.approvers),
        "decisions": [
            {
                "user": each.principal.name,
                "effect": each.effect,
                "reason": each.reason,
                "at": each.at,
                "counts": each.counts,
            }
            for each in request.decisions
        ],
        "mine": mine,
        "may_decide": may,
    }
