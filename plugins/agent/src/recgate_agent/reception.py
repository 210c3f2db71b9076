"""The routes that agents come by: enrolment, the control connection, and one connection for each stream.

Whoever is turned away hears little; the audit event `agent.refused` has the reason.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

import structlog
import trio

from recgate.carrying import AcceptedMessages, Parted
from recgate.errors import RecgateError, RemoteProtocolError
from recgate.guard import LoginGuard
from recgate.httpauth import Problem, Receive, Scope, Send, answer_json, connection_of, read_body
from recgate.model import TARGET_NAME
from recgate_agent.bridge import Bridge
from recgate_agent.messages import MAX_MESSAGE, REFUSED, WELCOME, Challenge, Failed, Proof
from recgate_agent.online import MAX_WAITING, Control
from recgate_agent.proof import (
    CONTROL,
    ENROLL,
    KEY,
    NONCE,
    SIGNATURE,
    STREAM,
    decoded,
    looks_like_token,
    proves,
    token_hash,
)
from recgate_agent.roster import Enrolled, NotGood, RosterFailed

if TYPE_CHECKING:
    from recgate.gateway import Gateway
    from recgate_agent.online import Online

__all__ = ["Reception"]

PROVE: Final = 10.0  # seconds for an agent to prove who it is
PARTING: Final = 2.0  # seconds to close a control connection in order
MAX_BODY: Final = 4 << 10  # bytes of an enrolment
UNAVAILABLE: Final = 1011
TOO_BIG: Final = 1009
WRONG: Final = 1002

log = structlog.get_logger("recgate.agent")

_BEARER: Final = re.compile(r"Bearer +([!-~]{1,200})\Z", re.IGNORECASE)
_AGENT: Final = re.compile(r"Recgate-Agent +([!-~]{1,63}):([!-~]{1,100})\Z")
_STREAM: Final = re.compile(r"/stream/([A-Za-z0-9_-]{43})\Z")


class Reception:
    """The ASGI application below `prefix`."""

    def __init__(self, online: Online, prefix: str) -> None:
        self._online = online
        self._prefix = prefix
        # For tokens, as everywhere for what is typed; signatures are not guessed, and one agent that sends wrong ones
        # must not shut out those that share its address. The guard of people's logins knows nothing of either.
        self._guard = LoginGuard()

    @property
    def _gateway(self) -> Gateway:
        return self._online.gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises `Problem` before anything has begun."""
        path = str(scope["path"]).removeprefix(self._prefix)
        stream = _STREAM.match(path)
        if path == "/enroll":
            await self._enroll(scope, receive, send)
        elif path == "/control":
            await self._control(scope, receive, send)
        elif stream is not None:
            await self._stream(scope, receive, send, stream[1])
        else:
            raise Problem(404, "there is nothing at this address")

    # -- saying no ---------------------------------------------------------------------------------------

    def _heard(self, scope: Scope) -> None:
        """Raise unless this address is heard now."""
        wait = self._guard.wait(connection_of(scope).peer_host, "", trio.current_time())
        if wait > 0:
            again = {"retry-after": str(math.ceil(wait))}
            raise Problem(
                429, f"too many failures from this address: try again in {wait:.0f} s", headers=again
            )

    def _refused(self, scope: Scope, agent: str, reason: str) -> None:
        """Say in the audit trail who was turned away, and why. What was not proven is named as claimed."""
        source = connection_of(scope).peer
        self._gateway.audit.emit("agent.refused", agent=agent, source=source, reason=reason[:500])

    def _no_token(self, scope: Scope, reason: str) -> Problem:
        self._guard.failed(connection_of(scope).peer_host, "", trio.current_time())
        self._refused(scope, "", reason)
        return Problem(
            401,
            "this one-time token is not good, or not any more: `recgate agent issue` on the gateway makes another",
            headers={"www-authenticate": 'Bearer realm="recgate agents"'},
        )

    def _unavailable(self, scope: Scope, exc: RosterFailed) -> Problem:
        self._refused(scope, "", str(exc))
        return Problem(503, "the gateway cannot read its list of agents; its audit trail says why")

    # -- enrolment ---------------------------------------------------------------------------------------

    async def _enroll(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("method") != "POST":
            raise Problem(405, "POST a key here", headers={"allow": "POST"})
        self._heard(scope)
        found = _BEARER.match(_authorization(scope))
        if found is None or not looks_like_token(found[1]):
            raise self._no_token(scope, "no one-time token")
        token = found[1]
        key, proof = _key_and_proof(await read_body(receive, MAX_BODY))
        try:
            row, leads = await self._used(scope, token, key, proof)
        except NotGood as exc:
            raise self._no_token(scope, str(exc)) from None
        except RosterFailed as exc:
            raise self._unavailable(scope, exc) from None
        _admitted(scope)
        gateway = self._gateway.config.gateway.name
        self._gateway.audit.emit(
            "agent.enrolled", agent=row.name, source=connection_of(scope).peer, targets=sorted(leads)
        )
        await answer_json(send, 200, {"gateway": gateway, "agent": row.name, "targets": leads})

    async def _used(
        self, scope: Scope, token: str, key: bytes, proof: bytes
    ) -> tuple[Enrolled, dict[str, str]]:
        """Use a token up for a key whose possession is proven; gives the agent, and where its targets are."""
        roster, source = self._online.roster, connection_of(scope).peer
        # Looked at first, so that who cannot prove the key, or comes for nothing, leaves the token as it was.
        invitation = await trio.to_thread.run_sync(roster.invitation, token, time.time())
        if not proves(key, proof, ENROLL, "", "", token_hash(token)):
            raise NotGood(f"the key that came with the token for {invitation.name} was not proven")
        leads = self._addresses(invitation.targets)
        if not leads:
            raise NotGood(f"no target of {invitation.name} is reached `via: agent` any more")
        row = await trio.to_thread.run_sync(roster.enroll, token, key, source, time.time())
        return row, leads

    def _addresses(self, names: Iterable[str]) -> dict[str, str]:
        targets = self._gateway.config.targets
        found = [
            targets[name].info for name in names if name in targets and targets[name].info.via == "agent"
        ]
        return {info.name: _address(info.host, info.port) for info in found}

    # -- the control connection --------------------------------------------------------------------------

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise Problem(426, "agents come by WebSocket: `recgate agent`", headers={"upgrade": "websocket"})
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "headers": []})
        messages = AcceptedMessages(receive, send)
        code, why = UNAVAILABLE, "the gateway stops"
        try:
            row = await self._proven(scope, messages)
            code, why = await self._serve(scope, messages, row)
        except _TurnedAway as away:
            code, why = away.code, str(away)
        except Parted:
            return
        with trio.move_on_after(PARTING):
            await messages.close(code, why)
        _drop(scope)()

    async def _proven(self, scope: Scope, messages: AcceptedMessages) -> Enrolled:
        """Have the agent sign a nonce that is good for this connection alone. Raises `_TurnedAway`, `Parted`."""
        gateway, nonce = self._gateway.config.gateway.name, secrets.token_bytes(NONCE)
        proof: Proof | None = None
        try:
            with trio.move_on_after(PROVE):
                await messages.send(Challenge(gateway, nonce).as_bytes())
                proof = Proof.parse(await messages.receive())
        except RemoteProtocolError as exc:
            self._refused(scope, "", str(exc))
            raise _TurnedAway(WRONG, str(exc)) from None
        if proof is None:
            self._refused(scope, "", f"it did not prove who it is within {PROVE:.0f} s")
            raise _TurnedAway(UNAVAILABLE, "too slow")
        try:
            row = await self._online.current(proof.agent)
        except RosterFailed as exc:
            self._refused(scope, proof.agent, str(exc))
            raise _TurnedAway(UNAVAILABLE, "the gateway cannot read its list of agents") from None
        if row is None:
            self._refused(scope, proof.agent, "no such agent, or it was revoked")
            raise _TurnedAway(REFUSED, "this agent is not known, or was revoked: enrol it again")
        if not proves(row.key, proof.signature, CONTROL, gateway, row.name, nonce):
            self._refused(scope, proof.agent, "the signature is not its key's over this connection's nonce")
            raise _TurnedAway(REFUSED, "this agent is not known, or was revoked: enrol it again")
        return row

    async def _serve(self, scope: Scope, messages: AcceptedMessages, row: Enrolled) -> tuple[int, str]:
        """Send orders and hear answers until either side ends it; gives the close code and the reason."""
        _admitted(scope)
        send, orders = trio.open_memory_channel[bytes](MAX_WAITING)
        connection, audit = connection_of(scope), self._gateway.audit
        control = Control(row, send, trio.CancelScope())
        self._online.joined(control)
        audit.emit("agent.connected", agent=row.name, source=connection.peer, targets=list(row.targets))
        why = "the connection broke"
        try:
            async with trio.open_nursery() as outer:
                outer.start_soon(_drop_late, control.ending, _drop(scope))
                with control.scope:
                    await messages.send(WELCOME)  # before the first order, which may wait already
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_send_orders, orders, messages)
                        nursery.start_soon(self._note, row.name, connection.peer)
                        why = await self._hear(scope, messages, control)
                        nursery.cancel_scope.cancel()
                outer.cancel_scope.cancel()
            why = control.why or why
        finally:
            self._online.left(control)
            audit.emit("agent.lost", agent=row.name, source=connection.peer, reason=why)
        return control.code, why

    async def _hear(self, scope: Scope, messages: AcceptedMessages, control: Control) -> str:
        """Take what the agent says until it leaves; gives the reason."""
        while True:
            try:
                data = await messages.receive()
            except Parted as parted:
                return f"it closed the connection ({parted.code})"
            try:
                failed = Failed.parse(data)
            except RemoteProtocolError as exc:
                control.code = TOO_BIG if len(data) > MAX_MESSAGE else WRONG
                self._refused(scope, control.row.name, str(exc))
                return str(exc)
            self._online.heard(control.row.name)
            pending = self._online.asked(failed.stream, control.row.name)
            if pending is not None:
                pending.failed(failed.why)

    async def _note(self, name: str, source: str) -> None:
        """Write down when it connected, for `recgate agent ls`; a list that cannot be written is told elsewhere."""
        try:
            await trio.to_thread.run_sync(self._online.roster.connected, name, source, time.time())
        except RosterFailed as exc:
            log.warning("agents.unwritable", agent=name, reason=str(exc))

    # -- one connection ----------------------------------------------------------------------------------

    async def _stream(self, scope: Scope, receive: Receive, send: Send, stream: str) -> None:
        name, signature = _agent_of(scope)
        try:
            row = await self._online.current(name) if name else None
        except RosterFailed as exc:
            raise self._unavailable(scope, exc) from None
        gateway = self._gateway.config.gateway.name
        if row is None or not proves(row.key, signature, STREAM, gateway, name, stream.encode()):
            self._refused(scope, name, "a stream was asked for without an agent's proof")
            raise Problem(401, "no agent proved itself", headers={"www-authenticate": "Recgate-Agent"})
        if scope["type"] != "websocket":
            raise Problem(426, "streams are WebSockets", headers={"upgrade": "websocket"})
        self._online.heard(name)
        pending = self._online.asked(stream, name)
        if pending is None:
            self._refused(scope, name, "it asked for a stream that is over, or was never its own")
            raise Problem(404, "nobody waits for this stream")
        self._online.forget(stream)
        _admitted(scope)
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "headers": []})
        messages = AcceptedMessages(receive, send)
        if pending.over or not self._online.stands(row):
            await messages.close(UNAVAILABLE, "it took too long, or the agent was revoked meanwhile")
            return
        bridge = Bridge(name, pending.target, pending.session, messages, _drop(scope))
        pending.connected(bridge.far)
        await self._online.carry(bridge)


