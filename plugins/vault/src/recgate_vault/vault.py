"""The vault as the core sees it: lend, renew, take back. All that blocks happens in this vault's own threads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo
from recgate.providers import Lease
from recgate_vault.asking import Asking
from recgate_vault.connection import Connection, Deadline, Refused
from recgate_vault.engines import borrow
from recgate_vault.keeper import Keeper
from recgate_vault.loans import Loan, VaultLease, name_of, read_name
from recgate_vault.login import log_in
from recgate_vault.mounts import Mounts
from recgate_vault.paths import VaultPath
from recgate_vault.pki import revoke_certificate
from recgate_vault.reach import Reach
from recgate_vault.reaper import FOREVER, Reaper
from recgate_vault.settings import VaultSettings
from recgate_vault.signer import Signer
from recgate_vault.transit import unwrap, wrap
from recgate_vault.visit import Visit
from recgate_vault.workers import Workers

__all__ = ["ServerVault"]

REVOKE: Final = "sys/leases/revoke"
REVOKE_LOGIN: Final = "auth/token/revoke-accessor"
RENEW: Final = "sys/leases/renew"
AT_LEAST: Final = 0.1  # of its first span: a lease that gets less has come to its longest
MARGIN: Final = 0.9  # of the time that the core waits: the vault's own, clearer error comes first


class ServerVault:
    """A vault server. `patience` is how long the core waits for a loan, `signer` speaks for users (`on_behalf`)."""

    def __init__(self, settings: VaultSettings, patience: float, signer: Signer | None = None) -> None:
        self._settings = settings
        self._signer = signer
        self._patience = min(settings.timeout, MARGIN * patience)
        self._connection = Connection(settings)
        self._keeper = Keeper(
            self._connection, lambda deadline: log_in(self._connection, settings.auth, deadline)
        )
        self._mounts = Mounts()
        self._workers = Workers(settings.name, settings.workers, self._patience)
        self._reaper = Reaper(settings.name, self._end)

    @property
    def name(self) -> str:
        """The word before the colon in `credential:`."""
        return self._settings.name

    # -- what the core asks ------------------------------------------------------------------------------

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend what `path` names.

        Cancelled, or too slow, it leaves its thread to end by itself; what the vault lends to that is given back.

        Raises:
            VaultFailed: not lent; says what an operator does next, and nothing that the vault said.
        """
        asked = VaultPath.parse(path, self.name)
        asking = Asking(principal, target, session_id, self._settings.fields)
        work = partial(self._borrow, self._reach(), asked, asking)
        with _plainly():
            return await self._workers.lend(work, self._stray)

    async def renew(self, lease: Lease) -> Lease:
        """Extend the loan, and the token that it hangs on.

        Raises:
            VaultFailed: it cannot be: revoked, its longest is over, or the vault did not answer.
        """
        with _plainly():
            return await self._workers.run(partial(self._extend, self._reach(), lease))

    async def revoke(self, lease: Lease) -> None:
        """End the loan, by its id alone. Idempotent.

        Cancelled, the vault may have done it or not; asking again does no harm.

        Raises:
            VaultFailed: the vault is away, or may not be asked to: try again.
        """
        ending, _ = read_name(self.name, lease.id)
        if ending == "none":
            return
        with _plainly():
            await self._workers.run(partial(self._end, lease.id))

    # -- keys of other vaults ------------------------------------------------------------------------------

    def wrap(self, key: str, plain: Secret, about: bytes) -> str:
        """Encrypt another vault's key by the transit key `MOUNT/NAME`. Blocks, for at most `timeout`.

        Raises:
            VaultFailed: not done; says what an operator does next.
        """
        with _plainly():
            return wrap(self._reach(), key, plain, about)

    def unwrap(self, key: str, wrapped: str, about: bytes) -> Secret:
        """Decrypt what `wrap` gave. Blocks, for at most `timeout`. Raises `VaultFailed`."""
        with _plainly():
            return unwrap(self._reach(), key, wrapped, about)

    # -- in a thread -------------------------------------------------------------------------------------

    def _reach(self) -> Reach:
        # Made before the thread is: waiting for a free one counts.
        return Reach(self._connection, self._keeper, Deadline(self._patience))

    def _borrow(self, reach: Reach, path: VaultPath, asking: Asking) -> VaultLease:
        visit = self._visit(asking)
        if visit is not None:
            reach = Reach(self._connection, visit, reach.deadline)
        try:
            loan = borrow(reach, self._mounts, path, asking)
            # With the token ends what it lent: the core is to renew before either is over.
            ttl = None if loan.once else loan.ttl
            if loan.ending == "lease" and not loan.once:
                ttl = _shorter(ttl, reach.lives_until())
            if visit is not None:
                loan = self._bound(loan, visit, reach.deadline)
        except BaseException:
            for name in reach.lent:
                self._reaper.take(f"vault:{self.name}:{name}", None)
            if visit is not None and visit.accessor:
                self._reaper.take(f"vault:{self.name}:login:{visit.accessor}/", None)
            raise
        lasts = None if loan.ending == "none" else loan.ttl or FOREVER
        return VaultLease(name_of(self.name, loan), ttl, loan.credential, loan.ttl or 0.0, lasts, visit)

    def _visit(self, asking: Asking) -> Visit | None:
        settings, signer = self._settings.on_behalf, self._signer
        if settings is None:
            return None
        if signer is None:
            raise VaultFailed(f"vault {self.name}: nothing signs on behalf of users. Restart the gateway.")
        return Visit(self._connection, settings, lambda: signer.says(asking, settings.audience))

    def _bound(self, loan: Loan, visit: Visit, deadline: Deadline) -> Loan:
        """Name a loan with the login that it hangs on; where nothing does, the login ends now."""
        if loan.ending == "lease":
            return replace(loan, ending="login", handle=f"{visit.accessor}/{loan.handle}")
        try:
            visit.leave(deadline)
        except VaultFailed:
            self._reaper.take(f"vault:{self.name}:login:{visit.accessor}/", None)
        return loan

    def _stray(self, lease: VaultLease) -> None:
        if read_name(self.name, lease.id)[0] != "none":
            self._reaper.take(lease.id, lease.span or None)

    def _extend(self, reach: Reach, lease: Lease) -> VaultLease:
        ending, handle = read_name(self.name, lease.id)
        if not isinstance(lease, VaultLease):
            raise reach.failed(f"{lease.id} was lent before the gateway started. Open a new session.")
        if ending not in ("lease", "login") or lease.ttl is None:
            return lease
        if ending == "login":
            assert lease.visit is not None
            handle = handle.partition("/")[2]
            reach = Reach(self._connection, lease.visit, reach.deadline)
        try:
            answer = reach.ask("post", RENEW, {"lease_id": handle, "increment": round(lease.span)})
        except Refused as exc:
            if exc.status == 400:
                raise reach.failed(
                    f"the lease {handle} has ended, or cannot be renewed. Open a new session."
                ) from None
            raise
        if answer.lease_duration < AT_LEAST * lease.span:
            raise reach.failed(
                f"the lease {handle} has lived for as long as its role lets it (max_ttl). Open a new session."
            )
        ttl = _shorter(answer.lease_duration, reach.lives_until())
        return replace(lease, ttl=ttl, lasts=answer.lease_duration)

    def _end(self, name: str) -> None:
        """Give a loan back, by its name."""
        ending, handle = read_name(self.name, name)
        reach = self._reach()
        if ending == "lease":
            # `sync`: the answer comes when the account is gone, and says so if it could not be taken away.
            reach.ask("post", REVOKE, {"lease_id": handle, "sync": True})
        elif ending == "login":
            accessor, _, lease_id = handle.partition("/")
            if lease_id:
                reach.ask("post", REVOKE, {"lease_id": lease_id, "sync": True})
            reach.ask("post", REVOKE_LOGIN, {"accessor": accessor})
        elif ending == "serial":
            revoke_certificate(reach, handle)


@contextmanager
def _plainly() -> Generator[None]:
    """Let nothing of this plugin's own pass: the core knows `VaultFailed`, exactly."""
    try:
        yield
    except VaultFailed as exc:
        raise VaultFailed(str(exc)) from None


def _shorter(*seconds: float | None) -> float | None:
    known = [each for each in seconds if each is not None]
    return max(0.0, min(known)) if known else None
