"""Messages of both sides, short to write in tests, and a relay that is already open."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import cast

from recgate.decisions import Decision
from recgate.mask import Masking
from recgate.model import ConnectionInfo, Credential, PasswordEvidence, Principal, Secret, TargetInfo
from recgate.policy.braking import Brake, Crossing
from recgate.sansio.asks import (
    NEED_DATA,
    PAUSED,
    Ask,
    LoggedIn,
    Login,
    PeerClosed,
    Reply,
    Route,
    Routed,
    StartTls,
    TlsDone,
)
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Side
from recgate_postgres.messages import message, query
from recgate_postgres.options import PostgresListener, PostgresTarget
from recgate_postgres.relay import PostgresRelay

ISSUER = "https://idp.example"
SESSION = "01890000-0000-7000-8000-000000000001"
AUTH_OK = b"R\0\0\0\x08\0\0\0\0"
READY, IN_BLOCK, FAILED = b"Z\0\0\0\5I", b"Z\0\0\0\5T", b"Z\0\0\0\5E"
PARSED, BOUND, CLOSED = b"1\0\0\0\4", b"2\0\0\0\4", b"3\0\0\0\4"
SYNC, FLUSH, TERMINATE = b"S\0\0\0\4", b"H\0\0\0\4", b"X\0\0\0\4"
KEY = b"K\0\0\0\x0c\0\0\0\x07abcd"


def startup(minor: int = 0, **parameters: str) -> bytes:
    """A StartupMessage."""
    body = b"".join(f"{key}\0{value}\0".encode() for key, value in parameters.items()) + b"\0"
    return struct.pack("!IHH", len(body) + 8, 3, minor) + body


def password(text: str = "token") -> bytes:
    """A PasswordMessage."""
    return message(b"p", text.encode() + b"\0")


def parse(name: str, text: str, *oids: int) -> bytes:
    """A Parse."""
    return message(b"P", f"{name}\0{text}\0".encode() + struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def bind(portal: str = "", name: str = "", *values: bytes | None) -> bytes:
    """A Bind with parameters in text."""
    packed = b"".join(b"\xff" * 4 if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message(
        b"B", f"{portal}\0{name}\0".encode() + struct.pack("!HH", 0, len(values)) + packed + b"\0\0"
    )


def execute(portal: str = "", limit: int = 0) -> bytes:
    """An Execute."""
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", limit))


def close(kind: str, name: str) -> bytes:
    """A Close."""
    return message(b"C", f"{kind}{name}\0".encode())


def ask(text: str) -> bytes:
    """A Query."""
    return query(text.encode())


def error(text: str = "no", code: str = "XX000") -> bytes:
    """An ErrorResponse of the target's."""
    return message(b"E", f"SERROR\0VERROR\0C{code}\0M{text}\0\0".encode())


def done(tag: str) -> bytes:
    """A CommandComplete."""
    return message(b"C", tag.encode() + b"\0")


def parameter(name: str, value: str) -> bytes:
    """A ParameterStatus."""
    return message(b"S", f"{name}\0{value}\0".encode())


