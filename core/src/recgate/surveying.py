"""Survey targets: what one holds is read over a connection of the gateway's own, and kept for all of its sessions.

The connection is dialled as a session's is, by the target's way and with its rules for TLS, and is open for one survey
only. It logs in by the target's `catalog_credential:`, else by a second lease of its credential, for the principal of
the session that asks. What is known is relied on for `limits.catalog_age`, and no longer than until a relay says that
something has changed. A survey that fails fails the session that asked, and no other: the next asks for itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from recgate.credentialpath import expanded
from recgate.errors import LocalProtocolError, RecgateError, RemoteProtocolError, UpstreamFailed, VaultFailed
from recgate.leases import vaults_words
from recgate.model import Credential, TargetInfo
from recgate.sansio.asks import NEED_DATA, Denied, PeerClosed, StartTls, Surveyed, TlsDone
from recgate.sansio.frames import UPSTREAM
from recgate.sansio.surveys import Surveyor
from recgate.tls import channel_binding
from recgate.upstreamtls import upstream_context
from recgate.wire import Wire, WireClosed

if TYPE_CHECKING:
    from recgate.config import CredentialName, TargetSettings
    from recgate.door import Door
    from recgate.session import Session

__all__ = ["KnownOfTarget", "Surveys"]

DEADLINE: Final = 30.0  # seconds for one survey: lease, dial, login, reading
MAX_SURVEY: Final = 64 << 20  # bytes that a target may answer; a catalog of 50,000 tables takes about 25 MB
AT_ONCE: Final = 4  # surveys of one gateway, each of which may hold that much for a while
MAX_KEPT: Final = 64  # subjects that are remembered
MAX_TRIES: Final = 3  # for one ask, where what was read is out of date by the time that it has come
PAUSE: Final = 5.0  # seconds for which a session that could not survey its target is told the same again
UNKNOWN: Final = "what the target holds could not be read; the gateway's audit trail says why"


Make: TypeAlias = Callable[[TargetInfo, Credential, str], Surveyor]


@dataclass(slots=True)
class _Known:
    """What is known of one subject of a target."""

    info: TargetInfo
    lock: trio.Lock = field(default_factory=trio.Lock)
    finding: object | None = None
    read: float = 0.0  # when its survey began
    spoilt: int = 0


class Surveys:
    """What one gateway knows of its targets."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}
        self._at_once = trio.CapacityLimiter(AT_ONCE)

    def known(self, info: TargetInfo, subject: str) -> _Known:
        """Give the place of what is known, which may be nothing; the least lately used one makes room for a new one."""
        key = info.name, subject
        found = self._known.pop(key, None)
        if found is None or found.info != info:  # the configuration says something else of it now
            found = _Known(info)
        self._known[key] = found
        if len(self._known) > MAX_KEPT:
            del self._known[next(iter(self._known))]
        return found

    def spoil(self, info: TargetInfo, subject: str) -> None:
        """Forget what is known of a subject, also by other targets' names: two may lead to the same place."""
        self.known(info, subject)
        for (_, about), known in self._known.items():
            other = known.info
            same = (other.protocol, other.host, other.port, other.via) == (
                info.protocol,
                info.host,
                info.port,
                info.via,
            )
            if same and about == subject:
                known.spoilt += 1
                known.finding = None

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait until few enough surveys are under way."""
        async with self._at_once:
            yield


class KnownOfTarget:
    """`Findings` of one session, and what reads them for it."""

    def __init__(self, door: Door, session: Session, settings: TargetSettings, make: Make) -> None:
        self._door = door
        self._session = session
        self._settings = settings
        self._make = make
        self._surveys = door.gateway.surveys
        self._failed: dict[str, float] = {}

    @classmethod
    def of(cls, door: Door, session: Session) -> KnownOfTarget | None:
        """Give them where something looks that far into this session; else None, and it costs nothing."""
        provider = door.gateway.registry.protocols.get(session.target.protocol)
        settings, make = door.settings, provider and provider.surveyor
        if settings is None or make is None:
            return None
        by_origin = session.masking is not None and bool(session.masking.columns)
        return (
            cls(door, session, settings, make)
            if by_origin or settings.catalog_credential is not None
            else None
        )

    # -- Findings --------------------------------------------------------------------------------------------

    def current(self, subject: str) -> object | None:
        """Give what is known and not too old."""
        known = self._place(subject)
        age = self._door.gateway.config.limits.catalog_age
        return known.finding if trio.current_time() - known.read <= age else None

    def mark(self, subject: str) -> int:
        """Give how often that has been spoilt."""
        return self._place(subject).spoilt

    def spoil(self, subject: str) -> None:
        """Forget what is known; a survey that is under way is done again."""
        self._surveys.spoil(self._session.target, subject)

    def _place(self, subject: str) -> _Known:
        return self._surveys.known(self._session.target, subject)

    # -- surveys ---------------------------------------------------------------------------------------------

    async def survey(self, subject: str) -> Surveyed:
        """Read the target, unless another session just did. Never fails: what went wrong is in the audit trail.

        Cancelled, it leaves no connection and no lease.
        """
        if trio.current_time() < self._failed.get(subject, 0.0):
            return Surveyed(UNKNOWN)
        try:
            with trio.fail_after(DEADLINE):
                async with self._place(subject).lock:
                    await self._read(subject)
        except trio.TooSlowError:
            return self._failure(subject, f"not done within {DEADLINE:.0f} s")
        except (RecgateError, WireClosed) as exc:
            return self._failure(subject, str(exc))
        return Surveyed()

    def _failure(self, subject: str, reason: str) -> Surveyed:
        session = self._session
        self._failed[subject] = trio.current_time() + PAUSE
        self._door.gateway.audit.emit(
            "survey.failed", session=session.id, target=session.target.name, subject=subject, reason=reason
        )
        return Surveyed(UNKNOWN)

    async def _read(self, subject: str) -> None:
        for _ in range(MAX_TRIES):
            known = self._place(subject)
            if self.current(subject) is not None:
                return
            began, spoilt = trio.current_time(), known.spoilt
            async with self._surveys.turn(), self._credential() as credential:
                surveyor = self._make(self._session.target, credential, subject)
                wire = Wire(await self._door.dial_for(self._session.target, self._session))
                try:
                    await _drive(surveyor, wire, self._session, credential)
                finally:
                    wire.close()
            finding = await trio.to_thread.run_sync(surveyor.finding)
            if known.spoilt == spoilt and known is self._place(subject):
                known.finding, known.read = finding, began
                return
        raise UpstreamFailed(f"it has changed {MAX_TRIES} times while it was read")

    @contextlib.asynccontextmanager
    async def _credential(self) -> AsyncGenerator[Credential]:
        name = self._settings.catalog_credential or self._settings.credential
        if name is None:
            yield Credential()
            return
        async with self._lent(name) as credential:
            yield credential

    @contextlib.asynccontextmanager
    async def _lent(self, name: CredentialName) -> AsyncGenerator[Credential]:
        """Borrow for as long as the survey takes: it is shorter than any lease is good for."""
        gateway, session, settings = self._door.gateway, self._session, self._settings
        vault = gateway.registry.vaults.get(name.vault)
        if vault is None:
            raise VaultFailed(f"the vault {name.vault!r} is not configured")
        path = expanded(name.path, session.principal, session.target, settings.allow)
        holder = f"{session.id}.survey"  # the session's own lease has its id
        try:
            async with gateway.leases.asking(holder, vault.name):
                lease = await vault.lease(path, session.principal, session.target, session.id)
        except Exception as exc:  # noqa: BLE001 - whatever a vault raises is a no to this survey alone (law 7)
            raise VaultFailed(f"vault {name.vault}: {vaults_words(exc)}") from None
        try:
            await gateway.leases.keep(holder, vault.name, lease)
            yield lease.credential
        finally:
            with trio.CancelScope(shield=True):
                await gateway.leases.give_back(holder, vault, lease)


async def _drive(surveyor: Surveyor, wire: Wire, session: Session, credential: Credential) -> None:
    """Let it speak with the target until it has heard enough."""
    left = MAX_SURVEY
    while True:
        event = surveyor.next_event(UPSTREAM)
        chunks = surveyor.data_to_send(UPSTREAM)  # what it says on the occasion of that event
        if chunks and not wire.send_now(chunks):
            await wire.drain()
        if event is NEED_DATA:
            data = await wire.receive()
            left -= len(data)
            if left < 0:
                raise RemoteProtocolError(
                    f"{session.target.name} answers a survey with more than {MAX_SURVEY} bytes"
                )
            surveyor.receive_data(UPSTREAM, data)
        elif isinstance(event, StartTls):
            await _start_tls(surveyor, event, wire, session, credential)
        elif isinstance(event, PeerClosed):
            return
        else:
            raise LocalProtocolError("a surveyor has neither frames nor asks but TLS")


async def _start_tls(
    surveyor: Surveyor, ask: StartTls, wire: Wire, session: Session, credential: Credential
) -> None:
    if ask.leftover:
        surveyor.answer(ask, Denied("plaintext behind the request for TLS", "tls"))
        raise RemoteProtocolError("plaintext behind the request for TLS")
    context = upstream_context(session, ask.alpn, credential)
    await wire.start_tls(context, server_side=False, server_name=ask.server_name)
    tls = wire.tls
    assert tls is not None
    der = tls.getpeercert(binary_form=True) or b""
    surveyor.answer(
        ask, TlsDone(tls.selected_alpn_protocol() or "", channel_binding(der) if der else b"", der)
    )
