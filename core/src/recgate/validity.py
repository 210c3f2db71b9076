"""End sessions whose ground has gone: credential expired or revoked, user or target removed from `allow:`.

One task for all sessions. It asks every `limits.recheck` seconds, so that within 30 s of what the gateway
can learn the session is over (threat 6).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog
import trio

from recgate.sansio.asks import Denied
from recgate.session import Session

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["end_invalid_sessions"]

ASK_TIMEOUT: Final = 10.0  # seconds for an identity source to answer; no answer ends the session (law 3)
EXPIRED: Final = "the credential has expired"
LASTED: Final = "the session has lasted as long as it may"

log = structlog.get_logger("recgate.validity")


async def end_invalid_sessions(gateway: Gateway) -> None:
    """Check every live session again and again until cancelled."""
    while True:
        await trio.sleep(gateway.config.limits.recheck)
        for session in tuple(gateway.live.values()):
            reason = await why_invalid(gateway, session)
            if reason:
                code = "expired" if reason in (EXPIRED, LASTED) else "revoked"
                gateway.audit.emit(
                    "session.ended", session=session.id, user=session.principal.name, reason=reason
                )
                session.end(Denied(f"{reason}; sign in again", code, session.id))


async def why_invalid(gateway: Gateway, session: Session) -> str:
    """Say why a session may not go on, or ""."""
    principal = session.principal
    if principal.expires is not None and principal.expires <= time.time():
        return EXPIRED
    limit = gateway.config.limits.session_timeout
    if limit is not None and time.time() - session.started > limit:
        return LASTED
    settings = gateway.config.targets.get(session.target.name)
    if settings is None:
        return "the target was removed"
    if not settings.allows(principal):
        return "access to the target was withdrawn"
    with trio.move_on_after(ASK_TIMEOUT):
        for authenticator in gateway.registry.authenticators:
            if authenticator.name == principal.issuer:
                return "" if await authenticator.still_valid(principal) else "the credential was revoked"
        return "the identity source was removed"
    log.warning("validity.unknown", session=session.id, issuer=principal.issuer)
    return "the identity source did not answer"
