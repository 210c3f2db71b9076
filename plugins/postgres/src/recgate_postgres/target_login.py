"""Log in to the target with the leased credential: TLS, start-up, and what proofs it asks for (55.2.1, 55.3)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.model import Credential, Secret, TargetInfo
from recgate.sansio.asks import NEED_DATA, PAUSED, Ask, Denied, NeedData, Paused, Reply, StartTls, TlsDone
from recgate.sansio.frames import UPSTREAM
from recgate.sansio.reader import BoundedReader
from recgate_postgres.encodings import decode
from recgate_postgres.messages import fields_of, message, startup_message
from recgate_postgres.options import PostgresTarget
from recgate_postgres.outbox import Outbox
from recgate_postgres.scram import ClientExchange

__all__ = ["TargetLogin", "TargetTls", "cleaned"]

MAX_MESSAGE: Final = 65_535  # bytes of one message before we are in
MAX_MESSAGES: Final = 64  # of them; a login has under ten
UNREACHED: Final = "08006"

_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)


def cleaned(text: str) -> str:
    """Make a target's words fit for a terminal: control characters become escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:500]
    )


class TargetTls:
    """The first step towards a target: TLS, if its options want it. Also what a cancel request needs."""

    def __init__(self, target: TargetInfo, outbox: Outbox) -> None:
        assert isinstance(target.options, PostgresTarget)
        self.reader = BoundedReader()
        self.done = target.options.tls == "disable"
        self.encrypted = False
        self.binding = b""
        self._target = target
        self._ask: StartTls | None = None
        if not self.done:
            outbox.upstream.append(_SSL_REQUEST)

    def event(self) -> Ask | NeedData | Paused | None:
        """Give the ask for TLS, or None once that is over. Raises `RemoteProtocolError`."""
        if self.done:
            return None
        if self._ask is not None:
            return PAUSED
        answer = self.reader.take(1)
        name = self._target.name
        if answer is None:
            if self.reader.eof:
                raise RemoteProtocolError(f"{name} closed the connection when asked for TLS", hint=UNREACHED)
            return NEED_DATA
        if answer != b"S":
            remedy = "set its options.tls to disable only where the network itself is trusted"
            raise RemoteProtocolError(f"{name} offers no TLS: {remedy}", hint=UNREACHED)
        if len(self.reader):
            # CVE-2021-23222, in the other direction.
            raise RemoteProtocolError(f"{name} sent unencrypted data behind its SSL answer", hint=UNREACHED)
        self._ask = StartTls(UPSTREAM, server_name=self._target.host)
        return self._ask

    def answer(self, ask: Ask, reply: Reply) -> None:
        """End the pause."""
        if self._ask is None or ask is not self._ask:
            raise LocalProtocolError("that ask is not open")
        if isinstance(reply, TlsDone):
            if len(self.reader):
                raise LocalProtocolError("plaintext was read while TLS began")
            self._ask = None
            self.done = self.encrypted = True
            self.binding = reply.channel_binding
        elif not isinstance(reply, Denied):
            raise LocalProtocolError(f"{type(reply).__name__} does not answer StartTls")


@dataclass(frozen=True, slots=True)
class Account:
    """As whom to log in, and with which start-up parameters (user and database among them)."""

    credential: Credential
    parameters: dict[bytes, bytes]
    nonce: bytes


