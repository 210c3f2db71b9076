"""A login on behalf of one person, for one session: what it borrows hangs on it, and it ends with the loan.

There is one for each loan and none is shared: the session and its target are in what the vault was told, so that its
policies and its audit log speak of them. So there are never more of them than sessions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from recgate.errors import VaultFailed
from recgate.model import Secret
from recgate_vault.connection import Connection, Deadline, NoAnswer, Refused
from recgate_vault.keeper import MARGIN, RENEW
from recgate_vault.login import Grant, granted
from recgate_vault.settings import OnBehalf

__all__ = ["Visit"]

LEAVE: Final = "auth/token/revoke-self"

log = structlog.get_logger("recgate.vault")


class Visit:
    """Shared by the threads that work for one session, one after the other. `says` makes the JWT."""

    def __init__(self, connection: Connection, settings: OnBehalf, says: Callable[[], Secret]) -> None:
        self._connection = connection
        self._settings = settings
        self._says = says
        self._lock = threading.Lock()
        self._grant: Grant | None = None

    @property
    def accessor(self) -> str:
        """What the login is known by, or empty while there is none."""
        return self._grant.accessor if self._grant is not None else ""

    def current(self, deadline: Deadline) -> Grant:
        """Give the token, renewed when half of it is over. Raises `VaultFailed` once it has ended for good."""
        if not self._lock.acquire(timeout=deadline.left):
            raise NoAnswer(f"vault {self._connection.name}: no answer within {deadline.seconds:g} s.")
        try:
            if self._grant is None:
                self._grant = self._log_in(deadline)
            elif self._grant.left is not None and self._grant.left < self._grant.span / 2:
                self._grant = self._renewed(self._grant, deadline)
            return self._grant
        finally:
            self._lock.release()

    def instead(self, refused: Grant, deadline: Deadline) -> Grant | None:
        """Give no other token: what was lent hangs on the one that was refused."""
        return None

    def leave(self, deadline: Deadline) -> None:
        """End the login. Raises `VaultFailed`."""
        if self._grant is not None:
            self._connection.ask("post", LEAVE, deadline, token=self._grant.token, body={})

    def _log_in(self, deadline: Deadline) -> Grant:
        path = f"auth/{self._settings.mount}/login"
        body = {"role": self._settings.role, "jwt": self._says()}
        try:
            answer = self._connection.ask("post", path, deadline, body=body)
        except Refused as exc:
            if exc.status in (400, 401, 403, 404):
                raise VaultFailed(
                    f"vault {self._connection.name}: {path} let nobody in on behalf of this user ({exc.status}). Check "
                    "that the method is mounted there and believes `data_dir/vault_jwt.pub`, and what the role binds."
                ) from None
            raise
        grant = granted(self._connection, answer)
        if not grant.accessor:
            raise VaultFailed(
                f"vault {self._connection.name}: the role {self._settings.role} gives tokens that cannot be revoked. "
                "Set its `token_type=service`."
            )
        log.info(
            "vault.login", vault=self._connection.name, accessor=grant.accessor, seconds=round(grant.span)
        )
        return grant

    def _renewed(self, grant: Grant, deadline: Deadline) -> Grant:
        if grant.renewable:
            try:
                answer = self._connection.ask("post", RENEW, deadline, token=grant.token, body={})
                return granted(self._connection, answer)
            except NoAnswer:
                raise
            except Refused as exc:
                log.info(
                    "vault.unrenewed", vault=self._connection.name, accessor=grant.accessor, status=exc.status
                )
        if grant.left is not None and grant.left <= MARGIN:
            raise VaultFailed(
                f"vault {self._connection.name}: the login on behalf of this user has ended. Open a new session; for "
                f"longer ones set `token_period` of the role {self._settings.role}."
            )
        return grant
