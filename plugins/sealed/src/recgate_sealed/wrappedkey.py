"""A vault's key that another vault keeps wrapped: on this machine it is in memory only, once that vault has opened it.

The key is made here and encrypted there (`transit/encrypt`), bound to this vault's name; what comes back stands in the
sealed file. Who has the file and no right to `transit/decrypt` has nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from recgate.errors import VaultFailed
from recgate.model import Secret
from recgate.unlocking import Unlocker
from recgate_sealed.keysource import KEY

__all__ = ["WrappedKey"]


@dataclass(slots=True)
class WrappedKey:
    """Has the key of one vault wrapped and unwrapped by `key` of the vault `by`. Blocks while that is asked."""

    vault: str
    by: str
    key: str
    unlocker: Unlocker | None = field(default=None, repr=False)

    @property
    def remembers(self) -> bool:
        """An unwrapped key stays in memory: sessions go on opening while the other vault is away."""
        return True

    def describe(self) -> str:
        """Name the source, for errors."""
        return f"the vault {self.by} ({self.key})"

    def open(self, salt: bytes, wrapped: str) -> Secret:
        """Give the key. Raises `VaultFailed`."""
        if not wrapped:
            raise VaultFailed(
                f"sealed vault {self.vault}: its file was sealed with a key of its own, before `unlock:` was set. "
                f"Run `recgate secret rewrap --vault {self.vault}`."
            )
        key = self._unlocker.unwrap(self.key, wrapped, self._about)
        if len(key.reveal()) != KEY:
            raise VaultFailed(
                f"sealed vault {self.vault}: what {self.by} unwrapped is no key of {KEY} bytes."
            )
        return key

    def make(self, salt: bytes) -> tuple[Secret, str]:
        """Make a new key and have it wrapped. Raises `VaultFailed`."""
        key = Secret(secrets.token_bytes(KEY))
        return key, self._unlocker.wrap(self.key, key, self._about)

    @property
    def _unlocker(self) -> Unlocker:
        if self.unlocker is None:
            raise VaultFailed(f"sealed vault {self.vault}: no vault {self.by} is there to unlock it.")
        return self.unlocker

    @property
    def _about(self) -> bytes:
        # So that the wrapped key of one vault opens no other, whoever may decrypt with the same transit key.
        return b"recgate sealed 2\0" + self.vault.encode()
