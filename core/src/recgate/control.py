"""`data_dir/control.sock`: how the gateway's own machine reaches what is live: list, watch, kill, reload.

Newline-delimited JSON. One request a connection: {"do": "sessions" | "listeners" | "watch" | "kill" | "reload" |
"requests" | "rotate" | "unseal", …};
answers are JSON lines, the last of which has "done" or "error". Only root and the gateway's own user are heard (peer
credentials), and what they do is audited as `local:<uid>`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, cast

import structlog
import trio

from recgate.errors import (
    AccessDenied,
    AuthenticationFailed,
    ConfigurationError,
    LedgerDamaged,
    PluginError,
    RecgateError,
    RecordingFailed,
)
from recgate.httpauth import Problem
from recgate.keys.rotation import RotatedKey
from recgate.ledger.acts import Actor, Words
from recgate.model import BearerEvidence, ConnectionInfo, Principal, Secret
from recgate.permits import PERMITS_FILE, Permits, Wanted
from recgate.policy.approving import Caller, Desk
from recgate.recording.unsealing import Permit
from recgate.sansio.asks import Denied
from recgate.sansio.frames import Frame
from recgate.session import Session
from recgate.signin import SignIn

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["ControlSocket"]

MAX_REQUEST: Final = 64 * 1024  # bytes of a request line
REQUEST_TIMEOUT: Final = 10.0  # seconds to send it
WATCH_QUEUE: Final = 2_000  # frames a watcher may lag behind before it is cut off

log = structlog.get_logger("recgate.control")


class ControlSocket:
    """Serves the socket until cancelled, then removes it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._path = gateway.config.data_dir / "control.sock"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, say so, and serve. Raises `OSError` when the socket cannot be made."""
        self._path.unlink(missing_ok=True)  # the data directory is locked: nobody else serves it
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            before = os.umask(0o177)
            try:
                await listener.bind(str(self._path))
            finally:
                os.umask(before)
            listener.listen(16)
            task_status.started()
            try:
                await trio.serve_listeners(self._connection, [trio.SocketListener(listener)])
            finally:
                self._path.unlink(missing_ok=True)

    async def _connection(self, stream: trio.SocketStream) -> None:
        """Serve one request. Whatever goes wrong with it, or whoever leaves within it, ends no session (law 7)."""
        async with stream:
            try:
                await self._serve(stream)
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # whoever asked is gone; while watching, that is found in two tasks at once
            except* Exception as broken:
                log.error("control.failed", exc_info=broken)

    async def _serve(self, stream: trio.SocketStream) -> None:
        raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", raw)
        if uid not in (0, os.geteuid()):
            await _say(stream, {"error": "only root and the gateway's own user may use the control socket"})
            return
        request = None
        with trio.move_on_after(REQUEST_TIMEOUT):
            request = await _read_request(stream)
        if request is None:
            await _say(stream, {"error": 'expected one line of JSON with a key "do"'})
            return
        await self._do(stream, request, f"local:{uid}")

    async def _do(self, stream: trio.SocketStream, request: Mapping[str, object], who: str) -> None:
        word = request.get("do")
        if word == "sessions":
            for session in tuple(self._gateway.live.values()):
                await _say(stream, _row(session))
            await _say(stream, {"done": True})
        elif word == "listeners":
            for bound in self._gateway.bound:
                await _say(stream, asdict(bound))
            await _say(stream, {"done": True})
        elif word == "kill":
            await self._kill(stream, request, who)
        elif word == "reload":
            await self._reload(stream, who)
        elif word == "rotate":
            await self._rotate(stream, request, who)
        elif word == "watch":
            await self._watch(stream, request, who)
        elif word == "requests":
            await self._requests(stream, request, who)
        elif word == "unseal":
            await self._unseal(stream, request, who)
        else:
            known = "sessions, listeners, watch, kill, reload, requests, rotate, unseal"
            await _say(stream, {"error": f"unknown request {word!r}: {known}"})

    async def _requests(self, stream: trio.SocketStream, request: Mapping[str, object], who: str) -> None:
        """Call on the desk of approvals. Whoever decides is the one whom a token proves, never the owner of a file."""
        try:
            rows = await self._called(request, who)
        except RecgateError as exc:
            no = isinstance(exc, Problem) and exc.status in (403, 404, 409)
            await _say(stream, {"error": str(exc), "no": no})
            return
        for row in rows:
            await _say(stream, row)
        await _say(stream, {"done": True})

    async def _called(self, request: Mapping[str, object], who: str) -> Sequence[Mapping[str, object]]:
        desk = self._gateway.approver
        if not isinstance(desk, Desk):
            raise RecgateError("this gateway asks nobody for approvals: install `recgate-approvals`")
        principal = await self._principal(request, who)
        asked = {key: value for key, value in request.items() if key not in ("do", "token")}
        return await desk.call(Caller(principal.name if principal else who, principal, who), asked)

    async def _principal(self, request: Mapping[str, object], who: str) -> Principal | None:
        """Say whom the token in a request proves; None without one. Raises `RecgateError`."""
        token = request.get("token")
        if not isinstance(token, str) or not token:
            return None
        connection = ConnectionInfo("control", "control.sock", f"{who}:0", loopback=True)
        try:
            evidence = BearerEvidence(Secret(token))
            return (await SignIn(self._gateway, connection).login("", evidence)).principal
        except AuthenticationFailed as exc:
            raise RecgateError(exc.tell or "the token in RECGATE_TOKEN is not good any more") from None

    async def _unseal(self, stream: trio.SocketStream, request: Mapping[str, object], who: str) -> None:
        """Permit somebody to open their share of originals: whom a token proves, never the owner of a file."""
        try:
            principal = await self._principal(request, who)
            if principal is None:
                raise AccessDenied(
                    "unsealing is done in somebody's name: set RECGATE_TOKEN to a token of yours"
                )
            permit = await self._permitted(principal, Wanted.read(request))
        except RecgateError as exc:
            await _say(stream, {"error": str(exc), "no": isinstance(exc, AccessDenied)})
            return
        await _say(stream, {"permit": base64.b64encode(permit.pack()).decode()})
        await _say(stream, {"done": True})

    async def _permitted(self, principal: Principal, wanted: Wanted) -> Permit:
        gateway = self._gateway
        plan = gateway.recording.plan
        if plan.permits is None or plan.ledger is None:
            raise RecgateError("this gateway keeps no originals: name people in recording.originals")
        place = gateway.config.data_dir / PERMITS_FILE
        permits = Permits(place, gateway.recording.store, plan.permits, plan.ledger)
        about = wanted.facts()

        def tell(segment: int, holder: str) -> None:
            gateway.audit.emit(
                "originals.permitted", **about, segment=segment, holder=holder, by=principal.name
            )

        def tell_from_there(segment: int, holder: str) -> None:
            trio.from_thread.run_sync(tell, segment, holder)

        return await trio.to_thread.run_sync(permits.give, principal, wanted, tell_from_there)

    async def _kill(self, stream: trio.SocketStream, request: Mapping[str, object], who: str) -> None:
        session = self._gateway.find(str(request.get("session", "")))
        if session is None:
            await _say(stream, {"error": "no such live session, or several begin like that"})
            return
        reason = str(request.get("reason") or "ended by an administrator")[:500]
        self._gateway.tell(Words.of("session.killed", session=session.id, by=who, reason=reason), _actor(who))
        # What can no longer be recorded must still be ended: the audit trail and the reason of the end say who did.
        with contextlib.suppress(RecordingFailed):
            session.record("note", {"text": "killed", "by": who, "reason": reason})
        session.end(Denied(reason, "killed", session.id))
        await _say(stream, {"done": True, "session": session.id})

    async def _reload(self, stream: trio.SocketStream, who: str) -> None:
        try:
            self._gateway.reload(_actor(who))
        except (ConfigurationError, PluginError) as exc:
            self._gateway.audit.emit("configuration.refused", by=who, reason=str(exc))
            await _say(stream, {"error": str(exc)})
            return
        await _say(stream, {"done": True, "configuration": self._gateway.config.digest})

    async def _rotate(self, stream: trio.SocketStream, request: Mapping[str, object], who: str) -> None:
        try:
            what = RotatedKey(str(request.get("key")))
        except ValueError:
            await _say(stream, {"error": f"only these change while sessions run: {', '.join(RotatedKey)}"})
            return
        try:
            old, new = await self._gateway.rotate(what, who)
        except (ConfigurationError, RecordingFailed, LedgerDamaged) as exc:
            await _say(stream, {"error": str(exc)})
            return
        await _say(stream, {"key": what, "old": old, "new": new})
        await _say(stream, {"done": True})

    async def _watch(self, stream: trio.SocketStream, request: Mapping[str, object], who: str) -> None:
        session = self._gateway.find(str(request.get("session", "")))
        if session is None:
            await _say(stream, {"error": "no such live session, or several begin like that"})
            return
        try:
            entry = await trio.to_thread.run_sync(self._gateway.acts.viewed, session.id, "watch", _actor(who))
        except (RecordingFailed, LedgerDamaged) as exc:
            await _say(stream, {"error": f"{exc} Nothing is shown that cannot be put on record."})
            return
        if session.id not in self._gateway.live:
            await _say(stream, {"error": "the session has just ended; see `recgate show`"})
            return
        self._gateway.audit.emit("session.watched", session=session.id, by=who, entry=entry)
        send, receive = trio.open_memory_channel[dict[str, object]](WATCH_QUEUE)

        def look(seq: int, t: int, frame: Frame) -> None:
            try:
                send.send_nowait(_frame(seq, t, frame))
            except trio.WouldBlock:
                stop()  # too slow to watch live: the recording has everything
                send.close()

        stop = session.watch(look)
        session.on_finish(send.close)
        try:
            await _say(stream, _row(session))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, stream, nursery.cancel_scope)
                async for line in receive:
                    await _say(stream, line)
                nursery.cancel_scope.cancel()
            await _say(stream, {"done": True})
        finally:
            stop()


def _actor(who: str) -> Actor:
    return Actor.local(int(who.rpartition(":")[2]))


async def _until_gone(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    while await stream.receive_some(1024):
        pass
    scope.cancel()


async def _read_request(stream: trio.SocketStream) -> Mapping[str, object] | None:
    data = b""
    while not data.endswith(b"\n"):
        more = await stream.receive_some(4096)
        if not more or len(data) > MAX_REQUEST:
            return None
        data += more
    try:
        request: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, object]", request) if isinstance(request, dict) else None


async def _say(stream: trio.SocketStream, line: Mapping[str, object]) -> None:
    await stream.send_all(json.dumps(line).encode() + b"\n")


def _row(session: Session) -> dict[str, object]:
    return {
        "session": session.id,
        "user": session.principal.name,
        "target": session.target.name,
        "protocol": session.target.protocol,
        "source": session.connection.peer,
        "started": session.started,
        "requests": session.requests,
        "approved": list(session.grant.by) if session.grant is not None else [],
    }


def _frame(seq: int, t: int, frame: Frame) -> dict[str, object]:
    return {
        "seq": seq,
        "t": t,
        "side": int(frame.side),
        "channel": frame.channel,
        "kind": frame.kind,
        "data": base64.b64encode(frame.data).decode(),
    }
