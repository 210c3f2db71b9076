"""Open a gateway's desk: where its book is, who people are now, and which sessions stand on what was granted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, cast

import structlog
import trio

from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.httpauth import Problem
from recgate.keys.files import make_private_directory, read_or_create
from recgate.ledger.acts import Actor, Words
from recgate.model import Principal, Secret
from recgate.sansio.asks import Denied
from recgate_approvals.book import Book, Limits, Request
from recgate_approvals.desk import ApprovalDesk, Surroundings
from recgate_approvals.people import People
from recgate_approvals.settings import ApprovalSettings
from recgate_approvals.telling import Telling

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["open_desk"]

ASK_TIMEOUT: Final = (
    10.0  # seconds for an identity source to say who somebody is now; no answer is nobody (law 3)
)
KEY: Final = 32

log = structlog.get_logger("recgate.approvals")


def open_desk(gateway: Gateway) -> ApprovalDesk:
    """Open the desk. Raises `BookFailed` or `ConfigurationError`, which refuse the start."""
    config = gateway.config
    settings = ApprovalSettings()
    if config.approvals is not None:
        settings = cast("ApprovalSettings", config.approvals.options)
    keys = config.data_dir / "keys"
    make_private_directory(keys)
    key = Secret(read_or_create(keys / "approvals", lambda: secrets.token_bytes(KEY)))
    limits = Limits(settings.per_person, settings.per_hour, settings.pending, settings.kept, settings.keep)
    book = Book(config.data_dir / "approvals.sqlite", key, config.gateway.name, limits)
    around = _Around(gateway)
    desk = ApprovalDesk(
        book,
        People(settings.people),
        Surroundings(around.current, gateway.audit.emit, around.access, around.end, enter=around.enter),
    )
    desk.begin()
    gateway.audit.attend(Telling(desk.told))
    return desk


class _Around:
    """The gateway as a desk needs it; follows reloads."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def current(self, principal: Principal) -> Principal | None:
        """Say who somebody is now. Doubt is nobody."""
        with trio.move_on_after(ASK_TIMEOUT):
            for each in self._gateway.registry.authenticators:
                if each.name != principal.proven_by:
                    continue
                try:
                    now = await each.current(principal)
                except Exception as exc:  # noqa: BLE001 - an identity source's doubt is a no to this one word (law 3)
                    log.warning("approvals.identity", source=each.name, error=type(exc).__name__)
                    return None
                same = now is not None and (now.issuer, now.subject, now.name) == (
                    principal.issuer,
                    principal.subject,
                    principal.name,
                )
                return now if same else None
        return None

    def access(self, principal: Principal, target: str) -> tuple[tuple[str, ...], int, float, float]:
        """Say what a target offers on request. Raises `Problem`, worded alike for all that it may be."""
        settings = self._gateway.config.targets.get(target)
        offer = settings.request if settings is not None else None
        if settings is None or offer is None or not offer.open_to(principal):
            raise Problem(403, f'no target "{target[:63]}" is open to you on request: see `recgate targets`')
        return offer.approvers, offer.of, offer.max, offer.timeout

    def end(self, grant: str, why: str) -> None:
        """End the sessions that stand on a grant."""
        for session in tuple(self._gateway.live.values()):
            if session.grant is not None and session.grant.id == grant:
                session.end(Denied(why, "revoked", session.id))

    def enter(self, request: Request, words: Words, by: Principal) -> None:
        """Put somebody's word on a request into the ledger. One that opens nothing stands where it cannot be put there.

        Raises:
            RecordingFailed, LedgerDamaged: an approval cannot be put there.
        """
        acts, approved = self._gateway.acts, words.event == "approval.approved"
        try:
            if request.kind == "hold":
                acts.decided(request.session, request.id, words, Actor.of(by), approved=approved)
            else:
                acts.administered(words, Actor.of(by))
        except (RecordingFailed, LedgerDamaged) as exc:
            if approved:
                raise
            log.error("approvals.unrecorded", approval=request.id, reason=str(exc))
