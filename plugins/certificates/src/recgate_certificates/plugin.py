"""What recgate-certificates brings: an authenticator for each `certificates:` entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel
from recgate_certificates.settings import CertificateSettings

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.providers import Authenticator

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [SettingsModel("identity", "certificates", CertificateSettings)]


@hookimpl
def recgate_authenticators(config: Configuration) -> Iterable[Authenticator]:
    """Give an authenticator for each entry; authorities that cannot be read refuse the start."""
    from recgate.config import foreign_prefixes
    from recgate_certificates.authenticator import CertificateAuthenticator

    entries = [entry.options for entry in config.identity]
    settings = cast("tuple[CertificateSettings, ...]", config.options_of("identity", "certificates"))
    return [CertificateAuthenticator(each, foreign_prefixes(each, entries)) for each in settings]
