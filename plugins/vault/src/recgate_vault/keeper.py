"""Keep one token for the whole gateway: renewed in time, had anew when it has ended or was revoked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import structlog

from recgate.errors import VaultFailed
from recgate_vault.connection import Connection, Deadline, NoAnswer, Refused
from recgate_vault.login import LOOKUP, Grant, granted

__all__ = ["Keeper"]

RENEW: Final = "auth/token/renew-self"
MARGIN: Final = 1.0  # seconds before its end in which a token is not begun with any more

log = structlog.get_logger("recgate.vault")


class Keeper:
    """Shared by worker threads. One of them logs in, the others wait, no longer than their deadlines."""

    def __init__(self, connection: Connection, log_in: Callable[[Deadline], Grant]) -> None:
        self._connection = connection
        self._log_in = log_in
        self._lock = threading.Lock()
        self._grant: Grant | None = None

    def current(self, deadline: Deadline) -> Grant:
        """Give a token that is good now, as far as is known. Raises `VaultFailed`."""
        with self._locked(deadline):
            grant = self._grant
            if grant is None or (grant.left is not None and grant.left <= MARGIN):
                grant = self._anew(deadline)
            elif grant.renewable and grant.left is not None and grant.left < grant.span / 2:
                grant = self._renewed(grant, deadline)
            return grant

    def instead(self, refused: Grant, deadline: Deadline) -> Grant | None:
        """Give another token for one that was refused, or None if it is the request that is not permitted."""
        with self._locked(deadline):
            if self._grant is not None and self._grant.token != refused.token:
                return self._grant  # another thread has been here
            if self._lives(refused, deadline):
                return None
            fresh = self._anew(deadline)
            # The same one again: whoever made it has not replaced it.
            return fresh if fresh.token != refused.token else None

    def _lives(self, grant: Grant, deadline: Deadline) -> bool:
        try:
            self._connection.ask("get", LOOKUP, deadline, token=grant.token)
        except Refused as exc:
            return exc.status not in (401, 403)
        return True

    def _anew(self, deadline: Deadline) -> Grant:
        self._grant = None
        self._grant = self._log_in(deadline)
        log.info(
            "vault.login",
            vault=self._connection.name,
            accessor=self._grant.accessor,
            seconds=round(self._grant.span),
        )
        return self._grant

    def _renewed(self, grant: Grant, deadline: Deadline) -> Grant:
        try:
            answer = self._connection.ask("post", RENEW, deadline, token=grant.token, body={})
            fresh = granted(self._connection, answer, given=grant.given)
        except NoAnswer:
            raise
        except VaultFailed:
            # Revoked, or not renewed any further.
            return self._anew(deadline)
        if not grant.given and fresh.span < grant.span / 2:
            # It has come near the longest that it may live: the next one lives longer. Leases of this one end with it.
            return self._anew(deadline)
        self._grant = fresh
        return fresh

    @contextmanager
    def _locked(self, deadline: Deadline) -> Generator[None]:
        if not self._lock.acquire(timeout=deadline.left):
            raise NoAnswer(
                f"vault {self._connection.name}: {self._connection.address} did not answer a login within "
                f"{deadline.seconds:g} s. See whether it is up; sessions that are open go on."
            )
        try:
            yield
        finally:
            self._lock.release()
