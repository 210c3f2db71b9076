"""What recgate-keys-pkcs11 brings: a keeper of keys for `gateway: keys: {pkcs11: …}`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel
from recgate_keys_pkcs11.settings import Pkcs11Settings

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.keys.keeping import KeyKeeper

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [SettingsModel("keys", "pkcs11", Pkcs11Settings)]


@hookimpl
def recgate_key_keepers(config: Configuration) -> Iterable[KeyKeeper]:
    """Give the keeper, if it is selected. Nothing is asked of a token yet."""
    from recgate_keys_pkcs11.keeper import TokenKeeper  # which loads what speaks PKCS#11

    settings = config.keeper_options("pkcs11")
    return [TokenKeeper(settings)] if isinstance(settings, Pkcs11Settings) else []
