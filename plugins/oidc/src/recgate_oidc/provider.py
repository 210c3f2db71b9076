"""What a provider says of itself: OpenID Connect Discovery 1.0, fetched when it is needed first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from recgate_oidc.errors import ProviderFailed
from recgate_oidc.fetching import Fetcher
from recgate_oidc.refreshed import Refreshed
from recgate_oidc.settings import OidcSettings, is_usable_url

__all__ = ["Metadata", "Provider"]

LIFETIME: Final = 3_600.0  # seconds that a discovery document counts
TOLERANCE: Final = 86_400.0  # seconds more while the provider is away: addresses hardly ever change


@dataclass(frozen=True, slots=True)
class Metadata:
    """The addresses of a provider; "" for one that it does not have. `names_issuer`: in its answers, RFC 9207 §3."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    device_authorization_endpoint: str = ""
    userinfo_endpoint: str = ""
    introspection_endpoint: str = ""
    revocation_endpoint: str = ""
    end_session_endpoint: str = ""
    names_issuer: bool = False


_ENDPOINTS: Final = tuple(name for name in Metadata.__slots__ if name.endswith(("_endpoint", "_uri")))


class Provider:
    """Knows a provider's addresses. While it is away what was known before counts, and nothing else."""

    def __init__(self, settings: OidcSettings, fetcher: Fetcher) -> None:
        self._issuer = settings.issuer
        self._fetcher = fetcher
        self._document = Refreshed(self._discover, LIFETIME, TOLERANCE)

    async def metadata(self) -> Metadata:
        """Give the addresses. Raises `ProviderFailed`."""
        return await self._document.get()

    async def endpoint(self, name: str) -> str:
        """Give one address, such as `userinfo_endpoint`. Raises `ProviderFailed` if there is none."""
        found: str = getattr(await self.metadata(), name)
        if not found:
            raise ProviderFailed(f"{self._issuer} has no {name.replace('_', ' ')}")
        return found

    async def _discover(self) -> Metadata:
        # Below the issuer's path, unlike RFC 8414: OpenID Connect Discovery §4.
        url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        return _read(self._issuer, (await self._fetcher.get(url)).json())


def _read(issuer: str, document: Mapping[str, object]) -> Metadata:
    if document.get("issuer") != issuer:
        # Exactly, §4.3: a provider that speaks for another issuer could otherwise bring keys of its own.
        raise ProviderFailed(
            f"the discovery document of {issuer} is another issuer's. Write `issuer:` exactly as it says there."
        )
    loopback = urlsplit(issuer).scheme == "http"
    found: dict[str, str] = {}
    for name in _ENDPOINTS:
        value = document.get(name, "")
        if not isinstance(value, str) or (value and not is_usable_url(value, loopback=loopback)):
            raise ProviderFailed(f"{issuer}: its {name} is no https:// address")
        found[name] = value
    if not found["jwks_uri"]:
        raise ProviderFailed(f"{issuer}: its discovery document names no jwks_uri")
    names_issuer = document.get("authorization_response_iss_parameter_supported") is True
    return Metadata(issuer, **found, names_issuer=names_issuer)
