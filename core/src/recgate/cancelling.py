"""Bring a cancel key to the session it belongs to, and that session's cancel to its target.

Possession of the key is the proof, so keys are compared in constant time against every candidate, and wrong ones
make an address wait. Whatever happens, the asker hears nothing (PostgreSQL protocol 55.2.8).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, cast

import trio

from recgate.errors import RecgateError, RemoteProtocolError
from recgate.sansio.asks import NEED_DATA, Denied, PeerClosed, StartTls, TlsDone
from recgate.sansio.frames import UPSTREAM
from recgate.sansio.relay import Cancellable, Relay
from recgate.session import Session
from recgate.tls import channel_binding
from recgate.upstreamtls import upstream_context
from recgate.wire import Wire, WireClosed

if TYPE_CHECKING:
    from recgate.door import Door

__all__ = ["cancel_upstream", "deliver_cancel"]

WITHDRAWN: Final = "cancelled by the client while it waited for approval"
DEADLINE: Final = 10.0  # seconds for dial, TLS and the target's silent close


async def deliver_cancel(door: Door, key: bytes) -> None:
    """Cancel what the session with this key is running, if there is one. Says nothing either way."""
    gateway, host = door.gateway, door.connection.peer_host
    if gateway.cancel_guard.wait(host, "", trio.current_time()) > 0:
        gateway.audit.emit("cancel.throttled", protocol=door.connection.protocol, source=door.connection.peer)
        return
    found = _find(list(gateway.live.values()), door.connection.protocol, key)
    if found is None:
        gateway.cancel_guard.failed(host, "", trio.current_time())
        gateway.audit.emit("cancel.unknown", protocol=door.connection.protocol, source=door.connection.peer)
        return
    gateway.audit.emit("cancel.delivered", session=found.id, source=door.connection.peer)
    found.record("note", {"text": "cancel requested", "source": door.connection.peer})
    if found.withdraw(WITHDRAWN):
        return  # what was to be cancelled waits here, and the target knows nothing of it
    await cancel_upstream(door, found)


async def cancel_upstream(door: Door, session: Session) -> None:
    """Ask a session's target to stop what it does. Raises nothing: whether it heard, its answers show."""
    if not hasattr(session.relay, "canceller"):
        return
    with trio.move_on_after(DEADLINE):
        try:
            await _play(session, Wire(await door.dial_for(session.target)))
        except (RecgateError, WireClosed) as exc:
            door.gateway.audit.emit("cancel.failed", session=session.id, reason=str(exc))


def _find(sessions: list[Session], protocol: str, key: bytes) -> Session | None:
    found: Session | None = None
    for session in sessions:
        relay = session.relay
        if session.connection.protocol != protocol or not hasattr(relay, "cancel_key"):
            continue
        candidate = cast("Cancellable", relay).cancel_key
        # No early exit: how long the search takes says nothing about which key came close.
        if candidate and hmac.compare_digest(candidate, key):
            found = session
    return found


async def _play(session: Session, wire: Wire) -> None:
    relay = cast("Cancellable", session.relay).canceller()
    try:
        while True:
            chunks = relay.data_to_send(UPSTREAM)
            if chunks and not wire.send_now(chunks):
                await wire.drain()
            event = relay.next_event(UPSTREAM)
            if event is NEED_DATA:
                relay.receive_data(UPSTREAM, await wire.receive())
            elif isinstance(event, StartTls):
                await _start_tls(relay, event, session, wire)
            elif isinstance(event, PeerClosed):
                return
            else:
                raise RemoteProtocolError("a canceller has neither frames nor asks but TLS")
    finally:
        wire.close()


async def _start_tls(relay: Relay, ask: StartTls, session: Session, wire: Wire) -> None:
    if ask.leftover:
        relay.answer(ask, Denied("plaintext behind the request for TLS", "tls"))
        raise RemoteProtocolError("plaintext behind the request for TLS")
    await wire.start_tls(upstream_context(session), server_side=False, server_name=ask.server_name)
    tls = wire.tls
    assert tls is not None
    der = tls.getpeercert(binary_form=True) or b""
    relay.answer(ask, TlsDone("", channel_binding(der) if der else b"", der))