class _TurnedAway(RecgateError):
    """A control connection ends: why, and the close code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


async def _drop_late(ending: trio.Event, drop: Callable[[], None]) -> None:
    """End the connection of an agent that was cut and does not take what is being sent to it."""
    await ending.wait()
    await trio.sleep(PARTING)
    drop()


async def _send_orders(orders: trio.MemoryReceiveChannel[bytes], messages: AcceptedMessages) -> None:
    async for order in orders:
        await messages.send(order)


def _authorization(scope: Scope) -> str:
    headers = cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
    given = [value for name, value in headers if name.lower() == b"authorization"]
    return given[0].decode("latin-1") if len(given) == 1 else ""


def _agent_of(scope: Scope) -> tuple[str, bytes]:
    """Give the name and signature that a stream comes with; empty ones prove nothing."""
    found = _AGENT.match(_authorization(scope))
    if found is None or not TARGET_NAME.match(found[1]):
        return "", b""
    try:
        return found[1], decoded(found[2], SIGNATURE)
    except ValueError:
        return found[1], b""


def _key_and_proof(body: bytes) -> tuple[bytes, bytes]:
    try:
        said: object = json.loads(body)
        fields = cast("dict[str, object]", said) if isinstance(said, dict) else {}
        return decoded(fields.get("key"), KEY), decoded(fields.get("proof"), SIGNATURE)
    except (ValueError, RecursionError):
        raise Problem(400, "send an Ed25519 public key and its proof: `recgate agent enroll` does") from None


def _admitted(scope: Scope) -> None:
    """Tell the listener that somebody known has come in."""
    admitted = cast("dict[str, object]", scope["state"]).get("admitted")
    if callable(admitted):
        admitted()


def _drop(scope: Scope) -> Callable[[], None]:
    """Give the call that ends a connection whose peer takes nothing any more."""
    return cast("Callable[[], None]", cast("dict[str, object]", scope["state"]).get("drop", lambda: None))


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
