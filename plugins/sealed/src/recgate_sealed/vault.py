"""Lend what a sealed file holds. Its secrets do not end by themselves, so a lease has no time to live."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import trio

from recgate.errors import VaultFailed
from recgate.model import Credential, Principal, TargetInfo
from recgate.providers import Lease, Vault
from recgate.unlocking import Unlocker
from recgate_sealed.sealedfile import SealedFile
from recgate_sealed.wrappedkey import WrappedKey

__all__ = ["SealedLease", "SealedVault"]

T = TypeVar("T")

AT_ONCE: Final = 8  # threads; a vault that hangs while it is asked for a key holds up this one alone
PAUSE: Final = 1.0  # seconds between two tries to unlock, however many sessions wait for it


@dataclass(frozen=True, slots=True)
class SealedLease:
    """The loan of one entry. `path` is its name in the vault."""

    id: str
    path: str
    credential: Credential
    ttl: float | None = None


class SealedVault:
    """A vault over a sealed file, which may change while it is in use."""

    def __init__(self, file: SealedFile) -> None:
        self.file = file
        self._lent: dict[str, SealedLease] = {}
        self._limit = trio.CapacityLimiter(AT_ONCE)
        self._turn = trio.Lock()
        self._refused = ""
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """The word before the colon in `credential:`."""
        return self.file.name

    # -- the lock ----------------------------------------------------------------------------------------

    @property
    def unlocked_by(self) -> str:
        """The vault that keeps the key wrapped, or empty."""
        return self.file.holder.by if isinstance(self.file.holder, WrappedKey) else ""

    def unlock_with(self, unlocker: Unlocker) -> None:
        """Take the vault that keeps the key wrapped."""
        if isinstance(self.file.holder, WrappedKey):
            self.file.holder.unlocker = unlocker

    def inherit(self, before: Vault) -> None:
        """Keep the key that is in memory over a reload."""
        if isinstance(before, SealedVault):
            self.file.inherit(before.file)

    async def unlock(self) -> None:
        """Have the key unwrapped. One asks, the others wait; then nobody asks again for a second.

        Cancelled, a thread that asks ends by itself, within the other vault's deadline.

        Raises:
            VaultFailed: it stays locked; says why.
        """
        async with self._turn:
            if self.file.is_open:
                return
            if trio.current_time() < self._not_before:
                raise VaultFailed(self._refused)
            try:
                await self._in_thread(self.file.names)
            except VaultFailed as exc:
                self._refused = f"sealed vault {self.name} is locked: {exc} It is tried again by itself."
                self._not_before = trio.current_time() + PAUSE
                raise VaultFailed(self._refused) from exc

    # -- what the core asks ------------------------------------------------------------------------------

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend the entry `path`. Raises `VaultFailed`. Cancellation leaves nothing lent."""
        if self.unlocked_by:
            await self.unlock()
        credential = await self._in_thread(lambda: self.file.get(path))
        lease = SealedLease(f"sealed:{self.name}:{secrets.token_hex(8)}", path, credential)
        self._lent[lease.id] = lease
        return lease

    async def renew(self, lease: Lease) -> Lease:
        """Give the same loan again. Raises `VaultFailed` if it was revoked or its entry is gone or was changed."""
        lent = self._lent.get(lease.id)
        if lent is None:
            raise VaultFailed(
                f"sealed vault {self.name}: the lease {lease.id} has ended. Open a new session."
            )
        if await self._in_thread(lambda: self.file.get(lent.path)) != lent.credential:
            raise VaultFailed(f"sealed vault {self.name}: {lent.path} was set anew. Open a new session.")
        return lent

    async def revoke(self, lease: Lease) -> None:
        """End the loan. Idempotent. What the target was told cannot be taken back: the gateway cuts the connection."""
        self._lent.pop(lease.id, None)
        await trio.lowlevel.checkpoint()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limit)
