"""The running gateway: listeners, live sessions, and what is shared between them.

One object a process. A session's task tree hangs below its listener; the only catch-all in recgate is here, at
the session boundary, and it ends that session alone.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import structlog
import trio

from recgate import config as configuration
from recgate.audit import AuditTrail, JsonlObserver
from recgate.certificates import ServerCertificate
from recgate.config import Configuration, JsonlSettings, ListenerSettings, TargetSettings
from recgate.control import ControlSocket
from recgate.door import Door
from recgate.driver import DriverSession
from recgate.errors import AccessDenied, ConfigurationError, RecordingFailed
from recgate.guard import LoginGuard
from recgate.keys import GatewayKeys
from recgate.keys.rotation import ROTATIONS, RotatedKey, drop_journal_keys
from recgate.leases import LeaseBook
from recgate.ledger.acts import PROCESS, Actor, Acts, Words
from recgate.listener import Listener
from recgate.mask import Selected
from recgate.metrics import (
    BYTES,
    LOGIN_ADDRESSES_WAITING,
    LOGIN_NAMES_GUESSED,
    SESSIONS,
    SESSIONS_LIVE,
)
from recgate.metricspage import serve_metrics
from recgate.model import ConnectionInfo, Principal, Voucher
from recgate.owing import enter_later
from recgate.plugins import Registry
from recgate.policy.approving import Grant, Granting
from recgate.policy.usage import Usage
from recgate.providers import Inheriting, Service
from recgate.pump import Pump
from recgate.readiness import Readiness
from recgate.recording.plan import ledger_plan
from recgate.recording.service import RecordingService
from recgate.retention.keeping import Keeper
from recgate.sansio.asks import Denied
from recgate.session import Session
from recgate.surveying import Surveys
from recgate.unlocking import inherit, locked, unlock
from recgate.validity import end_invalid_sessions
from recgate.wire import Wire
from recgate.witness.courier import Courier

__all__ = ["Bound", "Gateway"]

log = structlog.get_logger("recgate")


@dataclass(frozen=True, slots=True)
class Bound:
    """A listener as bound: `bind: "127.0.0.1:0"` picks a port, and this says which. `name` is the configured one's."""

    protocol: str
    host: str
    port: int
    tls: str
    name: str = ""


@dataclass(slots=True)
class _Reloadable:
    config: Configuration
    registry: Registry