def row(*values: bytes | None) -> bytes:
    """A DataRow."""
    packed = b"".join(b"\xff" * 4 if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message(b"D", struct.pack("!H", len(values)) + packed)


def target(**options: object) -> TargetInfo:
    """A target without TLS."""
    return TargetInfo(
        "prod-db", "postgres", "127.0.0.1", 5432, PostgresTarget.model_validate({"tls": "disable", **options})
    )


def fixed(count: int) -> bytes:
    """Randomness that a test can foresee."""
    return b"\x5a" * count


def fresh(auth: str = "password", **connection: object) -> PostgresRelay:
    """A relay that nobody has spoken to."""
    fields = {"tls_mode": "allow", "loopback": True, **connection}
    info = ConnectionInfo("postgres", "test", "127.0.0.1:1", **fields)  # type: ignore[arg-type]
    listener: dict[str, object] = {"auth": auth}
    if auth == "oauth":
        listener["issuer"] = ISSUER
    return PostgresRelay(PostgresListener.model_validate(listener), info, fixed)


def answer(
    question: Ask,
    info: TargetInfo | None = None,
    masking: Masking | None = None,
    brake: Brake | None = None,
    *,
    read_only: bool = False,
) -> Reply:
    """Answer as the core does when everything is allowed."""
    if isinstance(question, Login):
        assert isinstance(question.evidence, PasswordEvidence)
        return LoggedIn(Principal("local", "1", "alice"), question.name.rpartition("+")[2])
    if isinstance(question, StartTls):
        return TlsDone(question.alpn[0] if question.alpn else "")
    assert isinstance(question, Route)
    return Routed(
        info or target(),
        Credential("app", Secret("secret")),
        SESSION,
        masking,
        brake=brake,
        read_only=read_only,
    )


def asked(relay: PostgresRelay) -> Ask:
    """Take the ask that the client's side has come to."""
    event = relay.next_event(CLIENT)
    assert isinstance(event, Ask)
    return event


class Talk:
    """An open session: `client` and `server` say bytes and give the frames that come of it, sent on."""

    def __init__(
        self,
        relay: PostgresRelay | None = None,
        info: TargetInfo | None = None,
        masking: Masking | None = None,
        brake: Brake | None = None,
        **parameters: str,
    ) -> None:
        self.relay = relay or fresh()
        self.brake = brake
        self.judge: Callable[[Crossing], Decision | None] = lambda crossing: (
            None
        )  # what is about to be crossed
        self.refuse: Callable[[str], Decision | None] = lambda text: None
        self.out: dict[Side, bytes] = {CLIENT: b"", UPSTREAM: b""}
        self.requests: list[str] = []
        self.details: list[Mapping[str, object]] = []
        self.asked: list[str] = []  # the kinds of the messages that each of them was about
        self.paused = False
        relay_ = self.relay
        relay_.receive_data(CLIENT, startup(0, **({"user": "prod-db"} | parameters)) + password())
        while isinstance(event := relay_.next_event(CLIENT), Login | Route):
            relay_.answer(event, answer(event, info, masking, brake))
        self.server(AUTH_OK + KEY + READY)
        self.take()

    def say(self, side: Side, data: bytes) -> list[Frame]:
        """Let one side say something, take what comes of it, and let what was waiting go on."""
        self.relay.receive_data(side, data)
        frames = self.drain(side)
        if side is UPSTREAM:
            frames += self.drain(CLIENT)
        return frames

    def client(self, data: bytes) -> list[Frame]:
        """Let the client say something."""
        return self.say(CLIENT, data)

    def server(self, data: bytes) -> list[Frame]:
        """Let the target say something."""
        return self.say(UPSTREAM, data)

    def drain(self, side: Side) -> list[Frame]:
        """Take every frame of a side, decide on it, and send it on."""
        frames: list[Frame] = []
        last = False
        while (event := self.relay.next_event(side)) is not NEED_DATA and event is not PAUSED:
            assert not last, "a frame was marked as the last of its read, and then came more"
            last = isinstance(event, Frame) and event.last
            if isinstance(event, PeerClosed):
                continue
            frame = cast("Frame", event)
            instead = [frame]
            if frame.side is UPSTREAM and frame.request is not None:
                assert self.brake is not None
                assert self.brake.crossing is not None
                decision = self.judge(self.brake.crossing)
                if decision is not None:
                    instead = list(self.relay.refuse(frame, decision))
            elif frame.request is not None:
                self.requests.append(frame.request.text)
                self.details.append(dict(frame.request.details))
                self.asked.append(self.kinds(frame))
                decision = self.refuse(frame.request.text)
                if decision is not None:
                    instead = list(self.relay.refuse(frame, decision))
                elif self.brake is not None:
                    self.brake.let_through(frame.request, None, "", self.brake.now)
            for each in instead:
                self.relay.send(each)
            frames += instead
        if side is CLIENT:
            self.paused = event is PAUSED
        for receiver in (CLIENT, UPSTREAM):
            self.out[receiver] += b"".join(self.relay.data_to_send(receiver))
        return frames

    def kinds(self, frame: Frame) -> str:
        """Give the kinds of the messages that a refusal of this frame would replace."""
        walk = self.relay._frontend
        assert walk is not None
        data, kinds = frame.data[walk.asked_start : walk.asked_end], ""
        while data:
            kinds += chr(data[0])
            data = data[1 + int.from_bytes(data[1:5]) :]
        return kinds

    def take(self) -> tuple[bytes, bytes]:
        """Give what client and target have been sent since the last call."""
        out, self.out = self.out, {CLIENT: b"", UPSTREAM: b""}
        return out[CLIENT], out[UPSTREAM]
