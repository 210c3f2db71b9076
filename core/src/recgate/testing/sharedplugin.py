"""The shared-secret identity source as a plugin module: `identity: [{shared: {}}]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from recgate.config import Configuration, Settings
from recgate.hookspecs import hookimpl
from recgate.providers import Authenticator, SettingsModel
from recgate.testing.people import SharedSecret

__all__ = ["AUTHENTICATOR", "recgate_authenticators", "recgate_settings"]

recgate_api = 1
AUTHENTICATOR: Final = SharedSecret()


class NoSettings(Settings):
    """No keys."""


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """One word without keys."""
    return [SettingsModel("identity", "shared", NoSettings)]


@hookimpl
def recgate_authenticators(config: Configuration) -> Iterable[Authenticator]:
    """The one of this process."""
    return [AUTHENTICATOR]