class Gateway:
    """Serve a configuration until cancelled.

    Cancelling `run` stops as `stop` does: the listeners close, every session is told `shutdown` and sealed within
    `limits.shutdown_timeout`. What could not be sealed in time is recovered at the next start.
    """

    def __init__(self, config: Configuration, registry: Registry, *, path: Path | None = None) -> None:
        self._now = _Reloadable(config, registry)
        self._path = path
        self.keys = GatewayKeys.of(config, registry.keeper)
        self.keys.prepare()
        registry.complete()
        self.certificate = ServerCertificate(self.keys)
        self.guard = LoginGuard()
        self.cancel_guard = LoginGuard()
        self.audit = AuditTrail([*_jsonl(config), *registry.observers])
        self.readiness = Readiness()
        self.recording = RecordingService.of(config, registry, self.keys, self.readiness)
        self.recording.recovered = self._recovered
        self.recording.unneeded = self._drop_journal_keys
        plan = ledger_plan(config, self.keys)
        self.acts = Acts(plan)
        self.witnesses = Courier(
            plan.open(),
            config.recording.witnesses,
            config.recording.witness_silence,
            self.audit.emit,
        )
        self.live: dict[str, Session] = {}
        self.news = trio.Event()
        self.ways = registry.ways(self)
        self.approver = registry.approver(self)
        self.usage = Usage(config.data_dir / "usage.sqlite3", config.gateway.name)
        self.leases = LeaseBook(config.data_dir / "leases", lambda: self.registry.vaults, self.audit)
        self.surveys = Surveys()
        self.bound: list[Bound] = []
        self._stopping = trio.Event()
        self._emptied: trio.Event | None = None
        self.background: trio.Nursery  # lease keepers; opened by `run`

    @property
    def config(self) -> Configuration:
        """The configuration in force."""
        return self._now.config

    @property
    def registry(self) -> Registry:
        """The plugins in force."""
        return self._now.registry

    @property
    def masks(self) -> Selected:
        """What the masks of a session that opens now are chosen from."""
        now = self._now
        keeps = self.recording.plan.originals is not None
        return Selected(
            now.config.masks, now.registry.maskers, lambda: self.keys.masks, time.perf_counter, keeps=keeps
        )

    def grant_for(self, settings: TargetSettings, principal: Principal) -> Grant | None:
        """Give the grant that opens a target to somebody, as long as the target offers access on request to them."""
        if settings.request is None or not settings.request.open_to(principal):
            return None
        return (
            self.approver.grant_for(principal, settings.info.name)
            if isinstance(self.approver, Granting)
            else None
        )

    def admits(self, settings: TargetSettings, principal: Principal) -> bool:
        """Whether a target is open to somebody now: by its `allow:`, or by a grant that stands."""
        return settings.allows(principal) or self.grant_for(settings, principal) is not None

    # -- life ------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[list[Bound]] = trio.TASK_STATUS_IGNORED) -> None:
        """Open everything, report the bound addresses, and serve until cancelled or stopped."""
        async with trio.open_nursery() as outer:
            outer.start_soon(self._stop_when_cancelled)
            # Seals need the worker and the audit trail after the sessions' own cancellation, so the order of
            # closing is kept here and not left to whoever hears of the cancellation first.
            with trio.CancelScope(shield=True):
                await self._run(task_status)
            outer.cancel_scope.cancel()

    async def _stop_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.stop()

    def stop(self) -> None:
        """Begin to stop: no new sessions, farewell to the live ones, seals, and then `run` returns."""
        self._stopping.set()

    async def _run(self, task_status: trio.TaskStatus[list[Bound]]) -> None:
        async with trio.open_nursery() as services:
            services.start_soon(self.audit.run)
            services.start_soon(self.readiness.run)
            services.start_soon(self.usage.run)
            services.start_soon(self.witnesses.run)
            self.background = services
            self._owe(self.config.digest, PROCESS)
            services.start_soon(Keeper(self).run)
            try:
                async with self.recording:
                    await self._serve(task_status)
            finally:
                self.audit.emit("gateway.stopped", gateway=self.config.gateway.name)
                services.cancel_scope.cancel()

    async def _serve(self, task_status: trio.TaskStatus[list[Bound]]) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.leases.run)  # before anybody opens a session, whose note would be found
            listeners = [await self._listen(settings, nursery) for settings in self.config.listeners]
            await nursery.start(ControlSocket(self).run)
            nursery.start_soon(end_invalid_sessions, self)
            self._unlock(nursery)
            self.audit.emit(
                "gateway.started",
                gateway=self.config.gateway.name,
                pid=os.getpid(),
                configuration=self.config.digest,
            )
            task_status.started(self.bound)
            await self._stopping.wait()
            for listener in listeners:
                listener.close()
            await self._drain_sessions()
            nursery.cancel_scope.cancel()

    async def _listen(self, settings: ListenerSettings, nursery: trio.Nursery) -> Listener:
        provider = self.registry.protocols.get(settings.protocol)
        if provider is not None and provider.driver is not None:
            provider.driver(
                settings.options
            )  # loads what it is made of now, and not when somebody is waiting
        kind = self.registry.services.get(settings.protocol)
        service = kind.service(self, settings) if kind is not None else None
        listener = Listener(settings, _Serving(self, settings, service).connection)
        host, port = await listener.bind()
        if service is not None:
            nursery.start_soon(service.run)
        self.bound.append(Bound(settings.protocol, host, port, settings.tls, settings.name))
        nursery.start_soon(listener.run)
        return listener

    async def _drain_sessions(self) -> None:
        for session in tuple(self.live.values()):
            session.end(Denied("the gateway is shutting down", "shutdown", session.id))
        with trio.move_on_after(self.config.limits.shutdown_timeout):
            if self.live:
                self._emptied = trio.Event()
                await self._emptied.wait()  # `closed` sets it

    def reload(self, by: Actor = PROCESS) -> None:
        """Read the configuration again. A bad file keeps the old one and raises `ConfigurationError`.

        Targets, policies, masks, identities and certificates change for sessions that open from now on; live
        sessions are judged by the new `allow:` lists at the next validity check, and their next segments are sealed
        to the new auditors. The event `configuration.loaded`
        names what differs and waits for a restart.
        """
        registry = self.registry.alone()
        fresh = configuration.load(self._path, registry)
        if fresh.data_dir != self.config.data_dir or fresh.gateway.name != self.config.gateway.name:
            raise ConfigurationError(
                "gateway.name and gateway.data_dir cannot change while running. Restart for that."
            )
        registry.bind(fresh)
        registry.complete()
        # What keeps keys is opened once: a change of `gateway.keys` waits for a restart.
        keys = GatewayKeys.of(fresh, self.registry.keeper)
        keys.prepare()
        before = {each.name: each for each in self.registry.authenticators}
        for each in registry.authenticators:
            if isinstance(each, Inheriting) and each.name in before:
                each.inherit(before[each.name])
        inherit(registry.vaults, self.registry.vaults)
        if not keys.same_as(self.keys):
            self.background.start_soon(self._take_keys, keys)
        self.keys, self.certificate = keys, ServerCertificate(keys)
        self.recording.seal_to(fresh.recording.seal_to)
        waits, former = configuration.restart_needed(self.config, fresh), self.config.recording.seal_to
        self._now = _Reloadable(fresh, registry)
        self._unlock(self.background)
        self.audit.emit("configuration.loaded", configuration=fresh.digest, restart_needed=waits)
        self._owe(fresh.digest, by)
        if former != fresh.recording.seal_to:
            auditors = {"before": list(former), "now": list(fresh.recording.seal_to)}
            self.tell(Words.of("recipients.changed", **auditors), by)

    def tell(self, words: Words, by: Actor) -> None:
        """Tell the audit trail of an act of administration that does not wait for the ledger, and enter it."""
        self.audit.emit(words.event, **words.fields)
        self.background.start_soon(enter_later, lambda: self.acts.administered(words, by), words.event)

    def _owe(self, digest: str, by: Actor) -> None:
        self.background.start_soon(enter_later, lambda: self.acts.configured(digest, by), "configuration")

    async def rotate(self, what: RotatedKey, by: str) -> tuple[str, str]:
        """Put a new key in the place of one that recordings rest on, while sessions run; gives both names.

        Cancelled, the change is made on disk or not at all, and a restart goes by what is there.

        Raises:
            ConfigurationError, RecordingFailed, LedgerDamaged: it was not changed, or the sealing process cannot have
                the new one, or the ledger does not take note of it.
        """
        old, new = await trio.to_thread.run_sync(ROTATIONS[what], self.keys)
        self.audit.emit("key.rotated", key=str(what), old=old, new=new, by=by)
        await self.recording.take_keys(self.keys)
        await trio.to_thread.run_sync(ledger_plan(self.config, self.keys).log_rotation, str(what), old, new)
        return old, new

    async def _take_keys(self, keys: GatewayKeys) -> None:
        try:
            await self.recording.take_keys(keys)
        except RecordingFailed as exc:
            log.error("keys.untaken", reason=str(exc))

    def _drop_journal_keys(self) -> None:
        if not self.recording.plan.wraps_with(self.keys.journal):
            return  # keys are being changed: journals still begin under the old one
        try:
            dropped = drop_journal_keys(self.keys)
        except (ConfigurationError, OSError) as exc:
            log.warning("keys.undropped", reason=str(exc))
            return
        for name in dropped:
            self.audit.emit("key.dropped", key="journal", old=name)

    def _unlock(self, nursery: trio.Nursery) -> None:
        for name in locked(self.registry.vaults):
            nursery.start_soon(unlock, name, lambda: self.registry.vaults, self.audit)

    # -- sessions --------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """A session's recording is open: it is live."""
        self.live[session.id] = session
        SESSIONS_LIVE.labels(session.connection.protocol).inc()
        self.audit.emit(
            "session.opened",
            session=session.id,
            user=session.principal.name,
            issuer=session.principal.issuer,
            method=session.principal.method,
            target=session.target.name,
            protocol=session.target.protocol,
            source=session.connection.peer,
            grant=session.grant.id if session.grant is not None else "",
        )

    def closed(self, session: Session, reason: str, facts: Mapping[str, object]) -> None:
        """A session's recording is closed: it is no longer live."""
        if self.live.pop(session.id, None) is None:
            return
        if not self.live and self._emptied is not None:
            self._emptied.set()
        protocol = session.connection.protocol
        SESSIONS_LIVE.labels(protocol).dec()
        SESSIONS.labels(protocol, reason.partition(":")[0]).inc()
        for name, count in zip(("client", "upstream", "gateway"), session.wire.data, strict=True):
            BYTES.labels(protocol, name).inc(count)
        self.audit.emit(
            "session.closed",
            session=session.id,
            user=session.principal.name,
            target=session.target.name,
            protocol=protocol,
            reason=reason,
            seconds=round(time.time() - session.started, 3),
            requests=session.requests,
            denied=session.denied_requests,
            **facts,
        )

    def _recovered(self, session: str, outcome: Mapping[str, object]) -> None:
        self.audit.emit("session.recovered", session=session, **outcome)

    def recheck(self) -> None:
        """Judge every live session now: an identity source has learnt that something was taken back."""
        self.news.set()

    async def carry(self, sock: socket.socket, source: str, voucher: Voucher) -> str:
        """Serve the far end of a tunnel as its target's protocol, and say why it ended. Takes `sock`, non-blocking.

        `source` is the `host:port` that the tunnel's client comes from. The same listener options, limits and door
        as for everybody else; only the question who this is has been answered, for one target.

        Raises:
            AccessDenied: there is no such target.
        """
        target = self.config.targets.get(voucher.target)
        provider = self.registry.protocols.get(target.info.protocol) if target is not None else None
        if target is None or provider is None:
            sock.close()
            raise AccessDenied(f'no target "{voucher.target[:63]}" is open to you: see `recgate targets`')
        protocol = target.info.protocol
        own = next((each for each in self.config.listeners if each.protocol == protocol), None)
        settings = ListenerSettings(
            protocol, "", 0, "allow", own.options if own is not None else provider.listener_options()
        )
        info = ConnectionInfo(
            protocol, "tunnel", source, tls_mode="allow", loopback=_is_loopback(source), voucher=voucher
        )
        try:
            return await _Serving(self, settings).converse(sock, info, lambda: None)
        finally:
            sock.close()

    def find(self, prefix: str) -> Session | None:
        """The one live session whose id begins with `prefix`, or None."""
        found = (
            [session for key, session in self.live.items() if key.startswith(prefix.upper())]
            if prefix
            else []
        )
        return found[0] if len(found) == 1 else None


