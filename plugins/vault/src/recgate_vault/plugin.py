"""What recgate-vault brings: a vault for each `vault:` entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.errors import PluginError
from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel
from recgate_vault.settings import TransitSettings, VaultSettings

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.keys.keeping import KeyKeeper
    from recgate.providers import Vault

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [
        SettingsModel("vaults", "vault", VaultSettings),
        SettingsModel("keys", "transit", TransitSettings),
    ]


@hookimpl
def recgate_vaults(config: Configuration) -> Iterable[Vault]:
    """Give a vault for each entry. Nothing is asked of a server yet: the gateway starts while it is away."""
    from recgate_vault.signer import Signer
    from recgate_vault.vault import ServerVault  # requests is slow to import, and every command comes by here

    settings = cast("tuple[VaultSettings, ...]", config.options_of("vaults", "vault"))
    signs = any(each.on_behalf is not None for each in settings)
    signer = Signer(config.data_dir, config.gateway.name) if signs else None
    return [ServerVault(each, config.limits.vault_timeout, signer) for each in settings]


@hookimpl
def recgate_key_keepers(config: Configuration) -> Iterable[KeyKeeper]:
    """Give the keeper, if it is selected. Nothing is asked of a server yet."""
    settings = config.keeper_options("transit")
    if not isinstance(settings, TransitSettings):
        return []
    from recgate_vault.keykeeper import TransitKeeper

    servers = cast("tuple[VaultSettings, ...]", config.options_of("vaults", "vault"))
    for server in servers:
        if server.name == settings.vault:
            return [TransitKeeper(server, settings.mount)]
    raise PluginError(
        f"gateway: keys: transit: vault: no entry of `vaults:` is a vault called {settings.vault}. Add it there."
    )
