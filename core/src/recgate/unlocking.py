"""Vaults that another vault unlocks: which of them goes with which, and asking until they are open.

No plugin knows another, so the core introduces them to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, runtime_checkable

import trio

from recgate.errors import PluginError, VaultFailed
from recgate.model import Secret
from recgate.providers import Vault

__all__ = ["Locked", "Unlocker", "connect", "inherit", "locked", "unlock"]

FIRST_PAUSE: Final = 1.0  # seconds before a vault that could not be unlocked is tried again
LONGEST_PAUSE: Final = 30.0  # seconds between two tries at most


@runtime_checkable
class Unlocker(Protocol):
    """What a vault may offer besides: it wraps another vault's key. Both block, for no longer than its deadline.

    `key` is `MOUNT/NAME` of its own key; `about` must be the same both times. Both raise `VaultFailed`.
    """

    def wrap(self, key: str, plain: Secret, about: bytes) -> str:
        """Encrypt a few bytes; what it gives may be kept in the open."""
        ...

    def unwrap(self, key: str, wrapped: str, about: bytes) -> Secret:
        """Decrypt what `wrap` gave."""
        ...


@runtime_checkable
class Locked(Protocol):
    """What a vault may offer besides: it lends nothing until another vault has unwrapped its key."""

    @property
    def unlocked_by(self) -> str:
        """The name of that vault, or empty."""
        ...

    def unlock_with(self, unlocker: Unlocker) -> None:
        """Take the vault of that name. Called once, before anything else."""
        ...

    def inherit(self, before: Vault) -> None:
        """Stay as unlocked as the vault of this name was until the configuration was read anew.

        `before` may be another plugin's, of which there is nothing to take.
        """
        ...

    async def unlock(self) -> None:
        """Have the key unwrapped, if it is not at hand. Cancelled, it stays locked.

        Raises:
            VaultFailed: it cannot be now; the core asks again, more and more rarely.
        """
        ...


class _Audit(Protocol):
    def emit(self, event: str, /, **facts: object) -> None: ...


def connect(vaults: Mapping[str, Vault]) -> None:
    """Give each locked vault the one that unlocks it. Raises `PluginError` if there is none, or it cannot."""
    for name, vault in locked(vaults).items():
        by = vaults.get(vault.unlocked_by)
        if by is None:
            others = ", ".join(sorted(each for each in vaults if each != name)) or "none"
            raise PluginError(
                f"the vault {name} is to be unlocked by {vault.unlocked_by!a}, and there is no such vault. "
                f"Correct its `unlock:`; there are {others}."
            )
        if not isinstance(by, Unlocker):
            raise PluginError(
                f"the vault {name} is to be unlocked by {vault.unlocked_by}, which keeps no keys for others. "
                "Name one of the plugin `vault`."
            )
        vault.unlock_with(by)


def locked(vaults: Mapping[str, Vault]) -> dict[str, Locked]:
    """Find the vaults that another one unlocks, by name."""
    return {name: vault for name, vault in vaults.items() if isinstance(vault, Locked) and vault.unlocked_by}


def inherit(vaults: Mapping[str, Vault], before: Mapping[str, Vault]) -> None:
    """Keep open, over a reload, what is open: the vault that unlocked it may be away now."""
    for name, vault in locked(vaults).items():
        if name in before:
            vault.inherit(before[name])


async def unlock(name: str, vaults: Callable[[], Mapping[str, Vault]], audit: _Audit) -> None:
    """Try until the vault `name` is open, or a reload has put another in its place. Both outcomes are audited."""
    vault = vaults()[name]
    assert isinstance(vault, Locked)
    pause, told = FIRST_PAUSE, ""
    while vaults().get(name) is vault:
        try:
            await vault.unlock()
        except VaultFailed as exc:
            if str(exc) != told:
                told = str(exc)
                audit.emit("vault.locked", vault=name, by=vault.unlocked_by, reason=told)
        else:
            audit.emit("vault.unlocked", vault=name, by=vault.unlocked_by)
            return
        await trio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
