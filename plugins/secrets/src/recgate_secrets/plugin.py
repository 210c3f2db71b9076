"""What recgate-secrets brings: a vault for each `env:`, `file:` and `command:` entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel
from recgate_secrets.command import CommandSettings, CommandVault
from recgate_secrets.environment import EnvironmentSettings, EnvironmentVault
from recgate_secrets.files import FileSettings, FileVault

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.providers import Vault

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [
        SettingsModel("vaults", "env", EnvironmentSettings),
        SettingsModel("vaults", "file", FileSettings),
        SettingsModel("vaults", "command", CommandSettings),
    ]


@hookimpl
def recgate_vaults(config: Configuration) -> Iterable[Vault]:
    """Give a vault for each entry."""
    variables = cast("tuple[EnvironmentSettings, ...]", config.options_of("vaults", "env"))
    files = cast("tuple[FileSettings, ...]", config.options_of("vaults", "file"))
    commands = cast("tuple[CommandSettings, ...]", config.options_of("vaults", "command"))
    return [
        *(EnvironmentVault(each) for each in variables),
        *(FileVault(each) for each in files),
        *(CommandVault(each) for each in commands),
    ]
