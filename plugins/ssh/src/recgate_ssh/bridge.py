"""A channel on one leg and its counterpart on the other, with the gateway in between.

Nothing is interpreted here beyond what must be decided on: requests are passed on by name with their fields,
answers go back in order, and a refusal takes the shape that the program at the other end would have given it: a
line on stderr and exit status 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from recgate.decisions import Decision
from recgate.errors import RemoteProtocolError
from recgate.mask import Pasted
from recgate.policy.acts import EXACT
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame, Request, Side
from recgate_ssh.brakegate import BrakeGate
from recgate_ssh.commands import acts_of_line
from recgate_ssh.frames import Kind, body_of, kind_of, word_frame
from recgate_ssh.gating import judged, watch
from recgate_ssh.lane import Lane, Traffic
from recgate_ssh.wire.channel import WireChannel
from recgate_ssh.wire.replies import Slot
from recgate_ssh.words import CHANNELS, FROM_CLIENT, FROM_TARGET, Value, Word, legible, pack, unpack

__all__ = ["PROHIBITED", "Bridge", "Crossing", "stderr_line"]

PROHIBITED: Final = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254 §5.1)
CONNECT_FAILED: Final = 2
REFUSED_STATUS: Final = 1

# Requests for what never passes, by the word that policies and the audit trail know them by.
SIDE_DOORS: Final = {"auth-agent-req@openssh.com": "agent", "x11-req": "x11"}


class Crossing(Traffic, Protocol):
    """What a bridge needs of the connection it belongs to."""

    def channel_towards(self, side: Side) -> WireChannel | None:
        """Make a channel to open on the leg of `side`; None when that leg is gone or full."""
        ...

    def note(self, text: str) -> None:
        """Record something that no frame shows."""
        ...

    def tell(self, kind: str, body: Mapping[str, object], kept: Sequence[bytes] = ()) -> None:
        """Record one of the gateway's own frames, with what a mask removed if that is what it tells of."""
        ...

    def pasted(self, found: Pasted) -> None:
        """Record and tell that a secret was sent."""
        ...

    def finished(self, bridge: Bridge) -> None:
        """Both channels are gone."""
        ...

    def exited(self, number: int, body: Mapping[str, object]) -> None:
        """A program ended: its exit status or signal."""
        ...


def stderr_line(text: str) -> bytes:
    """Word what the gateway tells a person; a raw terminal needs the carriage return as well."""
    return f"recgate: {text}\r\n".encode()


