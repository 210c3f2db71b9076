"""The client's way in: TLS or not, start-up, who it is. Not recorded, and none of it goes to the target.

States, each with what may come next:

    opening   first byte of TLS, SSLRequest, GSSENCRequest, CancelRequest or StartupMessage
    password  the password                     lookup    (the core finds SCRAM keys)
    sasl      SASLInitialResponse              proof     SASLResponse
    bearer    SASLInitialResponse with a token pointed   the client's answer to where it may get one
    proven    (by its tunnel or its TLS certificate: nothing is asked for)
    known     (the core has said who it is; the route is asked for)
    over      nothing more is read here
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.model import (
    BearerEvidence,
    ConnectionInfo,
    Evidence,
    PasswordEvidence,
    ScramEvidence,
    Secret,
    TlsCertificateEvidence,
    VoucherEvidence,
)
from recgate.sansio.asks import (
    NEED_DATA,
    PAUSED,
    Ask,
    Cancel,
    Denied,
    LoggedIn,
    Login,
    NeedData,
    Paused,
    PeerClosed,
    Reply,
    Route,
    ScramLookedUp,
    ScramLookup,
    StartTls,
    TlsDone,
)
from recgate.sansio.frames import CLIENT
from recgate.sansio.reader import BoundedReader
from recgate_postgres.encodings import decode
from recgate_postgres.messages import (
    AUTHENTICATION_OK,
    CANCEL_REQUEST,
    GSS_REQUEST,
    SSL_REQUEST,
    authentication,
    cstring,
    negotiate_version,
)
from recgate_postgres.oauthbearer import ACKNOWLEDGED, MECHANISM, parse_initial, where_to_sign_in
from recgate_postgres.options import PostgresListener
from recgate_postgres.outbox import Outbox
from recgate_postgres.scram import PLAIN, PLUS, ServerExchange
from recgate_postgres.startup import MAX_STARTUP, Startup, parse_startup, route_details

__all__ = ["Entrance"]

ALPN: Final = "postgresql"
MAX_PROOF: Final = 65_535  # the server's own PG_MAX_AUTH_TOKEN_LENGTH
MAX_CANCEL_KEY: Final = 256

_TLS_HANDSHAKE: Final = 0x16
_CLEARTEXT, _SASL, _SASL_CONTINUE, _SASL_FINAL = 3, 10, 11, 12

_Step = Ask | NeedData | None


class Entrance:
    """One connection's way in, from its first byte to the ask `Route`."""

    def __init__(self, listener: PostgresListener, connection: ConnectionInfo, outbox: Outbox) -> None:
        self.reader = BoundedReader()
        self.startup: Startup | None = None
        self.target = ""
        self.known = False  # AuthenticationOk has been said
        self.handshaking = False  # TLS is: nothing can be said in plain words
        self._auth = "voucher" if connection.voucher is not None else listener.auth
        self._sign_in = where_to_sign_in(listener.issuer, listener.scope) if listener.issuer else b""
        self._certificate = b""
        self._may_encrypt = connection.tls_mode != "off" and not connection.tls
        self._must_encrypt = connection.tls_mode == "require"
        self._cleartext = connection.tls_mode == "allow" and connection.loopback
        self._encrypted = connection.tls
        self._asked_for: set[int] = set()
        self._touched = False
        self._binding = b""
        self._exchange: ServerExchange | None = None
        self._proved = False
        self._outbox = outbox
        self._ask: Ask | None = None
        self._closed = False
        self._state = "opening"
        self._steps: dict[str, Callable[[], _Step]] = {
            "opening": self._opening,
            "password": self._password,
            "sasl": self._sasl,
            "lookup": self._lookup,
            "proof": self._proof,
            "bearer": self._bearer,
            "pointed": self._pointed,
            "proven": self._proven,
            "known": self._route,
        }

    def event(self) -> Ask | PeerClosed | NeedData | Paused:
        """Give the next ask. Raises `RemoteProtocolError`."""
        while self._ask is None and self._state != "over":
            step = self._steps[self._state]()
            if step is NEED_DATA:
                if self.reader.eof and not self._closed:
                    self._closed = True
                    return PeerClosed(CLIENT)
                return NEED_DATA
            if step is not None:
                self._ask = step
                return step
        return PAUSED

    def answer(self, ask: Ask, reply: Reply) -> None:
        """End the pause. Raises `LocalProtocolError` if that ask is not open, or the reply is not one to it."""
        if ask is not self._ask:
            raise LocalProtocolError("that ask is not open")
        self._ask = None
        if isinstance(reply, Denied):
            if (
                self._state == "bearer"
            ):  # RFC 7628 §3.2.2: the reason in the mechanism's words precedes the error
                self._outbox.client.append(authentication(_SASL_CONTINUE, self._sign_in))
            self._state = "over"
        elif isinstance(ask, StartTls) and isinstance(reply, TlsDone):
            self._tls_done(reply)
        elif isinstance(ask, ScramLookup) and isinstance(reply, ScramLookedUp):
            assert self._exchange is not None
            self._outbox.client.append(authentication(_SASL_CONTINUE, self._exchange.challenge(reply.keys)))
            self._state = "proof"
        elif isinstance(ask, Login) and isinstance(reply, LoggedIn):
            self._logged_in(reply)
        elif isinstance(ask, Route):
            self._state = "over"
        else:
            raise LocalProtocolError(f"{type(reply).__name__} does not answer {type(ask).__name__}")

    # -- TLS and the first packet ----------------------------------------------------------------------------

    def _opening(self) -> _Step:
        head = self.reader.peek(1)
        if head is not None and head[0] == _TLS_HANDSHAKE and not self._touched:
            return self._direct_tls()
        head = self.reader.peek(8)
        if head is None:
            return NEED_DATA
        length, code = int.from_bytes(head[:4]), int.from_bytes(head[4:])
        if not 8 <= length <= MAX_STARTUP:
            raise RemoteProtocolError("invalid length of startup packet", hint="08P01")
        if code in (SSL_REQUEST, GSS_REQUEST):
            return self._encryption(length, code)
        packet = self.reader.take(length)
        if packet is None:
            return NEED_DATA
        if code == CANCEL_REQUEST:
            if not 13 <= length <= 12 + MAX_CANCEL_KEY:
                raise RemoteProtocolError("invalid length of cancel request", hint="08P01")
            self._state = "over"
            return Cancel(packet[8:])
        return self._started(parse_startup(packet[4:]))

    def _direct_tls(self) -> _Step:
        if not self._may_encrypt:
            raise RemoteProtocolError("this listener speaks no TLS", hint="08P01")
        self._touched = self.handshaking = True
        return StartTls(
            CLIENT,
            self.reader.take_all(),
            replay=True,
            alpn=(ALPN,),
            alpn_required=True,
            ask_certificate=self._auth == "certificate",
        )

    def _encryption(self, length: int, code: int) -> _Step:
        if length != 8 or code in self._asked_for or self._encrypted:
            raise RemoteProtocolError("encryption is asked for once, before anything else", hint="08P01")
        self._asked_for.add(code)
        self._touched = True
        self.reader.take(8)
        if code == GSS_REQUEST or not self._may_encrypt:
            self._outbox.client.append(b"N")
            return None
        leftover = self.reader.take_all()
        if leftover:
            # What stands here in the clear would be read as if it had come inside TLS (CVE-2021-23222).
            raise RemoteProtocolError("received unencrypted data after SSL request", hint="08P01")
        self._outbox.client.append(b"S")
        self.handshaking = True
        return StartTls(CLIENT, ask_certificate=self._auth == "certificate")

    def _tls_done(self, reply: TlsDone) -> None:
        if len(self.reader):
            raise LocalProtocolError("plaintext was read while TLS began")
        self.handshaking = self._may_encrypt = False
        self._encrypted = True
        self._binding = reply.channel_binding
        self._certificate = reply.peer_certificate

    def _started(self, startup: Startup) -> _Step:
        self.startup = startup
        if self._must_encrypt and not self._encrypted:
            raise RemoteProtocolError(
                "this gateway takes only TLS: connect with sslmode=verify-full", hint="28000"
            )
        if startup.negotiated:
            self._outbox.client.append(negotiate_version(startup.minor, list(startup.unknown)))
        return self._ask_for_proof()

    def _ask_for_proof(self) -> _Step:
        match self._auth:
            case "voucher":
                self._state = "proven"
                return None
            case "certificate":
                return self._certified()
            case "scram":
                self._offer(*([PLUS, PLAIN] if self._binding else [PLAIN]))
                self._state = "sasl"
                return None
            case _ if not self._encrypted and not self._cleartext:
                raise RemoteProtocolError(
                    "a token is taken only inside TLS: connect with sslmode=verify-full", hint="28000"
                )
            case "oauth":
                self._offer(MECHANISM)
                self._state = "bearer"
                return None
            case _:
                self._outbox.client.append(authentication(_CLEARTEXT))
                self._state = "password"
                return None

    def _offer(self, *mechanisms: str) -> None:
        body = b"".join(name.encode() + b"\0" for name in mechanisms) + b"\0"
        self._outbox.client.append(authentication(_SASL, body))

    def _certified(self) -> _Step:
        if not self._certificate:
            raise RemoteProtocolError(
                "this listener takes TLS client certificates: connect with sslmode=verify-full, sslcert and sslkey",
                hint="28000",
            )
        self._state = "proven"
        return None

    # -- who it is ---------------------------------------------------------------------------------------------

    def _answer_body(self) -> bytes | None:
        """Take the client's answer to an authentication request, or None while it is incomplete."""
        head = self.reader.peek(5)
        if head is None:
            return None
        length = int.from_bytes(head[1:])
        if head[:1] != b"p":
            # Also a second StartupMessage, whose first byte is never this one.
            raise RemoteProtocolError("expected an answer to the authentication request", hint="08P01")
        if not 4 <= length <= MAX_PROOF:
            raise RemoteProtocolError("invalid password packet size", hint="08P01")
        packet = self.reader.take(1 + length)
        return None if packet is None else packet[5:]

    def _password(self) -> _Step:
        body = self._answer_body()
        if body is None:
            return NEED_DATA
        if not body or body.find(0) != len(body) - 1:
            raise RemoteProtocolError("invalid password packet", hint="08P01")
        self._proved = True
        return Login(self._name, PasswordEvidence(Secret(body[:-1])))

    def _proven(self) -> _Step:
        """Somebody is known already: by the tunnel that carries this, or by the certificate of its handshake."""
        self._proved = True
        evidence: Evidence = VoucherEvidence()
        if self._auth == "certificate":
            evidence = TlsCertificateEvidence(self._certificate)
        return Login(self._name, evidence)

    @property
    def _name(self) -> str:
        assert self.startup is not None
        return self.startup.user

    def _initial_response(self) -> tuple[str, bytes] | None:
        """Take a SASLInitialResponse: mechanism and the client's first message. None while it is incomplete."""
        body = self._answer_body()
        if body is None:
            return None
        mechanism, at = cstring(body, 0, len(body))
        if int.from_bytes(body[at : at + 4]) != len(body) - at - 4:
            raise RemoteProtocolError("invalid SASLInitialResponse", hint="08P01")
        return decode(mechanism, "latin-1"), body[at + 4 :]

    def _sasl(self) -> _Step:
        initial = self._initial_response()
        if initial is None:
            return NEED_DATA
        self._exchange = ServerExchange(*initial, self._binding)
        self._state = "lookup"
        return None

    def _bearer(self) -> _Step:
        initial = self._initial_response()
        if initial is None:
            return NEED_DATA
        mechanism, message = initial
        if mechanism != MECHANISM:
            raise RemoteProtocolError(
                "client selected an invalid SASL authentication mechanism", hint="08P01"
            )
        token = parse_initial(message)
        if token is None:
            self._outbox.client.append(authentication(_SASL_CONTINUE, self._sign_in))
            self._state = "pointed"
            return None
        self._proved = True
        return Login(self._name, BearerEvidence(token))

    def _pointed(self) -> _Step:
        """The client asked where to sign in, was told, and comes back on another connection."""
        body = self._answer_body()
        if body is None:
            return NEED_DATA
        if body != ACKNOWLEDGED:
            raise RemoteProtocolError("expected the acknowledgement of RFC 7628 §3.2.3", hint="08P01")
        raise RemoteProtocolError("a bearer token is needed: sign in and connect again", hint="28000")

    def _lookup(self) -> _Step:
        return ScramLookup(self._name)

    def _proof(self) -> _Step:
        body = self._answer_body()
        if body is None:
            return NEED_DATA
        assert self._exchange is not None
        credential, self._final = self._exchange.verify(body)
        # An empty id is a proof that fits no key: the core counts and refuses it, and so do we (`_logged_in`).
        self._proved = bool(credential)
        return Login(self._name, ScramEvidence(credential))

    def _logged_in(self, reply: LoggedIn) -> None:
        if not self._proved:
            raise LocalProtocolError("somebody was let in whose proof fits no key")
        if self._exchange is not None:
            self._outbox.client.append(authentication(_SASL_FINAL, self._final))
        # From here on the client can be shown notices, while somebody approves and the target is dialled.
        self._outbox.client.append(AUTHENTICATION_OK)
        self.known = True
        self.target = reply.target
        self._state = "known"

    def _route(self) -> _Step:
        startup = self.startup
        assert startup is not None
        return Route(self.target, route_details(startup))
