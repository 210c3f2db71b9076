"""The door of one connection: who is this, may they, with which credential, and where to.

Relays and drivers come through the same four steps in the same order: `login`, `open` (access decision,
recording, lease), `dial`, `finish`. Whatever fails on the way is a no, told to the audit trail with its full
reason and to the client with the part that is theirs to know.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

import structlog
import trio

from recgate.credentialpath import expanded
from recgate.decisions import Effect
from recgate.dispatch import deny_overrides, pipeline
from recgate.errors import (
    AccessDenied,
    LocalProtocolError,
    RecgateError,
    RecordingFailed,
    UpstreamFailed,
    VaultFailed,
)
from recgate.ids import new_session_id
from recgate.leases import vaults_words
from recgate.mask import InputPolicy, looked_for, selected
from recgate.mask.columns import ColumnPolicy
from recgate.metrics import LOGIN_SECONDS
from recgate.model import ConnectionInfo, Evidence, Principal, ScramKeys, TargetInfo
from recgate.policy.braking import TODAY, Brake, counters_of
from recgate.policy.obligations import MASKS
from recgate.policy.reading import ReadOnlyPolicy
from recgate.providers import Challenge, Lease, Settling, Vault
from recgate.sansio.asks import Denied, LoggedIn
from recgate.sansio.frames import Request
from recgate.session import Session
from recgate.signin import SignIn
from recgate.stepup import unmet
from recgate.surveying import KnownOfTarget

if TYPE_CHECKING:
    from recgate.config import TargetSettings
    from recgate.gateway import Gateway

__all__ = ["Door"]

RENEW_PAUSE: Final = 0.05  # seconds between renewals at least, whatever a vault says of its leases

GRANT_OVER: Final = "the access that was granted has ended; ask again: `recgate requests new`"

log = structlog.get_logger("recgate.door")


class Door:
    """One connection's way in. Not shared, and good for one session."""

    def __init__(
        self, gateway: Gateway, connection: ConnectionInfo, admitted: Callable[[], None] = lambda: None
    ) -> None:
        self.gateway = gateway
        self.connection = connection
        self.readiness = gateway.readiness
        self.session: Session | None = None
        self.settings: TargetSettings | None = None
        self.lease: Lease | None = None
        self._vault: Vault | None = None
        self._admitted = admitted  # told once somebody is let in
        self._opened_once = False
        self._keeper = trio.CancelScope()
        self._arrived = trio.current_time()

    # -- who -------------------------------------------------------------------------------------------

    @property
    def signing_in(self) -> SignIn:
        """How somebody proves who they are on this connection, as it is now."""
        return SignIn(self.gateway, self.connection)

    async def login(self, name: str, evidence: Evidence) -> LoggedIn:
        """Say who this is. Raises `AuthenticationFailed`, whose text is for the audit trail only."""
        return await self.signing_in.login(name, evidence)

    async def recognises(self, name: str, evidence: Evidence) -> bool:
        """Whether an identity source would take this key or certificate. Proves, counts and audits nothing."""
        return await self.signing_in.recognises(name, evidence)

    async def scram_keys(self, name: str) -> ScramKeys:
        """Give the keys that may prove `name`. Raises `AuthenticationFailed` if no source keeps such keys."""
        return await self.signing_in.scram_keys(name)

    async def challenge(self, name: str) -> Challenge | None:
        """Begin what a person does elsewhere to prove who they are; None if no source offers it."""
        return await self.signing_in.challenge(name)

    async def answered(self, name: str, challenge: Challenge) -> LoggedIn:
        """Wait until a challenge is met. Raises `AuthenticationFailed`."""
        return await self.signing_in.answered(name, challenge)

    def could_open(self, who: LoggedIn) -> bool:
        """Whether `open` would be allowed as far as the target's `allow:` says. Decides nothing."""
        settings = self.gateway.config.targets.get(who.target)
        return settings is not None and self.gateway.admits(settings, who.principal)

    # -- may they --------------------------------------------------------------------------------------

    async def open(
        self, who: LoggedIn, details: Mapping[str, str], tell: Callable[[str], None] | None = None
    ) -> Session:
        """Decide on access, open the recording, lease the credential. Where it is held, `tell` is called with why.

        Raises `AccessDenied`, `RecordingFailed` or `VaultFailed`; a session that is ended from outside while somebody
        decides, or a vault answers, is an `AccessDenied` with the word for that end as its code. Once it returned,
        or once the recording was open, `finish` must be called; cancellation in between leaves an open recording
        that `finish` seals.
        """
        if self._opened_once:
            raise LocalProtocolError("a door opens one session")
        self._opened_once = True
        settings = self._target(who)
        details = self._settled(who, settings, details)
        session = self._record_from_now(who, settings, details)
        session.notice = tell
        request = Request("session", settings.info.name, details=dict(details))
        with trio.CancelScope() as waiting:
            session.on_end(waiting.cancel)
            await self._count(session)
            await self._admit(session, settings, request)
            self._mask(session)
        session.notice = None
        if (ended := session.denied) is not None:
            raise AccessDenied(ended.reason, code=ended.code)
        session.known = KnownOfTarget.of(self, session)
        session.stages = pipeline(self.gateway.registry.session_stages(session))
        LOGIN_SECONDS.labels(self.connection.protocol).observe(trio.current_time() - self._arrived)
        return session

    def _mask(self, session: Session) -> None:
        """Choose the session's masks and what judges its requests. Raises `AccessDenied`, and what a policy raises."""
        registry = self.gateway.registry
        policies = [*registry.policies, *([ReadOnlyPolicy()] if session.met.read_only else ())]
        inputs = session.inputs = looked_for(self.gateway.masks, session.target)
        if inputs is not None:
            policies.insert(0, InputPolicy(inputs))
        masking = session.masking = selected(
            self.gateway.masks, session.target, session.principal, session.met.masks
        )
        if masking is not None and masking.columns:
            if not registry.protocols[session.target.protocol].columns:
                # A mask that covers such a target is refused with the configuration; a rule may still demand one.
                raise AccessDenied(f"masks by columns cannot be enforced on {session.target.name}")
            policies.append(ColumnPolicy())
        session.narrow(policies)

    async def _count(self, session: Session) -> None:
        """Begin to count what rules go by. Raises `AccessDenied` where it is not known what was used today."""
        counters = counters_of(self.gateway.registry.policies)
        if not counters:
            return
        brake = session.brake = Brake(immediate=not session.waits)
        if any(name.endswith(TODAY) for name in counters):
            tally = brake.tally = await self.gateway.usage.tally(session.principal)

            def over() -> None:
                tally.users -= 1

            session.on_finish(over)

    async def _admit(self, session: Session, settings: TargetSettings, request: Request) -> None:
        decision = session.decide(request)
        if decision.effect is Effect.HOLD:
            decision = await session.held(request, decision)
        elif decision.effect is Effect.DENY:
            session.note_decision(request, decision)
        if decision.effect is not Effect.ALLOW:
            said = f"{decision.rule}: " * bool(decision.rule) + (decision.reason or "denied")
            raise AccessDenied(f"{said} (recgate session {session.id})", rule=decision.rule)
        await self._borrow(session, settings)

    def _settled(
        self, who: LoggedIn, settings: TargetSettings, details: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Say what the client's details mean at this target. Raises `AccessDenied`, which is audited."""
        if not hasattr(settings.info.options, "settle"):
            return details
        try:
            return cast("Settling", settings.info.options).settle(settings.info.name, details)
        except AccessDenied as exc:
            self._denied(who, str(exc))
            raise

    def _denied(self, who: LoggedIn, reason: str) -> None:
        self.gateway.audit.emit(
            "access.denied",
            user=who.principal.name,
            issuer=who.principal.issuer,
            target=who.target[:200],
            protocol=self.connection.protocol,
            source=self.connection.peer,
            reason=reason,
        )

    def _target(self, who: LoggedIn) -> TargetSettings:
        settings = self.gateway.config.targets.get(who.target)
        reason = ""
        if settings is None:
            reason = "no such target"
        elif settings.info.protocol != self.connection.protocol:
            reason = f"the target speaks {settings.info.protocol}"
        elif not self.gateway.admits(settings, who.principal):
            reason = "not in the target's allow list"
        if settings is None or reason:
            self._denied(who, reason)
            # One answer for all three, so that target names cannot be probed.
            raise AccessDenied(
                f'no {self.connection.protocol} target "{who.target[:63]}" is open to you: see `recgate targets`'
            )
        if missing := unmet(settings.require, who.principal, time.time()):
            self._denied(who, missing)
            raise AccessDenied(f"{settings.info.name}: {missing}", rule="require")
        return settings

    def _record_from_now(
        self, who: LoggedIn, settings: TargetSettings, details: Mapping[str, str]
    ) -> Session:
        gateway, principal, info = self.gateway, who.principal, settings.info
        opened = self._opened(principal, info, details)
        try:
            limit = gateway.config.limits.max_sessions
            if len(gateway.live) >= limit:
                raise RecordingFailed(f"limits.max_sessions: {limit} sessions are open")
            gateway.registry.store.check()
            gateway.recording.check()
            gateway.witnesses.check()
            recorder = gateway.recording.open(opened)
        except RecordingFailed as exc:
            gateway.audit.emit(
                "session.refused",
                user=principal.name,
                target=info.name,
                source=self.connection.peer,
                reason=str(exc),
            )
            raise
        session = Session(
            id=str(opened["session"]),
            principal=principal,
            target=info,
            connection=self.connection,
            recorder=recorder,
            decide=deny_overrides(gateway.registry.policies),
        )
        session.reason = details.get("reason", "")
        if not settings.allows(principal):
            session.grant = gateway.grant_for(settings, principal)
        provider = gateway.registry.protocols.get(info.protocol)
        if provider is not None:
            session.met.enforces = provider.enforces | ({MASKS} if provider.masks else frozenset())
        session.approver, session.emit = gateway.approver, gateway.audit.emit
        self.session, self.settings = session, settings
        self._admitted()
        gateway.opened(session)
        if (grant := session.grant) is not None:
            said = {"approval": grant.id, "by": list(grant.by), "until": grant.until, "reason": grant.reason}
            session.record("note", {"text": "access was granted", **said})
            gateway.background.start_soon(self._end_with_grant, session, settings)
        return session

    async def _end_with_grant(self, session: Session, settings: TargetSettings) -> None:
        """End the session when nothing that was granted opens its target any longer."""
        with trio.CancelScope() as scope:
            session.on_finish(scope.cancel)
            while (grant := self.gateway.grant_for(settings, session.principal)) is not None:
                session.grant = grant
                await trio.sleep(max(grant.until - time.time(), RENEW_PAUSE))
            session.end(Denied(GRANT_OVER, "expired", session.id))

    def _opened(
        self, principal: Principal, info: TargetInfo, details: Mapping[str, str]
    ) -> dict[str, object]:
        """What the first frame of the recording says: who, what, from where, under which configuration."""
        return {
            "session": new_session_id(),
            "gateway": self.gateway.config.gateway.name,
            "worker": 0,
            "user": principal.name,
            "issuer": principal.issuer,
            "subject": principal.subject,
            "groups": sorted(principal.groups),
            "method": principal.method,
            "credential": principal.credential_id,
            "target": info.name,
            "address": f"{info.host}:{info.port}",
            "labels": dict(info.labels),
            "protocol": info.protocol,
            "source": self.connection.peer,
            "listener": self.connection.listener,
            "tls": self.connection.tls,
            "details": dict(details),
            "started": time.time_ns(),
            "policy": self.gateway.config.digest,
        }

    # -- with which credential ---------------------------------------------------------------------------

    async def _borrow(self, session: Session, settings: TargetSettings) -> None:
        if settings.credential is None:
            return
        name = settings.credential.vault
        path = expanded(settings.credential.path, session.principal, session.target, settings.allow)
        limit = self.gateway.config.limits.vault_timeout
        vault = self.gateway.registry.vaults.get(name)
        if vault is None:
            raise VaultFailed(
                f"target {session.target.name} names the vault {name!r}, which is not configured"
            )
        try:
            with trio.fail_after(limit):
                async with self.gateway.leases.asking(session.id, name):
                    self.lease = await vault.lease(path, session.principal, session.target, session.id)
                    self._vault = vault
        except trio.TooSlowError:
            raise VaultFailed(f"vault {name} did not answer within {limit:.0f} s") from None
        await self.gateway.leases.keep(session.id, name, self.lease)
        session.credential = self.lease.credential
        if self.lease.ttl is not None:
            self.gateway.background.start_soon(self._keep_lease, session, vault)
        session.record("note", {"text": "credential leased", "vault": name, "lease": self.lease.id})

    async def _keep_lease(self, session: Session, vault: Vault) -> None:
        """Renew the lease while the session lives; a lease that cannot be kept ends the session."""
        session.on_finish(self._keeper.cancel)
        with self._keeper:
            try:
                await self._renew(session, vault)
            except Exception as exc:  # noqa: BLE001 - whatever a vault raises ends the session that it lent to, alone (law 7)
                lost = "the credential's lease could not be kept"
                self.gateway.audit.emit(
                    "lease.lost", session=session.id, reason=f"{lost}: {vaults_words(exc)}"
                )
                session.end(Denied(lost, "vault", session.id))

    async def _renew(self, session: Session, vault: Vault) -> None:
        while (lease := self.lease) is not None and lease.ttl is not None:
            await trio.sleep(max(lease.ttl / 2, RENEW_PAUSE))
            with trio.fail_after(self.gateway.config.limits.vault_timeout):
                self.lease = await vault.renew(lease)
                await self.gateway.leases.keep(session.id, vault.name, self.lease)

    # -- TLS of this connection -------------------------------------------------------------------------

    def server_tls(self, alpn: tuple[str, ...], *, ask_certificate: bool = False) -> ssl.SSLContext:
        """The context of this gateway's certificate, for the client side.

        With `ask_certificate` clients are asked for theirs. Raises `AuthenticationFailed` if no source knows any.
        """
        if not ask_certificate:
            return self.gateway.certificate.context(alpn)
        return self.gateway.certificate.asking_context(alpn, self.signing_in.client_authorities())

    def server_binding(self) -> bytes:
        """The `tls-server-end-point` channel binding of this gateway's certificate (RFC 5929 §4.1)."""
        return self.gateway.certificate.binding

    # -- where to --------------------------------------------------------------------------------------

    async def dial(self) -> socket.socket:
        """Connect to the session's target; gives a non-blocking socket. Raises `UpstreamFailed`."""
        assert self.session is not None
        return await self.dial_for(self.session.target, self.session)

    async def dial_for(self, info: TargetInfo, session: Session | None = None) -> socket.socket:
        """Connect to a target, by its way if it has one, which hears of the session. Raises `UpstreamFailed`."""
        limit = self.gateway.config.limits.dial_timeout
        way = self.gateway.ways.get(info.via) if info.via else None
        if info.via and way is None:
            raise UpstreamFailed(f"{info.name}: no plugin leads there `via: {info.via}`")
        try:
            with trio.fail_after(limit):
                if way is not None:
                    return await way.dial(info, session)
                stream = await trio.open_tcp_stream(info.host, info.port)
        except trio.TooSlowError:
            raise UpstreamFailed(
                f"{info.name}: no answer from {info.host}:{info.port} in {limit:.0f} s"
            ) from None
        except OSError as exc:
            raise UpstreamFailed(
                f"{info.name}: cannot connect to {info.host}:{info.port}: {exc.strerror or exc}"
            ) from None
        fd = stream.socket.detach()
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    # -- the end ---------------------------------------------------------------------------------------

    async def finish(self, reason: str, **facts: object) -> None:
        """Seal the recording and give the credential back. Shielded and within time limits; idempotent."""
        session, self.session = self.session, None
        if session is None:
            return
        with trio.CancelScope(shield=True):
            session.finished()
            async with trio.open_nursery() as nursery:  # neither waits for the other: both have time limits
                nursery.start_soon(self._give_back, session)
                try:
                    await session.recorder.close({"reason": reason, "wire": session.wire.as_map(), **facts})
                except RecgateError as exc:
                    facts["seal"] = str(exc)
                except Exception as exc:
                    log.error("session.unclosed", session=session.id, exc_info=exc)
                    facts["seal"] = f"failed: {type(exc).__name__}"
            self.gateway.closed(session, reason, facts)

    async def _give_back(self, session: Session) -> None:
        if self.lease is not None and self._vault is not None:
            lease, self.lease = self.lease, None
            await self.gateway.leases.give_back(session.id, self._vault, lease)
