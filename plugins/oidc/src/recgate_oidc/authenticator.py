"""Says who somebody is by what an OpenID provider issued: an access token in a password's or a bearer's place."""

from __future__ import annotations

import time
from typing import Protocol

from recgate.model import ConnectionInfo, Evidence, LoginName, Principal, ScramKeys, Secret
from recgate_oidc.source import Source

__all__ = ["Expiry", "Liveness", "OidcAuthenticator"]


class Liveness(Protocol):
    """Knows whether what proved a principal still stands, beyond what the token itself says."""

    def keep(self, principal: Principal, token: Secret) -> None:
        """Remember the token that proved `principal`, to ask after it while there are sessions."""
        ...

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal as it stands now, or None when it does not any more."""
        ...


class Expiry:
    """The least that can be known: a token stands until it expires."""

    def keep(self, principal: Principal, token: Secret) -> None:
        """Nothing is kept."""

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal back until it expires."""
        return None if principal.expires is not None and principal.expires <= time.time() else principal


class OidcAuthenticator:
    """The authenticator of one `oidc:` entry. What it cannot have issued it leaves to the next source."""

    def __init__(self, source: Source, liveness: Liveness | None = None) -> None:
        self.source = source
        self._liveness = liveness or Expiry()

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.source.name

    async def authenticate(
        self, login: LoginName, evidence: Evidence, connection: ConnectionInfo
    ) -> Principal | None:
        """Say who this is, or None if this provider did not issue it."""
        return None

    async def scram_keys(self, login: LoginName, connection: ConnectionInfo) -> ScramKeys | None:
        """Abstain: nobody can derive keys from a token that the provider alone knows."""
        return None

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal as it stands now; None when its token has expired or was taken back."""
        return await self._liveness.current(principal)
