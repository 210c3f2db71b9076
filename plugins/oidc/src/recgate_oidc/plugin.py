"""What recgate-oidc brings: an authenticator for each `oidc:` entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.hookspecs import hookimpl
from recgate.providers import Routes, SettingsModel
from recgate_oidc.settings import OidcSettings

if TYPE_CHECKING:
    import click

    from recgate.config import Configuration
    from recgate.gateway import Gateway
    from recgate.providers import Authenticator

recgate_api = 1

PREFIX = "/api/v1/oidc"


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [SettingsModel("identity", "oidc", OidcSettings)]


@hookimpl
def recgate_authenticators(config: Configuration) -> Iterable[Authenticator]:
    """Give an authenticator for each entry. None of them asks its provider anything yet."""
    from recgate.config import foreign_prefixes
    from recgate.keys import GatewayKeys
    from recgate_oidc.kept import Kept

    entries = [entry.options for entry in config.identity]
    settings = cast("tuple[OidcSettings, ...]", config.options_of("identity", "oidc"))
    kept = Kept.of(GatewayKeys.of(config))
    return kept.authenticators([(each, foreign_prefixes(each, entries)) for each in settings])


@hookimpl
def recgate_routes(gateway: Gateway) -> Iterable[Routes]:
    """Give what `recgate login` and `recgate logout` talk to, and where a provider tells of logouts."""
    from recgate_oidc.routes import Reception

    return [Routes(PREFIX, Reception(gateway, PREFIX))]


@hookimpl
def recgate_commands() -> Iterable[click.Command]:
    """Give `recgate signin`."""
    from recgate_oidc.commands import signin

    return [signin]