class End:
    """One of a bridge's two channels: takes what its peer sends (`ChannelEvents`) to the other end."""

    def __init__(self, bridge: Bridge, side: Side) -> None:
        self.bridge = bridge
        self.side = side
        self.channel: WireChannel | None = None
        self.lane = Lane(bridge.crossing, self._lane_waits)
        self.asked: list[Slot] = []  # slots of the other end's channel, for answers that come from here
        self._pauses: set[str] = set()
        self.over = False
        self.through: Callable[[bytes, bool], None] | None = None  # a gate that looks at what comes
        self.defer: Callable[[Callable[[], None]], bool] | None = (
            None  # keeps what must not overtake a gate's data
        )
        self.abandon: Callable[[], None] | None = None  # tells a gate that its source is gone
        self.settle: Callable[[], None] | None = (
            None  # lets what a gate holds back go on before something else
        )
        self.brake: BrakeGate | None = None  # counts what comes, where rules go by that
        self.other = self  # the end across, once the bridge has both

    def _lane_waits(self, yes: bool) -> None:
        self.pause("lane", yes)

    def pause(self, why: str, yes: bool) -> None:
        """Stop reading this channel for one more reason, or one less."""
        before = bool(self._pauses)
        self._pauses.add(why) if yes else self._pauses.discard(why)
        if self.channel is None or before == bool(self._pauses):
            return
        if yes:
            self.channel.pause_reading()
        else:
            self.channel.resume_reading()

    # -- ChannelEvents ---------------------------------------------------------------------------------

    def opened(self) -> None:
        self.bridge.far_opened(self)

    def refused(self, code: int, reason: str) -> None:
        self.bridge.far_refused(self, code, reason)

    def data(self, data: bytes, *, ext: bool) -> None:
        if self.through is not None:
            self.through(data, ext)
        else:
            self.pass_on(data, ext)

    def settled(self) -> None:
        """Let go of what a gate holds: something follows that must not overtake it."""
        if self.settle is not None:
            self.settle()

    def pass_on(self, data: bytes, ext: bool) -> None:
        """Take data on, past the gates."""
        if self.brake is not None:
            self.brake.feed(data, ext)
        else:
            self.push(data, ext)

    def push(self, data: bytes, ext: bool) -> None:
        """Take data to the other end."""
        self.lane.push(Frame(self.side, "ext" if ext else "data", data, self.bridge.number), self.other.put)

    def eof(self) -> None:
        self.settled()
        if self.defer is None or not self.defer(self._eof):
            self._behind(self._eof)

    def _behind(self, what: Callable[[], None]) -> None:
        """Do something behind all data that has come."""
        if self.brake is None:
            what()
        else:
            self.brake.then(what)

    def _eof(self) -> None:
        self.lane.push(Frame(self.side, "eof", b"", self.bridge.number), self.other.put_eof)

    def writable(self, yes: bool) -> None:
        self.other.pause("peer", not yes)

    def closed(self) -> None:
        if not self.over:
            self.settled()
            if self.abandon is not None:
                self.abandon()
            self.over = True
            self.lane.give_up()
            self.other.pause("peer", False)
            self._behind(self._close)

    def _close(self) -> None:
        self.lane.push(Frame(self.side, "close", b"", self.bridge.number), self.other.put_close)
        self.bridge.end_closed()

    def request(self, name: str, payload: bytes, slot: Slot | None) -> None:
        self._behind(lambda: self.bridge.request(self, name, payload, slot))

    def reply(self, ok: bool) -> None:
        if not self.asked:
            raise RemoteProtocolError("an answer to nothing")
        slot = self.asked.pop(0)
        frame = word_frame(self.side, Kind.REPLY, {"ok": ok}, self.bridge.number)
        self.lane.push(frame, lambda _: self.other.answer(slot, ok))

    # -- what comes from the other end, recorded -----------------------------------------------------------

    def put(self, frame: Frame) -> None:
        if self.channel is not None:
            self.channel.send(frame.data, ext=frame.kind == "ext")

    def put_eof(self, frame: Frame) -> None:
        if self.channel is not None:
            self.channel.send_eof()

    def put_close(self, frame: Frame) -> None:
        if self.channel is not None:
            self.channel.close()

    def answer(self, slot: Slot | None, ok: bool) -> None:
        if self.channel is not None:
            self.channel.answer(slot, ok)


