"""One identity provider as configured, with everything that is asked of it. One per `oidc:` entry."""

from __future__ import annotations

from dataclasses import dataclass

from recgate_oidc.settings import OidcSettings

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """`foreign` are the prefixes of other sources: no name of this one may begin with any of them."""

    settings: OidcSettings
    foreign: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: OidcSettings, foreign: tuple[str, ...] = ()) -> Source:
        """Make it. Nothing is fetched: the provider may be away when the gateway starts."""
        return cls(settings, foreign)

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self.settings.name
