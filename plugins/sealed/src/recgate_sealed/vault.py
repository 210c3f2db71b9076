"""Lend what a sealed file holds. Its secrets do not end by themselves, so a lease has no time to live."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import trio

from recgate.errors import VaultFailed
from recgate.model import Credential, Principal, TargetInfo
from recgate.providers import Lease
from recgate_sealed.sealedfile import SealedFile

__all__ = ["SealedLease", "SealedVault"]


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
        self._file = file
        self._lent: dict[str, SealedLease] = {}

    @property
    def name(self) -> str:
        """The word before the colon in `credential:`."""
        return self._file.name

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend the entry `path`. Raises `VaultFailed`. Cancellation leaves nothing lent."""
        credential = await trio.to_thread.run_sync(self._file.get, path)
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
        if await trio.to_thread.run_sync(self._file.get, lent.path) != lent.credential:
            raise VaultFailed(f"sealed vault {self.name}: {lent.path} was set anew. Open a new session.")
        return lent

    async def revoke(self, lease: Lease) -> None:
        """End the loan. Idempotent. What the target was told cannot be taken back: the gateway cuts the connection."""
        self._lent.pop(lease.id, None)
        await trio.lowlevel.checkpoint()