@dataclass(slots=True)
class _Serving:
    """What a listener's connections are served with; follows reloads through the gateway."""

    gateway: Gateway
    settings: ListenerSettings
    service: Service | None = None
    _metrics: bool = field(init=False)

    def __post_init__(self) -> None:
        self._metrics = self.settings.protocol == "metrics"

    async def connection(
        self, sock: socket.socket, peer: str, local: str, admitted: Callable[[], None]
    ) -> None:
        """Serve one connection to its end. The session boundary: nothing that goes wrong inside passes it."""
        if self._metrics:
            now, guard = trio.current_time(), self.gateway.guard
            LOGIN_ADDRESSES_WAITING.set(guard.waiting(now))
            LOGIN_NAMES_GUESSED.set(guard.guessed(now))
            await serve_metrics(sock)
            return
        info = ConnectionInfo(
            self.settings.protocol, local, peer, tls_mode=self.settings.tls, loopback=_is_loopback(peer)
        )
        if self.service is not None:
            try:
                await self.service.serve(sock, info, admitted)
            except Exception as exc:  # no session, and the same boundary
                log.error("connection.crashed", peer=peer, protocol=info.protocol, exc_info=exc)
            return
        await self.converse(sock, info, admitted)

    async def converse(self, sock: socket.socket, info: ConnectionInfo, admitted: Callable[[], None]) -> str:
        """Speak a protocol on a connection to its end; gives the word for how it ended."""
        peer = info.peer
        door = Door(self.gateway, info, admitted)
        reason, facts = "error", {}
        try:
            reason, facts = await self._speak(door, sock)
        except trio.Cancelled:
            reason = "shutdown"
            raise
        except Exception as exc:  # the session boundary (law 7): this session ends, the others do not notice
            reason = f"error: {_names(exc)}"
            log.error("session.crashed", peer=peer, protocol=info.protocol, exc_info=exc)
            self.gateway.audit.emit("session.crashed", protocol=info.protocol, source=peer, reason=reason)
        finally:
            await door.finish(reason, **facts)
        return reason

    async def _speak(self, door: Door, sock: socket.socket) -> tuple[str, dict[str, object]]:
        provider = self.gateway.registry.protocols[self.settings.protocol]
        deadline = trio.CancelScope(deadline=trio.current_time() + self.settings.handshake_timeout)
        if provider.driver is not None:
            session = DriverSession(door, sock, self.settings.options, deadline)
            with deadline:
                await provider.driver(self.settings.options).serve(session)
            if deadline.cancelled_caught and door.session is None:
                return "handshake-timeout", {}
            return session.end_reason or "client-closed", session.facts
        assert provider.relay is not None
        wire = Wire(sock)
        pump = Pump(provider.relay(self.settings.options, door.connection), wire, door, deadline)
        with deadline:
            try:
                await pump.run()
            finally:
                for each in pump.wires.values():
                    each.close()
        if deadline.cancelled_caught:
            return "handshake-timeout", {}
        return pump.reason or "client-closed", {}


def _jsonl(config: Configuration) -> list[JsonlObserver]:
    """The core's own observer, where the configuration has it."""
    entries = [entry.options for entry in config.observers if isinstance(entry.options, JsonlSettings)]
    return [JsonlObserver(options.path or config.data_dir / "audit.jsonl") for options in entries]


def _names(exc: BaseException) -> str:
    """The types of what went wrong, without the groups that nurseries wrap them in."""
    if isinstance(exc, BaseExceptionGroup):
        return ", ".join(_names(each) for each in cast("BaseExceptionGroup[BaseException]", exc).exceptions)
    return type(exc).__name__


def _is_loopback(peer: str) -> bool:
    host = peer.rpartition(":")[0]
    return host == "::1" or host.startswith("127.")
