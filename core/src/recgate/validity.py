"""End sessions whose ground has gone: credential expired or revoked, access withdrawn, nobody there any more.

One task for all sessions. It asks every `limits.recheck` seconds, so that within 30 s of what the gateway
can learn the session is over (threat 6).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog
import trio

from recgate.errors import RecordingFailed
from recgate.model import Principal
from recgate.sansio.asks import Denied
from recgate.session import Session
from recgate.telling import for_client

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["end_invalid_sessions"]

ASK_TIMEOUT: Final = 10.0  # seconds for an identity source to answer; no answer ends the session (law 3)
EXPIRED: Final = "the credential has expired"
LASTED: Final = "the session has lasted as long as it may"
IDLE: Final = "nothing was sent either way for as long as is allowed"
REMOVED: Final = "the target was removed"

# What helps whoever reads it, where that is not to sign in again.
_HELPS: Final = {
    LASTED: "connect again",
    IDLE: "connect again",
    REMOVED: "`recgate targets` lists what is open to you",
}

log = structlog.get_logger("recgate.validity")


async def end_invalid_sessions(gateway: Gateway) -> None:
    """Check every live session again and again until cancelled; at once when `Gateway.recheck` is called."""
    quiet = _Quiet()
    while True:
        with trio.move_on_after(gateway.config.limits.recheck):
            await gateway.news.wait()
        gateway.news = trio.Event()
        quiet.forget(gateway.live)
        # Side by side: an identity source that hangs must not keep the others' sessions from being judged.
        async with trio.open_nursery() as nursery:
            for session in tuple(gateway.live.values()):
                nursery.start_soon(_judge, gateway, session, quiet)


async def _judge(gateway: Gateway, session: Session, quiet: _Quiet) -> None:
    """End one session if its ground has gone, or if whoever should know cannot say."""
    if session.recorder.failure:
        # A quiet session would hear of it only at its next byte, and look recorded until then.
        session.end(Denied(for_client(RecordingFailed()), "recording", session.id))
        return
    reason = quiet.reason(session, gateway.config.limits.idle_timeout, trio.current_time())
    if not reason:
        try:
            reason = await why_invalid(gateway, session)
        except Exception as exc:
            log.warning("validity.failed", session=session.id, issuer=session.principal.issuer, exc_info=exc)
            reason = "the identity source failed"
    if reason:
        code = "expired" if reason in (EXPIRED, LASTED, IDLE) else "revoked"
        gateway.audit.emit("session.ended", session=session.id, user=session.principal.name, reason=reason)
        session.end(Denied(f"{reason}; {_HELPS.get(reason, 'sign in again')}", code, session.id))


class _Quiet:
    """Remembers since when each session's wire counters have stood still."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}

    def reason(self, session: Session, limit: float | None, now: float) -> str:
        """Say that a session has been idle for `limit` seconds, or ""."""
        total = sum(session.wire.data)
        before, since = self._since.get(session.id, (-1, now))
        if total != before or session.holding:  # who waits for an approval is not idle
            since = now
        self._since[session.id] = (total, since)
        return IDLE if limit is not None and now - since >= limit else ""

    def forget(self, live: Mapping[str, Session]) -> None:
        """Drop sessions that are over."""
        self._since = {session: seen for session, seen in self._since.items() if session in live}


async def why_invalid(gateway: Gateway, session: Session) -> str:
    """Say why a session may not go on, or ""."""
    principal = session.principal
    limits = [each for each in (gateway.config.limits.session_timeout, session.lasts) if each is not None]
    if limits and time.time() - session.started > min(limits):
        return LASTED
    with trio.move_on_after(ASK_TIMEOUT):
        for authenticator in gateway.registry.authenticators:
            if authenticator.name == principal.proven_by:
                return _judged(gateway, session, await authenticator.current(principal))
        return "the identity source was removed"
    log.warning("validity.unknown", session=session.id, issuer=principal.issuer)
    return "the identity source did not answer"


def _judged(gateway: Gateway, session: Session, principal: Principal | None) -> str:
    """Judge access by what the identity source says now, which policies go by from here on."""
    was = session.principal
    if principal is None:
        return EXPIRED if _past(was.expires) else "the credential was revoked"
    if (principal.issuer, principal.subject, principal.name) != (was.issuer, was.subject, was.name):
        return "the credential is somebody else's now"
    session.renewed(principal)
    if _past(principal.expires):
        return EXPIRED
    settings = gateway.config.targets.get(session.target.name)
    if settings is None:
        return REMOVED
    return "" if gateway.admits(settings, principal) else "access to the target was withdrawn"


def _past(moment: float | None) -> bool:
    return moment is not None and moment <= time.time()
