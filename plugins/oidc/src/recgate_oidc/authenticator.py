"""Says who somebody is by what an OpenID provider issued: an access token in a password's or a bearer's place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from recgate.errors import AuthenticationFailed
from recgate.model import (
    BearerEvidence,
    CertificateEvidence,
    ConnectionInfo,
    Evidence,
    LoginName,
    PasswordEvidence,
    Principal,
    ScramKeys,
    Secret,
)
from recgate.providers import Authenticator, Challenge, Ending
from recgate_oidc.challenge import challenge
from recgate_oidc.endings import of_login, of_token
from recgate_oidc.errors import ProviderFailed, TokenBroken, TokenRefused
from recgate_oidc.jose import looks_cut, take_apart
from recgate_oidc.logins import looks_like_token
from recgate_oidc.signins import AWAY, SignIns, refusing
from recgate_oidc.source import Proven, Source
from recgate_oidc.standing import CREDENTIAL

__all__ = ["CUT", "Expiry", "Liveness", "OidcAuthenticator"]

CUT: Final = (
    "The token arrived cut: OpenSSH sends 1,023 bytes of a password, and it is longer. Use `recgate ssh TARGET`, or a "
    "certificate (`recgate login` writes one), or leave the password empty and use the code in the terminal."
)


class Liveness(Protocol):
    """Knows whether what proved a principal still stands, beyond what the token itself says."""

    def keep(self, proven: Proven) -> None:
        """Remember what proved a principal, to ask after it while there are sessions."""
        ...

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal as it stands now, or None when it does not any more."""
        ...

    def inherit(self, before: Liveness) -> None:
        """Take over what was remembered until the configuration was read anew."""
        ...


class Expiry:
    """The least that can be known: a token stands until it expires."""

    def keep(self, proven: Proven) -> None:
        """Nothing is kept."""

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal back until it expires."""
        return None if principal.expires is not None and principal.expires <= time.time() else principal

    def inherit(self, before: Liveness) -> None:
        """There is nothing to take."""


class OidcAuthenticator:
    """The authenticator of one `oidc:` entry. What it cannot have issued it leaves to the next source."""

    def __init__(
        self,
        source: Source,
        liveness: Liveness | None = None,
        signins: SignIns | None = None,
        kept: object = None,
    ) -> None:
        self.source = source
        self.signins = signins
        self._liveness = liveness or Expiry()
        self._kept = kept  # lives as long as this does

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.source.name

    async def authenticate(
        self, login: LoginName, evidence: Evidence, connection: ConnectionInfo
    ) -> Principal | None:
        """Say who this is, or None if this provider did not issue it.

        Raises:
            AuthenticationFailed: it says that it did, and the token is not good; or it cannot be asked.
        """
        match evidence:
            case PasswordEvidence(token) | BearerEvidence(token):
                if not looks_like_token(token):
                    return await self._by_token(token)
                return None if self.signins is None else await self.signins.by_token(token)
            case CertificateEvidence(blob) if self.signins is not None:
                return await self.signins.by_certificate(blob)
            case _:
                return None

    async def _by_token(self, token: Secret) -> Principal | None:
        try:
            if looks_cut(token.reveal()) and _lacks_a_part(token):
                raise TokenBroken("it was cut at 1,023 bytes")
            proven = await self.source.proven(token)
        except TokenBroken as exc:
            raise AuthenticationFailed(
                f"{self.name}: the token is refused: {exc}", tell=CUT if looks_cut(token.reveal()) else ""
            ) from exc
        except TokenRefused as exc:
            raise AuthenticationFailed(f"{self.name}: the token is refused: {exc}") from exc
        except ProviderFailed as exc:
            raise AuthenticationFailed(
                f"{self.name}: {exc}",
                tell=AWAY,
            ) from exc
        if proven is None:
            return None
        self._liveness.keep(proven)
        return proven.principal

    async def scram_keys(self, login: LoginName, connection: ConnectionInfo) -> ScramKeys | None:
        """Abstain: nobody can derive keys from a token that the provider alone knows."""
        return None

    async def challenge(self, login: LoginName, connection: ConnectionInfo) -> Challenge | None:
        """Show a code to enter at the provider; None where nobody signs in with this one, or it has no codes.

        Raises:
            AuthenticationFailed: it cannot be asked, or too many codes are open.
        """
        if self.signins is None or not self.source.settings.signs_in:
            return None
        with refusing(self.name):
            if not (await self.source.provider.metadata()).device_authorization_endpoint:
                return None
        return await challenge(self.signins, login, connection)

    async def advertise(self) -> Mapping[str, object] | None:
        """Say how to sign in with this provider, as far as it can be asked; None where nobody does."""
        settings = self.source.settings
        if self.signins is None or not settings.signs_in:
            return None
        try:
            metadata = await self.source.provider.metadata()
        except ProviderFailed:
            metadata = None  # `flows` is empty then: none of them would work either
        browser = metadata.authorization_endpoint if metadata is not None else ""
        device = metadata.device_authorization_endpoint if metadata is not None else ""
        return {
            "source": settings.name,
            "kind": "oidc",
            "issuer": settings.issuer,
            "client_id": settings.client_id,
            "authorization_endpoint": browser,
            "scopes": list(settings.scopes),
            "authorization_response_iss_parameter_supported": metadata is not None and metadata.names_issuer,
            "flows": [name for name, endpoint in (("browser", browser), ("device", device)) if endpoint],
        }

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal as it stands now; None when its token or sign-in has expired or was taken back."""
        if self.signins is not None and principal.credential_id.startswith(CREDENTIAL):
            return await self.signins.standing.current(principal)
        return await self._liveness.current(principal)

    async def endings(self, principal: Principal) -> Sequence[Ending]:
        """Say what ends this principal's sessions early, as far as it is learnt here. Raises `LoginsFailed`."""
        if self.signins is not None and principal.credential_id.startswith(CREDENTIAL):
            login = await self.signins.logins.by_id(principal.credential_id.removeprefix(CREDENTIAL))
            return of_login(self.source.settings, login) if login is not None else ()
        return of_token(self.source.settings, principal)

    def inherit(self, before: Authenticator) -> None:
        """Take over the tokens of live sessions, which are judged by the configuration of now."""
        if isinstance(before, OidcAuthenticator):
            self._liveness.inherit(before._liveness)


def _lacks_a_part(token: Secret) -> bool:
    return take_apart(token.reveal()) is None
