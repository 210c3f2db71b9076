"""Answers a relay's asks: who is this, where to, TLS here. The one place where a relay meets the door."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from recgate.cancelling import deliver_cancel
from recgate.errors import LocalProtocolError, RecgateError, RemoteProtocolError, UpstreamFailed
from recgate.sansio.asks import (
    Ask,
    Cancel,
    LoggedIn,
    Login,
    Reply,
    Route,
    Routed,
    ScramLookedUp,
    ScramLookup,
    StartTls,
    Survey,
    TlsDone,
)
from recgate.sansio.frames import CLIENT
from recgate.tls import channel_binding
from recgate.upstreamtls import upstream_context
from recgate.wire import Wire, WireClosed

if TYPE_CHECKING:
    from recgate.pump import Pump
    from recgate.session import Session

__all__ = ["Switchboard"]

UPSTREAM_LOGIN: Final = 20.0  # seconds for the target's handshake after the dial


class Switchboard:
    """Connects one relay's asks to the door. A no ends the connection, in the protocol's own words."""

    def __init__(self, pump: Pump, deadline: trio.CancelScope) -> None:
        self._pump = pump
        self._deadline = deadline
        self._who: LoggedIn | None = None
        self.connecting = True

    def connected(self) -> None:
        """The first frame passes, so both handshakes are over: only the session's own limits apply now."""
        self.connecting = False
        self._deadline.deadline = float("inf")

    async def connect(self, ask: Ask) -> None:
        """Answer one ask. Raises the `RecgateError` behind a no, after the relay has its `Denied`."""
        if isinstance(ask, Cancel):
            await deliver_cancel(self._pump.door, ask.key)
            self._pump.stop("cancel-request")
            return
        try:
            reply = await self._reply(ask)
        except RecgateError as exc:
            self._pump.relay.answer(ask, self._pump.denied_by(exc))
            raise
        self._pump.relay.answer(ask, reply)

    async def _reply(self, ask: Login | ScramLookup | Route | StartTls | Survey) -> Reply:
        if isinstance(ask, Login):
            self._who = await self._pump.door.login(ask.name, ask.evidence)
            return self._who
        if isinstance(ask, ScramLookup):
            return ScramLookedUp(await self._pump.door.scram_keys(ask.name))
        if isinstance(ask, Route):
            return await self._route(ask)
        if isinstance(ask, Survey):
            session = self._pump.session
            if session is None or session.known is None:
                raise LocalProtocolError("a relay that was given no findings asks for a survey")
            return await session.known.survey(ask.subject)
        return await self._start_tls(ask)

    async def _route(self, ask: Route) -> Reply:
        pump, who = self._pump, self._who
        if who is None:
            raise RemoteProtocolError("a route before a login")
        self._deadline.deadline = float("inf")  # whoever must approve may take longer than a handshake
        session = await self._opened(replace(who, target=ask.target), ask.details)
        pump.attach(session)
        upstream = Wire(await pump.door.dial())
        self._deadline.deadline = trio.current_time() + UPSTREAM_LOGIN
        pump.opened(upstream)
        brake = session.brake if session.brake is not None and session.brake.flowing else None
        return Routed(
            session.target,
            session.credential,
            session.id,
            session.masking,
            session.known,
            brake,
            read_only=session.met.read_only,
        )

    async def _opened(self, who: LoggedIn, details: Mapping[str, str]) -> Session:
        """Open the session; where somebody must approve that, the client is told, and its leaving withdraws it."""
        with contextlib.ExitStack() as waiting:

            def tell(text: str) -> None:
                session = self._pump.door.session
                assert session is not None
                waiting.enter_context(self._pump.beside(session, text))

            return await self._pump.door.open(who, details, tell)

    async def _start_tls(self, ask: StartTls) -> TlsDone:
        pump = self._pump
        if ask.leftover and not ask.replay:
            # Bytes sent in the clear behind the request for TLS would be read as if they had come inside it.
            raise RemoteProtocolError("plaintext behind the request for TLS")
        wire = pump.wires[ask.side]
        await pump.settle()
        if ask.side is CLIENT:
            context = pump.door.server_tls(ask.alpn, ask_certificate=ask.ask_certificate)
            await wire.start_tls(context, server_side=True, leftover=ask.leftover)
            pump.door.connection = replace(pump.door.connection, tls=True)
        else:
            assert pump.session is not None
            context = upstream_context(pump.session, ask.alpn)
            try:
                await wire.start_tls(
                    context, server_side=False, server_name=ask.server_name, leftover=ask.leftover
                )
            except WireClosed as exc:
                raise UpstreamFailed(f"{pump.session.target.name}: {exc}") from None
        return self._tls_done(ask, wire)

    def _tls_done(self, ask: StartTls, wire: Wire) -> TlsDone:
        tls = wire.tls
        assert tls is not None
        alpn = tls.selected_alpn_protocol() or ""
        if ask.alpn_required and alpn not in ask.alpn:
            raise RemoteProtocolError(f"TLS without the protocol name {' or '.join(ask.alpn)} (ALPN)")
        if ask.side is CLIENT:
            return TlsDone(alpn, self._pump.door.server_binding(), tls.getpeercert(binary_form=True) or b"")
        der = tls.getpeercert(binary_form=True) or b""
        return TlsDone(alpn, channel_binding(der) if der else b"", der)
