"""An identity source and a vault for tests: one shared secret, and a credential that is no secret."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from recgate.errors import AuthenticationFailed, VaultFailed
from recgate.model import (
    BearerEvidence,
    ConnectionInfo,
    Credential,
    Evidence,
    LoginName,
    PasswordEvidence,
    Principal,
    ScramKeys,
    Secret,
    TargetInfo,
)
from recgate.providers import Lease

__all__ = ["FakeVault", "SharedSecret"]


@dataclass
class SharedSecret:
    """Knows people by `name:secret` passwords; what is in `revoked` no longer stands."""

    people: dict[str, frozenset[str]] = field(default_factory=lambda: {"alice": frozenset({"dba"})})
    secret: bytes = b"secret"
    expires: float | None = None
    revoked: set[str] = field(default_factory=set[str])
    broken: bool = False
    name: str = "shared"

    async def authenticate(
        self, login: LoginName, evidence: Evidence, connection: ConnectionInfo
    ) -> Principal | None:
        """Take `name:secret`, and `name.secret` as a bearer: a colon does not stand in one."""
        if isinstance(evidence, BearerEvidence):
            name, _, secret = evidence.token.reveal().partition(b".")
        elif isinstance(evidence, PasswordEvidence):
            name, _, secret = evidence.password.reveal().partition(b":")
        else:
            return None
        if secret != self.secret or name.decode() not in self.people:
            raise AuthenticationFailed("wrong secret")
        user = name.decode()
        return Principal(self.name, user, user, self.people[user], "password", "shared-1", self.expires)

    async def scram_keys(self, login: LoginName, connection: ConnectionInfo) -> ScramKeys | None:
        """No SCRAM here."""
        return None

    async def current(self, principal: Principal) -> Principal | None:
        """Until revoked, with the groups that the people have now."""
        if self.broken:
            raise ZeroDivisionError
        if principal.name in self.revoked:
            return None
        return replace(principal, groups=self.people.get(principal.name, frozenset()))


@dataclass
class _Lease:
    """A lease on the one credential."""

    id: str
    ttl: float | None = None
    lasts: float | None = None
    credential: Credential = field(default_factory=lambda: Credential("app", Secret("target-secret")))


@dataclass
class FakeVault:
    """Lends one credential for every path but `missing`, and remembers what it lent and took back."""

    ttl: float | None = None
    lasts: float | None = None
    lent: list[str] = field(default_factory=list[str])
    revoked: list[str] = field(default_factory=list[str])
    renewals: int = 0
    away: bool = False
    name: str = "test"

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend."""
        if path == "missing":
            raise VaultFailed("test: nothing is kept at missing")
        self.lent.append(session_id)
        return _Lease(f"lease-{len(self.lent)}", self.ttl, self.lasts)

    async def renew(self, lease: Lease) -> Lease:
        """Extend, unless away."""
        if self.away:
            raise VaultFailed("test: away")
        self.renewals += 1
        return lease

    async def revoke(self, lease: Lease) -> None:
        """Take back, unless away."""
        if self.away:
            raise VaultFailed("test: away")
        self.revoked.append(lease.id)
