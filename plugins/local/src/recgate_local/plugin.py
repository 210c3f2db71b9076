"""What recgate-local brings: one authenticator, and the commands that keep its directory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.config.values import Settings
from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel

if TYPE_CHECKING:
    import click

    from recgate.config import Configuration
    from recgate.providers import Authenticator

recgate_api = 1


class LocalSettings(Settings):
    """`identity: [{local: {}}]` has no keys: the directory is `data_dir/local.sqlite`."""


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [SettingsModel("identity", "local", LocalSettings)]


@hookimpl
def recgate_authenticators(config: Configuration) -> Iterable[Authenticator]:
    """Give the authenticator if `identity:` names it."""
    from recgate.keys import GatewayKeys
    from recgate_local.authenticator import LocalAuthenticator
    from recgate_local.database import Database

    if not config.options_of("identity", "local"):
        return []
    return [LocalAuthenticator(Database(config.data_dir / "local.sqlite"), GatewayKeys.of(config))]


@hookimpl
def recgate_commands() -> Iterable[click.Command]:
    """Give `recgate user`, `recgate key` and `recgate token`."""
    from recgate_local.keycommands import key
    from recgate_local.tokencommands import token
    from recgate_local.usercommands import user

    return [user, key, token]
