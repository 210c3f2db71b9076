"""What outlives a reload of the configuration: the books, and each source with what it knows of tokens in use.

Without it a reload would end sessions, and two objects of one source could use up each other's refresh tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from recgate_oidc.authenticator import OidcAuthenticator
from recgate_oidc.logins import Logins
from recgate_oidc.polling import Polling
from recgate_oidc.signins import SignIns
from recgate_oidc.source import Source

if TYPE_CHECKING:
    from recgate.keys import GatewayKeys
    from recgate_oidc.settings import OidcSettings

__all__ = ["Kept"]

_OF: Final[WeakValueDictionary[Path, Kept]] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class _Entry:
    settings: OidcSettings
    foreign: tuple[str, ...]
    signins: SignIns
    authenticator: OidcAuthenticator


class Kept:
    """Of one gateway. Lives as long as one of the authenticators that it made, which hold it."""

    def __init__(self, keys: GatewayKeys) -> None:
        self._keys = keys
        self.logins = Logins(keys.data_dir / "oidc.sqlite")
        self._entries: list[_Entry] = []

    @classmethod
    def of(cls, keys: GatewayKeys) -> Kept:
        """Give what there is of a data directory, or begin."""
        found = _OF.get(keys.data_dir)
        if found is None:
            found = _OF[keys.data_dir] = cls(keys)
        found._keys = keys
        return found

    def authenticators(self, entries: list[tuple[OidcSettings, tuple[str, ...]]]) -> list[OidcAuthenticator]:
        """Give one for each entry; what is configured as before is what it was before."""
        made = [self._entry(*each) for each in entries]
        self._entries = made
        return [each.authenticator for each in made]

    def _entry(self, settings: OidcSettings, foreign: tuple[str, ...]) -> _Entry:
        for each in self._entries:
            if each.settings == settings and each.foreign == foreign:
                each.signins.keys = self._keys  # which may be others by now
                return each
        source = Source.of(settings, foreign)
        signins = SignIns(source, self.logins, self._keys)
        authenticator = OidcAuthenticator(source, Polling(source), signins, self)
        return _Entry(settings, foreign, signins, authenticator)
