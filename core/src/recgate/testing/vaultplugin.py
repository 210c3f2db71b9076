"""The fake vault as a plugin module: `vaults: [{test: {}}]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from recgate.config import Configuration, Settings
from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel, Vault
from recgate.testing.people import FakeVault

__all__ = ["VAULT", "recgate_vaults", "recgate_settings"]

recgate_api = 1
VAULT: Final = FakeVault()


class NoSettings(Settings):
    """No keys."""


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """One word without keys."""
    return [SettingsModel("vaults", "test", NoSettings)]


@hookimpl
def recgate_vaults(config: Configuration) -> Iterable[Vault]:
    """The one of this process."""
    return [VAULT]
