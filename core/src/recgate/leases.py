"""Leases that are out, on disk before they are used, and given back whatever happens to this process.

One small file a lease: written and synced when it was taken, removed when the vault has taken it back. What is
found at the next start was left by a crash. Who cannot be reached is asked again, more and more rarely, until the
lease has ended by itself; every way it can end is in the audit trail. So is that a vault was asked and nobody heard
its answer: a mark says so from before the question until the lease is written down.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import trio

from recgate.errors import VaultFailed
from recgate.model import Credential
from recgate.providers import Lease, Vault

__all__ = ["BareLease", "Lasting", "LeaseBook", "vaults_words"]

REVOKE_TIMEOUT: Final = 10.0  # seconds for a vault to take one lease back
FIRST_PAUSE: Final = 1.0  # seconds before a vault that was away is asked again
LONGEST_PAUSE: Final = 300.0  # seconds between two tries at most
AT_ONCE: Final = (
    8  # revocations side by side, so that a gateway of thousands of leases does not flood a vault
)
MAX_NOTE: Final = 64 * 1024  # bytes of one file
A_DAY: Final = 86_400.0  # seconds for which a lease is tried to be given back that does not say when it ends


@runtime_checkable
class Lasting(Protocol):
    """What a lease may offer besides: for how long it is to be given back, where `ttl` does not say."""

    @property
    def lasts(self) -> float | None:
        """Seconds that it stays good at the vault if nobody gives it back; None if there is nothing to give back."""
        ...


class _Audit(Protocol):
    def emit(self, event: str, /, **facts: object) -> None: ...


@dataclass(frozen=True, slots=True)
class BareLease:
    """A lease as it is known after a crash: enough to give it back, and nothing secret."""

    id: str
    ttl: float | None
    credential: Credential = field(default_factory=Credential, repr=False)


@dataclass(frozen=True, slots=True)
class _Note:
    """What the book keeps of a lease. `until` is the wall-clock second at which it ends by itself."""

    session: str
    vault: str
    lease: str
    until: float


class LeaseBook:
    """The leases of one gateway, in `data_dir/leases`."""

    def __init__(self, directory: Path, vaults: Callable[[], Mapping[str, Vault]], audit: _Audit) -> None:
        self._directory = directory
        self._vaults = vaults
        self._audit = audit
        self._limit = trio.CapacityLimiter(AT_ONCE)
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Give back what a crash left behind, and what later could not be given back; until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                for name, note in await trio.to_thread.run_sync(self._found):
                    await self._take_up(name, note, nursery)
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None  # what cannot be given back from now on is in its file at the next start

    async def _take_up(self, name: str, note: _Note | None, nursery: trio.Nursery) -> None:
        if note is None:
            self._audit.emit("lease.unreadable", file=name)
        elif not note.lease:
            self._unknown(note, "the gateway was killed while the vault was asked")
            await trio.to_thread.run_sync(self._unmark, note.session)
        else:
            self._audit.emit("lease.found", session=note.session, vault=note.vault, lease=note.lease)
            nursery.start_soon(self._settle, note, "left by a gateway that did not end in order")

    @contextlib.asynccontextmanager
    async def asking(self, session: str, vault: str) -> AsyncGenerator[None]:
        """Ask a vault for a lease inside; call `keep` behind it. However it ends, no lease is lost unheard of.

        Raises:
            VaultFailed: it cannot be written down that the vault is asked, so it must not be.
        """
        note = _Note(session, vault, "", time.time())
        try:
            await trio.to_thread.run_sync(self._write, note)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        try:
            yield
        except VaultFailed:  # it said no, or that it does not know; the refusal says which
            await trio.to_thread.run_sync(self._unmark, session)
            raise
        except BaseException:
            self._unknown(note, "nobody waited for the vault's answer")
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._unmark, session)
            raise

    async def keep(self, session: str, vault: str, lease: Lease) -> None:
        """Write a lease down, durably, before it is used; again when it was renewed.

        A lease of which nothing outlives the session at the vault is not written down.

        Raises:
            VaultFailed: it cannot be written down, so it must not be used.
        """
        lasts = _lasts(lease)
        try:
            if lasts is None:
                await trio.to_thread.run_sync(self._unmark, session)
            else:
                note = _Note(session, vault, lease.id, time.time() + lasts)
                await trio.to_thread.run_sync(self._write, note)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def _unwritable(self, exc: OSError) -> VaultFailed:
        return VaultFailed(
            f"the lease cannot be written down in {self._directory}: {exc.strerror}. Make room or give rights."
        )

    async def give_back(self, session: str, vault: Vault, lease: Lease) -> None:
        """Have the vault take a lease back; if it cannot now, that is tried again behind the session's back."""
        lasts = _lasts(lease)
        note = _Note(session, vault.name, lease.id, time.time() + (A_DAY if lasts is None else lasts))
        try:
            with trio.fail_after(REVOKE_TIMEOUT):
                await vault.revoke(lease)
        except Exception as exc:  # noqa: BLE001 - whatever a vault raises concerns this lease alone (law 7)
            self._unrevoked(note, vaults_words(exc))
            with contextlib.suppress(
                OSError
            ):  # its disk may be why the session ended; it is tried all the same
                await trio.to_thread.run_sync(self._write, note)
            if self._nursery is not None:
                self._nursery.start_soon(self._settle, note, "", vault)
            return
        await self._forget(note)

    # -- until it is over ----------------------------------------------------------------------------------

    async def _settle(self, note: _Note, why: str, lender: Vault | None = None) -> None:
        """Ask until the vault has taken it back, or it has ended by itself.

        `lender` is asked where the configuration has no vault of that name any more.
        """
        pause = 0.0 if why else FIRST_PAUSE
        while True:
            left = note.until - time.time()
            await trio.sleep(min(pause, max(left, 0.0)))
            reason = await self._revoked(note, lender)
            if not reason:
                self._audit.emit("lease.revoked", session=note.session, vault=note.vault, lease=note.lease)
                break
            if note.until <= time.time():
                self._audit.emit(
                    "lease.expired", session=note.session, vault=note.vault, lease=note.lease, reason=reason
                )
                break
            if pause == 0.0:
                self._unrevoked(note, reason)
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        await self._forget(note)

    async def _revoked(self, note: _Note, lender: Vault | None) -> str:
        """Try once; gives "" or why not."""
        vault = self._vaults().get(note.vault) or lender
        if vault is None:
            return f"no vault is called {note.vault} any more"
        async with self._limit:
            try:
                with trio.fail_after(REVOKE_TIMEOUT):
                    await vault.revoke(BareLease(note.lease, None))
            except Exception as exc:  # noqa: BLE001 - as above
                return vaults_words(exc)
        return ""

    def _unrevoked(self, note: _Note, reason: str) -> None:
        self._audit.emit(
            "lease.unrevoked", session=note.session, vault=note.vault, lease=note.lease, reason=reason
        )

    def _unknown(self, note: _Note, reason: str) -> None:
        self._audit.emit("lease.unknown", session=note.session, vault=note.vault, reason=reason)

    # -- the files -----------------------------------------------------------------------------------------

    def _path(self, session: str) -> Path:
        return self._directory / f"{session}.json"

    def _mark(self, session: str) -> Path:
        return self._directory / f"{session}.asked"

    def _unmark(self, session: str) -> None:
        with contextlib.suppress(OSError):  # then the next start says once more that nobody heard the answer
            self._mark(session).unlink(missing_ok=True)

    def _write(self, note: _Note) -> None:
        """Write a lease's note durably and take its mark away; or, without a lease, the mark."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._path(note.session)
        # The mark becomes the note: whenever this is cut off, one of them is there. It is synced only as a note, since
        # what a mark is for is a killed process; a machine that loses power loses the vault's answer as well.
        fresh = self._mark(note.session)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(fresh, flags, 0o600)
        try:
            data = json.dumps(asdict(note)).encode()
            os.write(handle, data)
            os.ftruncate(handle, len(data))
            if not note.lease:
                return
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.replace(path)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    async def _forget(self, note: _Note) -> None:
        def forget() -> None:
            self._path(note.session).unlink(missing_ok=True)
            self._mark(note.session).unlink(missing_ok=True)

        with contextlib.suppress(
            OSError
        ):  # then it is revoked once more at the next start, which harms nothing
            await trio.to_thread.run_sync(forget)

    def _found(self) -> list[tuple[str, _Note | None]]:
        if not self._directory.is_dir():
            return []
        found: dict[str, tuple[str, _Note | None]] = {}
        for path in (*sorted(self._directory.glob("*.json")), *sorted(self._directory.glob("*.asked"))):
            note = _read(path)
            if path.stem in found and (note is None or not note.lease):
                continue  # cut off while it was written again, after a renewal
            found[path.stem] = path.name, note
        return list(found.values())


def _lasts(lease: Lease) -> float | None:
    """Give the seconds for which a lease is to be given back, or None if nothing of it is."""
    return lease.lasts if isinstance(lease, Lasting) and lease.lasts is not None else lease.ttl


def _read(path: Path) -> _Note | None:
    try:
        with path.open("rb") as file:
            found: object = json.loads(file.read(MAX_NOTE))
    except (OSError, ValueError):
        return None
    match found:
        case {
            "session": str(session),
            "vault": str(vault),
            "lease": str(lease),
            "until": int() | float() as until,
        } if session == path.stem:
            return _Note(session, vault, lease, until)
        case _:
            return None


def vaults_words(exc: Exception) -> str:
    """Say why a vault did not do as asked. Only its own error is worded for people; others may quote a secret."""
    if isinstance(exc, VaultFailed):
        return str(exc)
    return "no answer" if isinstance(exc, trio.TooSlowError) else f"the vault failed ({type(exc).__name__})"