class Bridge:
    """One channel of the session. `opener` is the side that asked for it."""

    def __init__(
        self,
        crossing: Crossing,
        number: int,
        kind: str,
        opener: Side,
        channel: WireChannel,
        *,
        granted: bool = False,
    ) -> None:
        self._granted = granted  # the opener has its channel already
        self.crossing = crossing
        self.number = number
        self.kind = kind
        near, far = End(self, CLIENT), End(self, UPSTREAM)
        near.other, far.other = far, near
        self.ends = {CLIENT: near, UPSTREAM: far}
        self.opener = self.ends[opener]
        self.opener.channel = channel
        channel.events = self.opener
        self.pty: dict[str, Value] = {}
        self.erased: Callable[[], None] | None = None  # tells a gate that the gateway has cleared the line
        self.resized: Callable[[int], None] | None = None  # tells a gate how wide the terminal is
        self._started = False
        for end in self.ends.values():
            end.lane.notice = self.tell
        brake = crossing.session.brake
        if brake is not None and brake.flowing:
            far.brake = BrakeGate(self, brake, far.push)
        if kind == "session" and judged(crossing.session):
            near.through = self._early

    # -- opening ---------------------------------------------------------------------------------------

    def open(self, payload: bytes, values: Mapping[str, Value], request: Request | None) -> None:
        """Decide on the channel, then ask the other leg for its like. Nothing is granted before it is."""
        body = {"type": self.kind, **values}

        def deliver(frame: Frame) -> None:
            channel = self.crossing.channel_towards(self.opener.other.side)
            if channel is None:
                if self._granted:
                    self.end_with("the other side has no room for a channel")
                else:
                    self._refuse(CONNECT_FAILED, "the other side has no room for a channel")
                return
            self.opener.other.channel = channel
            channel.events = self.opener.other
            self.opener.lane.hold()
            changed = frame.data != original
            channel.open(
                self.kind.encode(), pack(CHANNELS[self.kind], body_of(frame.data)) if changed else payload
            )

        def deny(decision: Decision) -> None:
            self._refuse(PROHIBITED, decision.reason or "denied")

        frame = word_frame(self.opener.side, Kind.OPEN, body, self.number, request)
        original = frame.data
        self.opener.lane.push(frame, deliver, deny)

    def far_opened(self, far: End) -> None:
        """Grant the channel: the other leg has."""

        def deliver(_: Frame) -> None:
            assert self.opener.channel is not None
            if not self._granted:
                self.opener.channel.accept()
            self.opener.lane.release()

        far.lane.push(word_frame(far.side, Kind.CONFIRM, {}, self.number), deliver)

    def far_refused(self, far: End, code: int, reason: str) -> None:
        """Refuse the channel in the other leg's words; one that was granted already ends as a failed command does."""
        if self._granted:
            self.opener.lane.release()
            self.end_with(f"{self.crossing.session.target.name} refused a channel: {reason[:1_000]}")
            far.channel, far.over = None, True
            return
        self._fail(word_frame(far.side, Kind.FAILURE, {"code": code, "reason": reason[:1_000]}, self.number))

    def _refuse(self, code: int, reason: str) -> None:
        frame = word_frame(GATEWAY, Kind.FAILURE, {"code": code, "reason": reason}, self.number)
        frame.to = self.opener.side
        self._fail(frame)

    def _fail(self, frame: Frame) -> None:
        # Neither end ever was a channel, so neither is recorded as closing.
        self.opener.over = self.opener.other.over = True

        def deliver(frame: Frame) -> None:
            body = body_of(frame.data)
            assert self.opener.channel is not None
            self.opener.channel.refuse(int(body["code"]), str(body["reason"]))
            self.opener.lane.release()
            self.crossing.finished(self)

        self.opener.other.lane.push(frame, deliver)

    # -- requests --------------------------------------------------------------------------------------

    def request(self, end: End, name: str, payload: bytes, slot: Slot | None) -> None:
        """Decide on a channel request and pass it on."""
        if name in SIDE_DOORS and end.side is CLIENT:
            self._side_door(end, SIDE_DOORS[name], slot)
            return
        table = FROM_CLIENT if end.side is CLIENT else FROM_TARGET
        word = table.get(name) if self.kind == "session" else None
        if word is None:
            self.crossing.note(f"refused channel request {name[:64]}")
            end.answer(slot, False)
            return
        values = unpack(word, payload)
        if word.ends:
            end.settled()
        if word.starts and self._started and self.ends[CLIENT].through is not None:
            # What this channel is was decided with its first program; a gate knows no other.
            self.crossing.note(f"refused a second {name} on one channel")
            end.answer(slot, False)
            return
        if name == "pty-req":
            self.pty = values
        elif name == "window-change" and self.resized is not None:
            self.resized(int(values["cols"]))
        body = {"type": name, "reply": slot is not None, **values}
        request = self._asks(word, values)
        also: tuple[Request, ...] = ()
        if word.starts:
            self._started = True
            also = watch(self, word.name, values)
        frame = word_frame(end.side, kind_of(name), body, self.number, request)
        original = frame.data

        def deliver(frame: Frame) -> None:
            sent = payload if frame.data is original else pack(word, body_of(frame.data))
            if frame.kind == "exit":
                self.crossing.exited(self.number, body)
            if end.other.channel is None or end.other.channel.gone:
                end.answer(slot, False)
                return
            if slot is not None:
                end.other.asked.append(slot)
            end.other.channel.send_request(name, sent, want_reply=slot is not None)

        end.lane.push(frame, deliver, lambda decision: self._denied(end, slot, decision), also)

    def _asks(self, word: Word, values: Mapping[str, Value]) -> Request | None:
        """Say what starting a program asks for. Never judged by how a command begins (threat 13)."""
        if not word.starts:
            return None
        details: dict[str, object] = {"type": word.name, "pty": bool(self.pty)}
        if isinstance(command := values.get("command"), bytes):
            details[EXACT] = command
        if word.name == "subsystem":
            name = legible(values["name"])
            kind = "file" if name == "sftp" else "shell"
            return Request(kind, name, self.number, {**details, "subsystem": name})
        command = legible(values.get("command", ""))
        if word.name == "exec" and judged(self.crossing.session):
            details["acts"] = acts_of_line(command, reads_input=not self.pty)
        return Request("shell", command, self.number, details)

    def _early(self, data: bytes, ext: bool) -> None:
        """Drop what a client sends before it has said what for: nobody could say what reads it."""
        self.crossing.note(f"dropped {len(data)} bytes that came before any program was asked for")

    def _side_door(self, end: End, kind: str, slot: Slot | None) -> None:
        request = Request(kind, "", self.number)
        frame = word_frame(
            end.side, Kind.REQUEST, {"type": kind, "reply": slot is not None}, self.number, request
        )
        # Denied or not, it does not pass: there is nothing here that could carry it on.
        end.lane.push(frame, lambda _: end.answer(slot, False), lambda _: end.answer(slot, False))

    def _denied(self, end: End, slot: Slot | None, decision: Decision) -> None:
        end.answer(slot, True)
        self.end_with(self.words(decision))

    def words(self, decision: Decision) -> str:
        """Say a refusal."""
        rule = f"{decision.rule}: " if decision.rule else ""
        return f"{rule}{decision.reason or 'denied'} (recgate session {self.crossing.session.id})"

    # -- what the gateway itself says ------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """Write a line to the client's stderr."""
        frame = Frame(GATEWAY, "ext", stderr_line(text), self.number, to=CLIENT)
        self.ends[UPSTREAM].lane.push(frame, self.ends[CLIENT].put)

    def tell_anew(self, text: str) -> None:
        """Write a line where a terminal's line is begun already."""
        frame = Frame(GATEWAY, "ext", b"\r\n" + stderr_line(text), self.number, to=CLIENT)
        self.ends[UPSTREAM].lane.push(frame, self.ends[CLIENT].put)

    def end_with(self, text: str) -> None:
        """Tell the client why and close the channel as a failed command would: stderr, status 1, end."""
        if self.kind != "session" or any(end.over for end in self.ends.values()):
            return
        client, lane = self.ends[CLIENT], self.ends[UPSTREAM].lane
        self.tell(text)
        body = {"type": "exit-status", "status": REFUSED_STATUS}
        frame = word_frame(GATEWAY, Kind.EXIT, body, self.number)
        frame.to = CLIENT

        def leave(_: Frame) -> None:
            if client.channel is not None:
                client.channel.send_request(
                    "exit-status", REFUSED_STATUS.to_bytes(4, "big"), want_reply=False
                )
                client.channel.send_eof()
                client.channel.close()

        lane.push(frame, leave)
        self.crossing.exited(self.number, body)

    # -- the end ---------------------------------------------------------------------------------------

    def stop(self, decision: Decision) -> None:
        """End what runs, because what it says was refused."""
        client, target = self.ends[CLIENT], self.ends[UPSTREAM]
        self.end_with(self.words(decision))
        for end in (target,) if self.kind == "session" else (client, target):
            if end.channel is not None:
                end.channel.close()

    def end_closed(self) -> None:
        """One channel is gone; the bridge is, too, when both are."""
        if all(end.over or end.channel is None for end in self.ends.values()):
            if self.crossing.session.brake is not None:
                self.crossing.session.brake.forget(self.number)
            self.crossing.finished(self)

    @property
    def idle(self) -> bool:
        """Whether nothing waits in either direction."""
        return all(end.lane.idle for end in self.ends.values())
