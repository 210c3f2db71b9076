"""A protocol small enough to read in one sitting, spoken by the core's tests and shown to plugin authors.

client                         gateway                       target
TLS\\n                     →    GO\\n, then TLS
HELLO prod secret\\n       →    (login, route, dial)     →    HELLO user password\\n
                          ←    OK\\n                     ←    OK\\n
ASK question\\n            →    decided on, recorded     →    ASK question\\n
FORWARD host:port\\n       →    refused unless the target's options open that door
anything else\\n           →    recorded                 →    anything else\\n
                          ←    recorded                 ←    any bytes
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from recgate.decisions import Decision
from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.model import PasswordEvidence, Secret, VoucherEvidence
from recgate.recording.frames import RecordedFrame
from recgate.sansio.asks import (
    NEED_DATA,
    PAUSED,
    Ask,
    Denied,
    Event,
    LoggedIn,
    Login,
    NeedData,
    Paused,
    PeerClosed,
    Reply,
    Route,
    Routed,
    StartTls,
    TlsDone,
)
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame, Request, Side
from recgate.sansio.reader import BoundedReader
from recgate.transcript.entries import Entry

__all__ = ["LineListener", "LineRelay", "LineTarget", "LineTranscriber"]

MAX_LINE: Final = 64 * 1024


class LineTarget(BaseModel):
    """Options of a line target."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    forward: tuple[str, ...] = ()
    tls: Literal["verify-full", "verify-ca", "require", "disable"] = "disable"
    ca: Path | None = None

    def allows(self, request: Request) -> bool:
        """Whether this door was opened."""
        return request.kind == "forward" and request.text in self.forward


class LineListener(BaseModel):
    """A line listener has no options."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LineRelay:
    """The relay. States: `hello` → `routing` → `greeting` → `open`."""

    def __init__(self, *, vouched: bool = False) -> None:
        self._vouched = vouched
        self._readers = {CLIENT: BoundedReader(), UPSTREAM: BoundedReader()}
        self._out: dict[Side, list[bytes]] = {CLIENT: [], UPSTREAM: []}
        self._state = "hello"
        self._ask: Ask | None = None
        self._next: Ask | None = None
        self._name = ""
        self._closed: set[Side] = set()

    def receive_data(self, side: Side, data: bytes) -> None:
        """Buffer a read."""
        self._readers[side].feed(data)

    def next_event(self, side: Side) -> Event | NeedData | Paused:
        """Give the next event; raises `RemoteProtocolError`."""
        if side is CLIENT and self._next is not None:
            self._ask, self._next = self._next, None
            return self._ask
        if side is CLIENT and (self._ask is not None or self._state in ("routing", "greeting")):
            return PAUSED
        reader = self._readers[side]
        if side is UPSTREAM:
            event = self._greeting(reader) if self._state == "greeting" else self._passed(reader)
        elif self._state == "hello":
            event = self._hello(reader)
        else:
            event = self._lines(reader)
        if event is NEED_DATA and reader.eof and side not in self._closed:
            self._closed.add(side)
            return PeerClosed(side)
        return event

    def _hello(self, reader: BoundedReader) -> Event | NeedData:
        line = reader.take_line(MAX_LINE)
        if line is None:
            return NEED_DATA
        words = line.decode("utf-8", "replace").split()
        if words == ["TLS"]:
            self._out[CLIENT].append(b"GO\n")
            return self._pause(StartTls(CLIENT, reader.take_all()))
        if self._vouched and len(words) == 2 and words[0] == "HELLO":
            self._name = words[1]
            return self._pause(Login(words[1], VoucherEvidence()))
        if len(words) != 3 or words[0] != "HELLO":
            raise RemoteProtocolError("expected HELLO name secret")
        self._name = words[1]
        return self._pause(Login(words[1], PasswordEvidence(Secret(words[2]))))

    def _pause(self, ask: Ask) -> Ask:
        self._ask = ask
        return ask

    def _greeting(self, reader: BoundedReader) -> Event | NeedData:
        line = reader.take_line(MAX_LINE)
        if line is None:
            return NEED_DATA
        if line != b"OK\n":
            raise RemoteProtocolError("the target refused the leased credential")
        self._state = "open"
        self._out[CLIENT].append(line)
        return self._passed(reader)

    def _passed(self, reader: BoundedReader) -> Event | NeedData:
        data = reader.take_all()
        return Frame(UPSTREAM, "line", data) if data else NEED_DATA

    def _lines(self, reader: BoundedReader) -> Event | NeedData:
        line = reader.take_line(MAX_LINE)
        if line is None:
            return NEED_DATA
        word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
        request = (
            Request("shell", rest)
            if word == "ASK"
            else Request("forward", rest)
            if word == "FORWARD"
            else None
        )
        return Frame(CLIENT, "line", line, request=request)

    def answer(self, ask: Ask, reply: Reply) -> None:
        """End a pause."""
        if ask is not self._ask:
            raise LocalProtocolError("that ask is not open")
        self._ask = None
        if isinstance(reply, LoggedIn):
            self._state = "routing"
            self._next = Route(reply.target)
        elif isinstance(reply, Routed):
            password = reply.credential.password or Secret(b"none")
            hello = f"HELLO {reply.credential.username or 'nobody'} ".encode() + password.reveal() + b"\n"
            self._out[UPSTREAM].append(hello)
            self._state = "greeting"
        elif isinstance(reply, TlsDone | Denied):
            pass

    def send(self, frame: Frame) -> None:
        """Let a frame go on."""
        self._out[frame.receiver].append(frame.data)

    def refuse(self, frame: Frame, decision: Decision) -> Sequence[Frame]:
        """Say no to the client; the target never hears of it."""
        words = f"DENIED {decision.rule}: {decision.reason}\n".encode()
        return [Frame(GATEWAY, "line", words, to=CLIENT)]

    def notice(self, text: str) -> Frame | None:
        """Tell the client something."""
        return Frame(GATEWAY, "line", f"NOTICE {text}\n".encode(), to=CLIENT)

    def farewell(self, denied: Denied) -> Frame | bytes | None:
        """Last words."""
        words = f"BYE {denied.code}: {denied.reason}\n".encode()
        return Frame(GATEWAY, "line", words, to=CLIENT) if self._state == "open" else words

    def data_to_send(self, side: Side) -> Sequence[bytes]:
        """Take what may be written."""
        out = self._out[side]
        if not out:
            return ()
        self._out[side] = []
        return out


class LineTranscriber:
    """Questions become `ask` entries, everything else `line` entries."""

    def __init__(self, state: bytes | None) -> None:
        self._count = int(state or b"0")

    def feed(self, frame: RecordedFrame) -> Iterable[Entry]:
        """One entry a client line."""
        if frame.kind != "line" or frame.side != 0:
            return
        self._count += 1
        text = frame.data.decode("utf-8", "replace").strip()
        yield Entry(frame.seq, frame.t, frame.side, frame.channel, "line", {"text": text}, text)

    def finish(self) -> Iterable[Entry]:
        """Nothing is ever left incomplete."""
        return ()

    def save(self) -> bytes:
        """The number of lines so far."""
        return str(self._count).encode()