class TargetLogin:
    """From the dialled socket to AuthenticationOk; what the reader holds then is the session's."""

    def __init__(self, target: TargetInfo, account: Account, outbox: Outbox) -> None:
        options = target.options
        assert isinstance(options, PostgresTarget)
        self.tls = TargetTls(target, outbox)
        self.reader = self.tls.reader
        self.finished = False
        self._name = target.name
        self._minor = int(options.max_protocol[2:])
        self._account = account
        self._outbox = outbox
        self._started = False
        self._messages = 0
        self._exchange: ClientExchange | None = None
        self._verified = False
        self._proofs: dict[int, Callable[[bytes], bytes | None]] = {
            _OK: self._ok,
            _CLEARTEXT: self._cleartext,
            _MD5: self._md5,
            _SASL: self._sasl,
            _SASL_CONTINUE: self._sasl_continue,
            _SASL_FINAL: self._sasl_final,
        }

    def event(self) -> Ask | NeedData | Paused | None:
        """Give what is asked for, or None once logged in. Raises `RemoteProtocolError`."""
        step = self.tls.event()
        if step is not None:
            return step
        if not self._started:
            self._started = True
            self._outbox.upstream.append(startup_message(self._minor, self._account.parameters))
        while not self.finished:
            head = self.reader.peek(5)
            if head is None:
                return self._need()
            length = int.from_bytes(head[1:])
            if not 4 <= length <= MAX_MESSAGE:
                raise self._failed("answers with something that is not PostgreSQL's protocol")
            packet = self.reader.take(1 + length)
            if packet is None:
                return self._need()
            self._messages += 1
            if self._messages > MAX_MESSAGES:
                raise self._failed("goes on asking without an end")
            self._message(head[:1], packet[5:])
        return None

    def _need(self) -> NeedData:
        if self.reader.eof:
            raise self._failed("closed the connection during the login")
        return NEED_DATA

    def _failed(self, what: str, sqlstate: str = UNREACHED) -> RemoteProtocolError:
        return RemoteProtocolError(f"target {self._name} {what}", hint=sqlstate)

    def _message(self, kind: bytes, body: bytes) -> None:
        if kind == b"R" and len(body) >= 4:
            code = int.from_bytes(body[:4])
            prove = self._proofs.get(code)
            if prove is None:
                raise self._failed(
                    f"asks for a proof that the gateway does not have (authentication request {code})"
                )
            answer = prove(body[4:])
            if answer is not None:
                self._outbox.upstream.append(message(b"p", answer))
        elif kind == b"E":
            raise self._refused(fields_of(body))
        elif kind == b"v" and len(body) >= 8:
            if int.from_bytes(body[:2]) != 3 or int.from_bytes(body[2:4]) > self._minor:
                raise self._failed("wants another protocol version than it was offered")
        elif kind != b"N":
            raise self._failed(f"sent a message of type {kind!r} before the login was over")

    def _refused(self, fields: dict[str, bytes]) -> RemoteProtocolError:
        sqlstate = fields.get("C", b"").decode("ascii", "replace")
        said = cleaned(decode(fields.get("M", b""), "utf-8"))
        if sqlstate[:2] == "28":
            # It may name the account, which is not the client's to know.
            return self._failed(f"refused the leased credential ({sqlstate})")
        if sqlstate == "0A000" and self._minor:
            said += ' (set its options.max_protocol to "3.0")'
        well_formed = len(sqlstate) == 5 and sqlstate.isalnum()
        return self._failed(f"refused the connection: {said}", sqlstate if well_formed else UNREACHED)

    # -- proofs, by the code of the authentication request --------------------------------------------------------

    @property
    def _password(self) -> Secret:
        password = self._account.credential.password
        if password is None:
            raise self._failed("asks for a password, and the leased credential has none")
        return password

    def _ok(self, body: bytes) -> None:
        if self._exchange is not None and not self._verified:
            raise self._failed("let us in without proving that it knows the password's keys")
        self.finished = True

    def _cleartext(self, body: bytes) -> bytes:
        if not self.tls.encrypted:
            raise self._failed("asks for the password in the clear, without TLS: it is not sent")
        return self._password.reveal() + b"\0"

    def _md5(self, body: bytes) -> bytes:
        # The server's choice, and weaker than SCRAM, but it is what old clusters store (55.2.1).
        user = self._account.parameters[b"user"]
        inner = hashlib.md5(self._password.reveal() + user, usedforsecurity=False).hexdigest().encode()
        return b"md5" + hashlib.md5(inner + body[:4], usedforsecurity=False).hexdigest().encode() + b"\0"

    def _sasl(self, body: bytes) -> bytes:
        if self._exchange is not None:
            raise self._failed("began the authentication twice")
        mechanisms = [decode(name, "latin-1") for name in body.split(b"\0") if name]
        self._exchange = ClientExchange(self._password, self._account.nonce, self.tls.binding, mechanisms)
        first = self._exchange.first()
        return self._exchange.mechanism.encode() + b"\0" + len(first).to_bytes(4) + first

    def _sasl_continue(self, body: bytes) -> bytes:
        if self._exchange is None or self._exchange.answered:
            raise self._failed("went on with an authentication that had not begun")
        return self._exchange.final(body)

    def _sasl_final(self, body: bytes) -> None:
        if self._exchange is None or not self._exchange.verify(body):
            raise self._failed(
                "does not know the password's keys: it is not the server the credential is for"
            )
        self._verified = True
