"""The relay: entrance, login at the target, and then two walks over headers that share their books.

Pure, like everything it is made of: what is random is passed in, and nothing here waits, logs or opens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from recgate.decisions import UNKEPT, Decision
from recgate.errors import AccessDenied, LocalProtocolError, RemoteProtocolError
from recgate.mask.masking import Masking
from recgate.model import ConnectionInfo, TargetInfo
from recgate.policy.braking import Brake
from recgate.sansio.asks import (
    NEED_DATA,
    PAUSED,
    Ask,
    Cancel,
    Denied,
    Event,
    NeedData,
    Paused,
    PeerClosed,
    Reply,
    Route,
    Routed,
    StartTls,
    Survey,
)
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame, Side
from recgate.sansio.relay import Relay
from recgate.sansio.surveys import Findings
from recgate_postgres import backend, frontend
from recgate_postgres.backend import Backend
from recgate_postgres.braked import BrakedBackend
from recgate_postgres.cancel import CancelRelay, new_cancel_key
from recgate_postgres.encodings import DEFAULT
from recgate_postgres.entrance import Entrance
from recgate_postgres.frontend import Frontend
from recgate_postgres.masked import MASK, MaskedBackend
from recgate_postgres.messages import error_response, message, notice_response
from recgate_postgres.names import Names
from recgate_postgres.options import PostgresListener, PostgresTarget
from recgate_postgres.origin.asking import ANSWER, QUESTION
from recgate_postgres.origin.bearings import Bearings
from recgate_postgres.origin.consulting import Consulting
from recgate_postgres.origin.judging import Judge, Tracer
from recgate_postgres.origin.sights import Sights
from recgate_postgres.origin.tracing import trace
from recgate_postgres.origin.unknown import Unsighted
from recgate_postgres.outbox import Outbox
from recgate_postgres.refusals import ATTEMPT, Refusals, error_text
from recgate_postgres.settings import READ_ONLY
from recgate_postgres.startup import Startup, route_details
from recgate_postgres.target_login import Account, TargetLogin

__all__ = ["PostgresRelay"]

MAX_HELD: Final = 1024 * 1024  # bytes a client may send ahead of its session's start
MAX_APPLICATION_NAME: Final = 63  # the server cuts there
_BIND: Final = 0x42
_WRITABLE: Final = frozenset((READ_ONLY, b"transaction_read_only"))
_RECORDED: Final = frozenset((ANSWER, ATTEMPT, MASK))  # kinds of frames that are for the recording alone
INSUFFICIENT_PRIVILEGE: Final = "42501"

# What a refusal by the core is called in SQLSTATE. A code that is an SQLSTATE already is used as it is.
_SQLSTATES: Final = {
    "authentication": "28P01",
    "access": INSUFFICIENT_PRIVILEGE,
    "cancelled": "57014",
    UNKEPT: INSUFFICIENT_PRIVILEGE,
    "unknown-target": "28000",
    "upstream": "08006",
    "vault": "58000",
    "recording": "58030",
    "tls": "08006",
    "limit": "53300",
    "shutdown": "57P01",
    "killed": "57P01",
    "protocol": "08P01",
}


class PostgresRelay:
    """One connection: `recgate.sansio.Relay`, and `Cancellable`."""

    __slots__ = (
        "_backend",
        "_brake",
        "_braked",
        "_consulting",
        "_database",
        "_entrance",
        "_entropy",
        "_failure",
        "_findings",
        "_frontend",
        "_inside",
        "_login",
        "_masked",
        "_masking",
        "_outbox",
        "_own_key",
        "_read_only",
        "_session_id",
        "_sights",
        "_silent",
        "_target",
        "_trace",
        "_worker",
    )

    def __init__(
        self,
        listener: PostgresListener,
        connection: ConnectionInfo,
        token_bytes: Callable[[int], bytes],
        worker: int = 0,
        trace: Tracer = trace,
        sights: Callable[[TargetInfo], Sights] = Unsighted,
    ) -> None:
        """Make a fresh one. `token_bytes(n)` gives n unguessable bytes; `worker` goes into cancel keys.

        `trace` and `sights` are for masks by origin: what follows a column through a statement, and what says with
        which catalog where the core offers no findings.
        """
        self._trace = trace
        self._sights = sights
        self._outbox = Outbox()
        self._entrance: Entrance | None = Entrance(listener, connection, self._outbox)
        self._login: TargetLogin | None = None
        self._frontend: Frontend | None = None
        self._backend: Backend | MaskedBackend | BrakedBackend | None = None
        self._masking: Masking | None = None
        self._findings: Findings | None = None
        self._consulting: Consulting | None = None  # where something must know what names mean
        self._brake: Brake | None = None
        self._read_only = False
        # What must hear what goes to the target.
        self._masked: MaskedBackend | None = None
        self._braked: BrakedBackend | None = None
        self._entropy = token_bytes
        self._worker = worker
        self._target: TargetInfo | None = None
        self._session_id = self._database = ""
        self._own_key = b""
        self._inside = False  # the client has part of a message, and must get its rest next
        self._silent = False  # a cancel request is not answered
        self._failure: RemoteProtocolError | None = None

    # -- reading ---------------------------------------------------------------------------------------------

    def receive_data(self, side: Side, data: bytes) -> None:
        """Buffer a read; `b""` is EOF."""
        if side is CLIENT:
            if self._frontend is not None:
                self._frontend.receive(data)
                if self._consulting is not None:
                    self._consulting.bearings.heard()
            elif self._entrance is not None:
                self._entrance.reader.feed(data)
        elif self._consulting is not None and self._consulting.listening:
            self._consulting.receive(data)
        elif self._backend is not None:
            self._backend.receive(data)
        elif self._login is not None:
            self._login.reader.feed(data)

    def next_event(self, side: Side) -> Event | NeedData | Paused:
        """Give the next event of `side`. Raises `RemoteProtocolError`, whose hint is an SQLSTATE."""
        if side is CLIENT:
            if self._frontend is not None:
                event = self._frontend.event()
                if event is PAUSED and self._consulting is not None:
                    return self._consulting.paused()
                return event
            return self._before()
        if self._backend is not None:
            if self._backend.starting:
                return self._starting()
            if self._consulting is not None and self._consulting.listening:
                answer = self._consulting.heard(self._backend)
                if answer is not None:
                    return answer
            event = self._backend.event()
            if event.__class__ is PeerClosed and self._frontend is not None:
                self._frontend.stop()
            return event
        return self._logging_in()

    def _before(self) -> Event | NeedData | Paused:
        """The client before its session is open."""
        entrance = self._entrance
        if self._failure is not None:
            raise self._failure
        if entrance is None:
            return NEED_DATA
        if self._backend is not None and self._backend.closed:
            # The target has ended the start-up; what is left is to see the client go.
            entrance.reader.take_all()
            return PeerClosed(CLIENT) if entrance.reader.eof else NEED_DATA
        if len(entrance.reader) > MAX_HELD:
            raise RemoteProtocolError("too much was sent ahead of the session's start", hint="54000")
        event = entrance.event()
        self._silent = self._silent or isinstance(event, Cancel)
        return event

    def _logging_in(self) -> Event | NeedData | Paused:
        login = self._login
        if login is None:
            return NEED_DATA
        step = login.event()
        if step is not None:
            return step
        self._login = None
        startup, target = self._startup, self._target
        assert target is not None
        # The client's key comes at once and from us: when it may cancel is not the target's to say.
        self._own_key = new_cancel_key(startup.minor, self._entropy, self._worker)
        self._outbox.client.append(message(b"K", self._own_key))
        names, refusals = Names(), Refusals(self._entropy(16))
        names.meanings.settings.read_only = self._read_only
        names.waiting.append(None)  # the ReadyForQuery that ends the start-up
        refusals.replication = startup.replication
        walk = Backend(names, refusals)
        self._backend = walk
        if self._findings is not None:
            names.sights = Bearings(self._findings, self._database, names)
            self._consulting = Consulting(names.sights)
        if self._masking is not None:
            if self._masking.columns:
                names.judge = self._judge(names, self._masking, target)
            self._backend = self._masked = MaskedBackend(walk, self._masking, self._session_id)
        if self._brake is not None:
            self._backend = self._braked = BrakedBackend(
                self._backend, self._brake, self._session_id, self._fits
            )
        rest = login.reader.take_all()
        if rest:
            self._backend.receive(rest)
        if login.reader.eof:
            self._backend.receive(b"")
        return self._starting()

    def _judge(self, names: Names, masking: Masking, target: TargetInfo) -> Judge:
        """Make what says which columns each request shows."""
        sights = names.sights if names.sights is not None else self._sights(target)
        return Judge(masking.columns, sights, self._trace, names.meanings.settings, names.opened)

    def _starting(self) -> Event | NeedData | Paused:
        """The target's start-up messages; with the first ReadyForQuery the client's turn comes."""
        backend = self._backend
        assert backend is not None
        event = backend.event()
        if not backend.starting:
            self._open(backend)
        return event

    def _fits(self) -> bool:
        return self._frontend is not None and not self._frontend.inside

    def _open(self, backend: Backend | MaskedBackend | BrakedBackend) -> None:
        entrance, target = self._entrance, self._target
        assert entrance is not None
        assert target is not None
        assert isinstance(target.options, PostgresTarget)
        walk = Frontend(backend.names, backend.refusals, self._session_id, target.options.max_message)
        held = entrance.reader.take_all()
        if held:
            walk.receive(held)
        if entrance.reader.eof:
            walk.receive(b"")
        self._frontend = walk
        self._entrance = None

    @property
    def _startup(self) -> Startup:
        assert self._entrance is not None
        assert self._entrance.startup is not None
        return self._entrance.startup

    # -- answers -----------------------------------------------------------------------------------------------

    def answer(self, ask: Ask, reply: Reply) -> None:
        """End the pause that `ask` began."""
        if isinstance(ask, Survey):
            if self._consulting is None:
                raise LocalProtocolError("that ask is not open")
            self._consulting.answer(ask, reply)
            return
        if isinstance(ask, StartTls) and ask.side is UPSTREAM:
            if self._login is None:
                raise LocalProtocolError("that ask is not open")
            self._login.tls.answer(ask, reply)
            return
        if self._entrance is None:
            raise LocalProtocolError("that ask is not open")
        self._entrance.answer(ask, reply)
        if isinstance(reply, Routed):
            assert isinstance(ask, Route)
            self._routed(reply)
        elif isinstance(reply, Denied):
            self._failure = RemoteProtocolError(reply.reason, hint=_sqlstate(reply.code))

    def _routed(self, routed: Routed) -> None:
        self._target = routed.target
        self._masking, self._findings = routed.masking, routed.findings
        self._brake = routed.brake
        self._read_only = routed.read_only
        self._session_id = routed.session_id
        try:
            parameters = self._parameters(routed)
        except RemoteProtocolError as exc:
            self._failure = exc  # for next_event, which alone may raise it
            return
        self._database = parameters[b"database"].decode()
        account = Account(routed.credential, parameters, self._entropy(18))
        self._login = TargetLogin(routed.target, account, self._outbox)

    def _parameters(self, routed: Routed) -> dict[bytes, bytes]:
        """The start-up parameters for the target: the client's own, but for who logs in, and where."""
        startup, target, options = self._startup, routed.target, routed.target.options
        assert self._entrance is not None
        assert isinstance(options, PostgresTarget)
        try:
            # The core has settled this already, for the recording; what is opened is asked of the same words.
            database = options.settle(target.name, route_details(startup))["database"]
        except AccessDenied as exc:
            raise RemoteProtocolError(str(exc), hint=_sqlstate(exc.code)) from None
        if not routed.credential.username:
            raise RemoteProtocolError(f"the credential of {target.name} names no user", hint="58000")
        parameters = {b"user": routed.credential.username.encode(), b"database": database.encode()}
        parameters.update(startup.parameters)
        if routed.read_only:
            # Names of parameters are the same in capitals, and the last one said counts.
            for name in [each for each in parameters if each.lower() in _WRITABLE]:
                del parameters[name]
            parameters[READ_ONLY] = b"on"
        if options.tag:
            tag = b"recgate %b %b" % (
                routed.session_id.encode(),
                startup.parameters.get(b"application_name", b""),
            )
            parameters[b"application_name"] = tag[:MAX_APPLICATION_NAME].rstrip()
        return parameters

    # -- writing -----------------------------------------------------------------------------------------------

    def send(self, frame: Frame) -> None:
        """Let a recorded frame go on."""
        side = frame.side
        if side is CLIENT:
            self._asked(frame)
        elif side is UPSTREAM:
            self._outbox.client.append(frame.data)
            self._inside = self._backend is not None and self._backend.skip > 0
        elif frame.kind in _RECORDED:
            return
        elif frame.kind == QUESTION:
            if self._consulting is not None and self._backend is not None:
                self._consulting.sent(self._backend)
            self._outbox.upstream.append(frame.data)
        elif frame.to is UPSTREAM:
            if self._braked is None or self._braked.passes(frame):
                self._asked(frame)
        else:
            self._outbox.client.append(frame.data)

    def _asked(self, frame: Frame) -> None:
        if self._masked is not None:
            judge = self._masked.names.judge
            plan = judge.taken() if judge is not None and frame.request is not None else None
            self._masked.asked(frame.data, plan)
        if self._braked is not None:
            self._braked.asked(frame)
        self._outbox.upstream.append(frame.data)

    def data_to_send(self, side: Side) -> Sequence[bytes]:
        """Take the bytes that may be written to `side`."""
        outbox = self._outbox
        if side is CLIENT:
            taken = outbox.client
            if taken:
                outbox.client = []
        else:
            taken = outbox.upstream
            if taken:
                outbox.upstream = []
        return taken

    def refuse(self, frame: Frame, decision: Decision) -> Sequence[Frame]:
        """Put a message that always fails in the place of the one that asks (see `refusals`)."""
        walk = self._frontend
        if frame.side is UPSTREAM and self._braked is not None:
            return self._braked.refuse(frame, decision)
        if walk is None or frame is not walk.asked:
            raise LocalProtocolError("only the last frame that asked can be refused")
        walk.asked = None
        if walk.names.judge is not None:
            walk.names.judge.taken()
        data, start, end = frame.data, walk.asked_start, walk.asked_end
        text = error_text(decision.reason or "denied", decision.rule, self._session_id)
        code = _sqlstate(decision.code) if decision.code else INSUFFICIENT_PRIVILEGE
        error = error_response(code, text, encoding=walk.names.codec)
        stand_in = walk.refusals.stand_in(data[start], error)
        frames = [Frame(GATEWAY, frontend.KIND, stand_in, frame.channel, None, UPSTREAM)]
        if data[start] == _BIND and decision.code != UNKEPT:
            # The target sees nothing of it, but what was tried, with its values, is on the record.
            frames.insert(0, Frame(GATEWAY, ATTEMPT, data[start:end], frame.channel))
        if start:
            frames.insert(0, Frame(CLIENT, frontend.KIND, data[:start], frame.channel))
        if end < len(data):
            frames.append(Frame(CLIENT, frontend.KIND, data[end:], frame.channel))
        return frames

    def cancelled(self) -> None:
        """The cancel that followed the refusal of a row is over."""
        if self._braked is not None:
            self._braked.cancelled()

    def notice(self, text: str) -> Frame | None:
        """Word `text` as a NoticeResponse; None before AuthenticationOk and inside another message."""
        known = self._frontend is not None or (self._entrance is not None and self._entrance.known)
        if not known or self._inside:
            return None
        return Frame(GATEWAY, backend.KIND, notice_response(text, encoding=self._codec), 0, None, CLIENT)

    def farewell(self, denied: Denied) -> Frame | bytes | None:
        """Word the end as a FATAL ErrorResponse; None inside another message or a TLS handshake."""
        entrance = self._entrance
        if self._inside or self._silent or (entrance is not None and entrance.handshaking):
            return None
        session_id = self._session_id or denied.session_id
        text = error_text(denied.reason, "", session_id) if session_id else denied.reason
        words = error_response(_sqlstate(denied.code), text, severity="FATAL", encoding=self._codec)
        return Frame(GATEWAY, backend.KIND, words, 0, None, CLIENT) if self._session_id else words

    @property
    def _codec(self) -> str:
        return self._backend.names.codec if self._backend is not None else DEFAULT

    # -- cancelling (recgate.sansio.Cancellable) ------------------------------------------------------------------

    @property
    def cancel_key(self) -> bytes:
        """The key that this session's client was given, while its target can be asked to cancel."""
        return self._own_key if self._backend is not None and self._backend.key else b""

    def canceller(self) -> Relay:
        """Make the relay that carries a cancel request to this session's target."""
        if self._backend is None or self._target is None or not self._backend.key:
            raise LocalProtocolError("there is nothing to cancel")
        return CancelRelay(self._target, self._backend.key)


def _sqlstate(code: str) -> str:
    known = _SQLSTATES.get(code)
    if known is not None:
        return known
    return code if len(code) == 5 and code.isalnum() and code.upper() == code else "58000"
