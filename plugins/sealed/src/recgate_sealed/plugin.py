"""What recgate-sealed brings: a vault for each `sealed:` entry, and the commands that fill them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel
from recgate_sealed.settings import SealedSettings

if TYPE_CHECKING:
    import click

    from recgate.config import Configuration
    from recgate.providers import Vault

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [SettingsModel("vaults", "sealed", SealedSettings)]


@hookimpl
def recgate_vaults(config: Configuration) -> Iterable[Vault]:
    """Give a vault for each entry."""
    from recgate_sealed.opening import open_file
    from recgate_sealed.vault import SealedVault

    settings = cast("tuple[SealedSettings, ...]", config.options_of("vaults", "sealed"))
    return [SealedVault(open_file(config.data_dir, each)) for each in settings]


@hookimpl
def recgate_commands() -> Iterable[click.Command]:
    """Give `recgate secret`."""
    from recgate_sealed.commands import secret

    return [secret]
