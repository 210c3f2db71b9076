"""A gateway of two hundred lines for these tests: blocking sockets, one thread a connection, the relay as it is.

It keeps the contract that the core keeps (ask, decide, record, send), without trio, so that a failure here is the
relay's. What the core adds is tested with the core.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cbor2

from recgate.decisions import ALLOW, Decision, Effect
from recgate.errors import AccessDenied, RemoteProtocolError
from recgate.mask import Masking
from recgate.model import (
    ConnectionInfo,
    Credential,
    PasswordEvidence,
    Principal,
    ScramEvidence,
    ScramKeys,
    TargetInfo,
)
from recgate.recording.frames import RecordedFrame
from recgate.sansio.asks import (
    NEED_DATA,
    PAUSED,
    Ask,
    Cancel,
    Denied,
    LoggedIn,
    Login,
    PeerClosed,
    Reply,
    Route,
    Routed,
    ScramLookedUp,
    ScramLookup,
    StartTls,
    Survey,
    Surveyed,
    TlsDone,
)
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame, Request, Side
from recgate.sansio.relay import Relay
from recgate.sansio.surveys import Findings
from recgate.tls import channel_binding, client_context
from recgate_postgres.options import PostgresListener, PostgresTarget
from recgate_postgres.origin.tracing import trace
from recgate_postgres.relay import PostgresRelay

__all__ = ["TOKEN", "Gate", "Seen", "Surveying"]

TOKEN = "rg_token-of-alice"
SESSION = "01890000-0000-7000-8000-000000000001"
SALT, ITERATIONS = b"0123456789abcdef", 4_096


class Surveying(Findings, Protocol):
    """Findings, and what the core does besides when a relay asks for some."""

    def survey(self, subject: str) -> Surveyed:
        """Read them."""
        ...


class _Wire:
    """A socket, with TLS on memory buffers once it is asked for."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.tls: ssl.SSLObject | None = None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()

    def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool, name: str = "", leftover: bytes = b""
    ) -> None:
        tls = context.wrap_bio(self._in, self._out, server_side, name or None)
        self._in.write(leftover)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self._out.read())
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("closed in the handshake") from None
                self._in.write(data)
            except ssl.SSLError:
                self.socket.sendall(self._out.read())
                raise
        self.socket.sendall(self._out.read())
        self.tls = tls

    def read(self) -> bytes | None:
        """Read once; None when TLS has nothing whole yet."""
        try:
            data = self.socket.recv(262144)
        except ConnectionResetError:
            return b""
        if self.tls is None or not data:
            return data
        self._in.write(data)
        return self.decrypted()

    def decrypted(self) -> bytes | None:
        """Give what TLS has whole; it may have come together with the end of the handshake."""
        assert self.tls is not None
        plain = b""
        while True:
            try:
                part = self.tls.read(262144)
            except ssl.SSLWantReadError:
                return plain or None
            except ssl.SSLZeroReturnError:
                return plain
            if not part:
                return plain
            plain += part

    def write(self, chunks: list[bytes]) -> None:
        data = b"".join(chunks)
        if self.tls is not None:
            self.tls.write(data)
            data = self._out.read()
        self.socket.sendall(data)


@dataclass
class Seen:
    """What happened on one connection."""

    frames: list[RecordedFrame] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    error: RemoteProtocolError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def wire(self, side: Side) -> bytes:
        """The recorded bytes of one side."""
        return b"".join(frame.data for frame in self.frames if frame.side == side and frame.kind in "FB")


