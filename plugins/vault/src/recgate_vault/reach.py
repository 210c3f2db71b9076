"""Ask a vault with a token that is good, within one deadline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from recgate.errors import VaultFailed
from recgate_vault.connection import Answer, Connection, Deadline, Refused
from recgate_vault.login import Grant

__all__ = ["Reach", "Tokens"]


class Tokens(Protocol):
    """Has a token of the vault: the gateway's own, or one on behalf of a user. Both raise `VaultFailed`."""

    def current(self, deadline: Deadline) -> Grant:
        """Give a token that is good now, as far as is known."""
        ...

    def instead(self, refused: Grant, deadline: Deadline) -> Grant | None:
        """Give another one for one that was refused; None if that would be refused as well."""
        ...


@dataclass(frozen=True, slots=True)
class Reach:
    """One piece of work: whatever it asks is asked with the token that is good then.

    `lent` names what was lent to it on the way (`lease:ID`, `serial:MOUNT:N`), to be given back if the work fails then.
    """

    connection: Connection
    tokens: Tokens
    deadline: Deadline
    lent: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        """The vault's, for errors."""
        return self.connection.name

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask; with a token that has ended or was revoked, log in again and ask once more. Raises `VaultFailed`."""
        grant = self.tokens.current(self.deadline)
        try:
            return self._with(grant, method, path, body, query)
        except Refused as exc:
            if exc.status not in (401, 403):
                raise
            refusal = exc
        fresh = self.tokens.instead(grant, self.deadline)
        if fresh is None:
            raise refusal
        return self._with(fresh, method, path, body, query)

    def lives_until(self) -> float | None:
        """Seconds until the token ends, and with it what was lent by it; None if it does not."""
        return self.tokens.current(self.deadline).left

    def failed(self, text: str) -> VaultFailed:
        """Word a failure."""
        return VaultFailed(f"vault {self.name}: {text}")

    def _with(
        self,
        grant: Grant,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        query: Mapping[str, str] | None,
    ) -> Answer:
        answer = self.connection.ask(method, path, self.deadline, token=grant.token, body=body, query=query)
        if answer.lease_id:
            self.lent.append(f"lease:{answer.lease_id}")
        return answer