class Gate:
    """Listens on a free port in front of one target. `decide` is the policy; `seen` holds every connection."""

    def __init__(
        self,
        target: TargetInfo,
        credential: Credential,
        *,
        auth: str = "password",
        tls_mode: str = "allow",
        certificate: tuple[Path, Path] | None = None,
        loopback: bool = True,
        decide: Callable[[Request], Decision] = lambda request: ALLOW,
        chunk: int = 0,
        masking: Masking | None = None,
        findings: Surveying | None = None,
    ) -> None:
        assert isinstance(target.options, PostgresTarget)
        self.target, self.credential = target, credential
        self.options = target.options
        self.listener = PostgresListener.model_validate({"auth": auth})
        self.connection = ConnectionInfo(
            "postgres", "test", "127.0.0.1:1", tls_mode=tls_mode, loopback=loopback
        )
        self.certificate = certificate
        self.decide = decide
        self.chunk = chunk
        self.masking = masking
        self.findings = findings
        self.seen: list[Seen] = []
        self.live: list[PostgresRelay] = []
        self.cancelled = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what it accepts
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.failures: list[BaseException] = []

    def __enter__(self) -> Gate:
        self._threads.append(threading.Thread(target=self._accept, daemon=True))
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for sock in self._open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        if kind is None:
            assert not self.failures, self.failures

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(client)
            seen = Seen()
            self.seen.append(seen)
            thread = threading.Thread(target=self._serve, args=(client, seen), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, seen: Seen) -> None:
        connection = _Connection(self, _Wire(client), seen)
        try:
            connection.run()
        except (OSError, ssl.SSLError):
            pass  # a client that goes is no failure
        except BaseException as exc:  # noqa: BLE001 - shown by the test that owns the gate
            self.failures.append(exc)
        finally:
            connection.close()
            seen.done.set()

    def dial(self) -> socket.socket:
        sock = socket.create_connection((self.target.host, self.target.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.append(sock)
        return sock

    def start_tls(self, wire: _Wire, ask: StartTls) -> TlsDone:
        if ask.side is CLIENT:
            assert self.certificate is not None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            if ask.alpn:
                context.set_alpn_protocols(list(ask.alpn))
            wire.start_tls(context, server_side=True, leftover=ask.leftover)
            der = ssl.PEM_cert_to_DER_cert(self.certificate[0].read_text())
        else:
            context = client_context(self.options.tls, ca=self.options.ca, credential=self.credential)
            assert context is not None
            wire.start_tls(context, server_side=False, name=ask.server_name)
            assert wire.tls is not None
            der = wire.tls.getpeercert(binary_form=True) or b""
        assert wire.tls is not None
        alpn = wire.tls.selected_alpn_protocol() or ""
        if ask.alpn_required and alpn not in ask.alpn:
            raise ConnectionError("no such ALPN")
        return TlsDone(alpn, channel_binding(der), der)

    def cancel(self, key: bytes) -> None:
        """Do as the core does: find the session, drive its canceller over a fresh connection."""
        for relay in list(self.live):
            if hmac.compare_digest(relay.cancel_key, key) and key:
                self.cancelled += 1
                canceller, wire = relay.canceller(), _Wire(self.dial())
                _drive_cancel(self, canceller, wire)
                wire.socket.close()


def _drive_cancel(gate: Gate, relay: Relay, wire: _Wire) -> None:
    while True:
        if chunks := list(relay.data_to_send(UPSTREAM)):
            wire.write(chunks)
        event = relay.next_event(UPSTREAM)
        if isinstance(event, StartTls):
            relay.answer(event, gate.start_tls(wire, event))
        elif isinstance(event, PeerClosed):
            return
        elif event is NEED_DATA and not relay.data_to_send(UPSTREAM):
            data = wire.read()
            if data is not None:
                relay.receive_data(UPSTREAM, data)


class _Connection:
    def __init__(self, gate: Gate, client: _Wire, seen: Seen) -> None:
        self.gate, self.seen = gate, seen
        self.wires: dict[Side, _Wire] = {CLIENT: client}
        self.relay = PostgresRelay(gate.listener, gate.connection, secrets.token_bytes, trace=trace)
        self.open: set[Side] = {CLIENT}
        self.started = time.monotonic()
        self.over = False

    def close(self) -> None:
        if self.relay in self.gate.live:
            self.gate.live.remove(self.relay)
        for wire in self.wires.values():
            wire.socket.close()

    def run(self) -> None:
        try:
            while not self.over:
                self._settle()
                if self.over or not self.open:
                    return
                self._read()
        except RemoteProtocolError as exc:
            self.seen.error = exc
            self._farewell(Denied(str(exc), exc.hint or "protocol", SESSION))

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for side in self.open:
                if not (side is CLIENT and self.paused):
                    selector.register(self.wires[side].socket, selectors.EVENT_READ, side)
            for key, _ in selector.select(60):
                data = self.wires[key.data].read()
                if data is not None:
                    self._feed(key.data, data)

    def _feed(self, side: Side, data: bytes) -> None:
        size = self.gate.chunk or len(data) or 1
        for at in range(0, len(data) or 1, size):
            self.relay.receive_data(side, data[at : at + size])
            if at + size < len(data):
                self._settle()

    def _settle(self) -> None:
        """Take events of both sides until neither has more."""
        self.paused = False
        quiet: set[Side] = set()
        while not self.over and not quiet >= set(self.wires):
            for side in tuple(self.wires):
                event = self.relay.next_event(side)
                if event is NEED_DATA or event is PAUSED:
                    quiet.add(side)
                    if side is CLIENT:
                        self.paused = event is PAUSED
                else:
                    quiet.clear()
                    self._event(event)
                self._flush()

    def _flush(self) -> None:
        for side, wire in self.wires.items():
            chunks = list(self.relay.data_to_send(side))
            if chunks:
                wire.write(chunks)

    def _event(self, event: object) -> None:
        if isinstance(event, Frame):
            frames = [event]
            if event.request is not None:
                request = event.request
                kept = Request(request.kind, request.text, request.channel, dict(request.details))
                self.seen.requests.append(kept)
                decision = self._decide(request)
                if decision.effect is Effect.DENY:
                    body = {"kind": kept.kind, "text": kept.text, "effect": "deny"}
                    self._record(
                        2, "decision", cbor2.dumps({**body, "rule": decision.rule, "reason": decision.reason})
                    )
                    frames = list(self.relay.refuse(event, decision))
            for frame in frames:
                self._record(frame.side, frame.kind, frame.data)
                self.relay.send(frame)
        elif isinstance(event, PeerClosed):
            self.open.discard(event.side)
            other = UPSTREAM if event.side is CLIENT else CLIENT
            if other not in self.wires:
                self.over = True
            else:
                self.wires[other].socket.shutdown(socket.SHUT_WR)
        elif isinstance(event, Cancel):
            self.gate.cancel(event.key)
            self.over = True
        else:
            self.seen.asks.append(event)  # type: ignore[arg-type]
            self._answer(event)  # type: ignore[arg-type]

    def _decide(self, request: Request) -> Decision:
        try:
            return self.gate.decide(request)
        except AccessDenied as exc:
            return Decision.deny(str(exc))

    def _record(self, side: int, kind: str, data: bytes) -> None:
        t = int((time.monotonic() - self.started) * 1e6)
        self.seen.frames.append(RecordedFrame(len(self.seen.frames), t, 0, int(side), kind, data))

    def _answer(self, ask: Ask) -> None:
        self._flush()
        reply = self._reply(ask)
        self.relay.answer(ask, reply)
        if isinstance(reply, Denied):
            self._farewell(reply)
        elif isinstance(ask, StartTls) and (early := self.wires[ask.side].decrypted()) is not None:
            self.relay.receive_data(ask.side, early)

    def _reply(self, ask: Ask) -> Reply:
        if isinstance(ask, StartTls):
            return self.gate.start_tls(self.wires[ask.side], ask)
        if isinstance(ask, ScramLookup):
            return ScramLookedUp(_scram_keys())
        if isinstance(ask, Login):
            proof = ask.evidence
            right = isinstance(proof, ScramEvidence) and proof.credential_id == "alice-token"
            right = right or (
                isinstance(proof, PasswordEvidence) and proof.password.reveal() == TOKEN.encode()
            )
            if not right:
                return Denied("authentication failed", "authentication")
            return LoggedIn(Principal("local", "1", "alice"), ask.name.rpartition("+")[2])
        if isinstance(ask, Survey):
            assert self.gate.findings is not None
            return self.gate.findings.survey(ask.subject)
        assert isinstance(ask, Route)
        if ask.target != self.gate.target.name:
            return Denied(f'no postgres target "{ask.target}" is open to you', "access")
        self.wires[UPSTREAM] = _Wire(self.gate.dial())
        self.open.add(UPSTREAM)
        self.gate.live.append(self.relay)
        return Routed(self.gate.target, self.gate.credential, SESSION, self.gate.masking, self.gate.findings)

    def _farewell(self, denied: Denied) -> None:
        self.over = True
        words = self.relay.farewell(denied)
        if isinstance(words, Frame):
            self._record(GATEWAY, words.kind, words.data)
            words = words.data
        if words:
            self.wires[CLIENT].write([words])
            self.wires[CLIENT].socket.shutdown(socket.SHUT_WR)


def _scram_keys() -> ScramKeys:
    salted = hashlib.pbkdf2_hmac("sha256", TOKEN.encode(), SALT, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    decoy = ("other-token", b"\0" * 32, b"\0" * 32)
    return ScramKeys(SALT, ITERATIONS, secrets.token_urlsafe(18), (decoy, ("alice-token", stored, server)))
