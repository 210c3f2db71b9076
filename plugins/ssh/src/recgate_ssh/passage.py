"""One client's passage through the gateway: two connections, the channels that cross, and how it ends.

Everything here runs in calls from reads and in short tasks; `driver` decides when it begins and what happens
when it is over. Until the target is reached, the client's channels wait; if it never is, the first of them
is told why.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import trio

from recgate.errors import RecordingFailed
from recgate.mask import Pasted
from recgate.sansio.asks import Denied
from recgate.sansio.frames import CLIENT, UPSTREAM, Request, Side
from recgate.session import Session
from recgate.telling import for_client
from recgate_ssh.bridge import PROHIBITED, Bridge
from recgate_ssh.doorstep import Antechamber, Doorstep
from recgate_ssh.forwarding import Forwarding
from recgate_ssh.lane import Lane
from recgate_ssh.wire.channel import WireChannel
from recgate_ssh.wire.link import MAX_CHANNELS, Link
from recgate_ssh.wire.replies import Slot
from recgate_ssh.words import CHANNELS, legible, unpack

__all__ = ["Leg", "Passage"]

_WORDS: Final = {CLIENT: "client", UPSTREAM: "upstream"}
MAX_WAITING: Final = MAX_CHANNELS  # channels and requests waiting for the target to be reached


class Leg:
    """One connection's events (`LinkEvents`), with the side they come from."""

    def __init__(self, passage: Passage, side: Side) -> None:
        self.passage = passage
        self.side = side

    def channel_requested(self, kind: str, payload: bytes, channel: WireChannel) -> None:
        self.passage.channel_requested(self.side, kind, payload, channel)

    def global_request(self, name: str, payload: bytes, slot: Slot | None) -> None:
        self.passage.global_request(self.side, name, payload, slot)

    def blocked(self, yes: bool) -> None:
        other = self.passage.links.get(UPSTREAM if self.side is CLIENT else CLIENT)
        if other is not None:
            other.read_paused(yes)

    def lost(self, reason: str) -> None:
        self.passage.lost(self.side, reason)


class Passage:
    """The state of one connection; one per loop, so one session cannot reach another's (law 7)."""

    def __init__(self, spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]) -> None:
        self._spawn = spawn
        self.links: dict[Side, Link] = {}
        self.bridges: dict[int, Bridge] = {}
        self.over = trio.Event()
        self.end: Denied | None = None  # why, if it was not the peers who ended it
        self.end_reason = ""
        self.exit: dict[str, object] = {}
        self.stopped = False
        self.ready = False
        self.refusal = ""
        self.turned_away = trio.Event()
        self.client_gone = trio.Event()
        self.told = False  # a client was told the end on its channels
        self._session: Session | None = None
        self._waiting: list[Callable[[], None]] = []
        self._inside: list[Antechamber] = []  # channels whose clients were told that they wait
        self._words = ""  # what they are told
        self._channels_seen = 0
        self._no_more_sessions = False
        self.forwarding: Forwarding | None = None

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task for as long as the connection lives."""
        self._spawn(task)

    # -- the beginning ---------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The open session."""
        assert self._session is not None
        return self._session

    def opened(self, session: Session) -> None:
        """Take the open session; nothing crosses before `go`."""
        self._session = session
        self._words = ""  # whoever comes now waits for the target alone
        self.forwarding = Forwarding(self)
        session.on_end(self._ended_from_outside)

    def held(self, session: Session, text: str) -> None:
        """Somebody must approve the session: its channels are granted meanwhile, so that their clients hear of it."""
        self._session = session
        self._words = text
        self._release()

    def _admit(self, payload: bytes, channel: WireChannel) -> None:
        self._channels_seen += 1
        chamber = Antechamber(channel, payload, self._channels_seen, Lane(self, lambda yes: None))
        self._inside.append(chamber)
        chamber.tell(self._words)

    def go(self) -> None:
        """The target is reached: let what waits cross."""
        self.ready = True
        if not self.links[UPSTREAM].up:
            self.lost(UPSTREAM, "closed right after the login")  # and nobody was told while it was logging in
        inside, self._inside = self._inside, []
        for each in inside:
            self._carry_on(each)
        self._release()

    def _carry_on(self, chamber: Antechamber) -> None:
        """Let a channel cross that was granted while somebody decided."""
        if chamber.gone:  # nobody waits for what was asked on it
            chamber.channel.close()
            return
        values = unpack(CHANNELS["session"], chamber.payload)
        bridge = Bridge(self, chamber.number, "session", CLIENT, chamber.channel, granted=True)
        self.bridges[chamber.number] = bridge
        bridge.open(chamber.payload, values, None)
        chamber.leave(bridge.opener)  # it is read again once the target has opened its like

    def refuse(self, reason: str) -> None:
        """There is no way to the target: tell whoever asks."""
        self.refusal = reason
        inside, self._inside = self._inside, []
        for each in inside:
            lane = each.lane if self._session is not None else None
            each.leave(Doorstep(each.channel, reason, each.number, lane, self.turned_away.set, inside=True))
        self._release()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def _later(self, what: Callable[[], None]) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.overrun("too many channels before the target was reached")
            return
        self._waiting.append(what)

    # -- channels --------------------------------------------------------------------------------------

    def channel_requested(self, side: Side, kind: str, payload: bytes, channel: WireChannel) -> None:
        """A peer asks for a channel (law 5: whichever it is, this is the one way in)."""
        if self.over.is_set() or self.stopped:
            channel.refuse(PROHIBITED, "the session is over")
        elif self.refusal:
            self._turn_away(kind, channel)
        elif not self.ready and self._words and kind == "session" and len(self._inside) < MAX_WAITING:
            self._admit(payload, channel)
        elif not self.ready:
            self._later(lambda: self.channel_requested(side, kind, payload, channel))
        else:
            self._bridge(side, kind, payload, channel)

    def _turn_away(self, kind: str, channel: WireChannel) -> None:
        if kind != "session":
            channel.refuse(PROHIBITED, self.refusal)
            return
        self._channels_seen += 1
        lane = Lane(self, lambda yes: None) if self._session is not None else None
        Doorstep(channel, self.refusal, self._channels_seen, lane, self.turned_away.set)

    def _bridge(self, side: Side, kind: str, payload: bytes, channel: WireChannel) -> None:
        allowed = ("session", "direct-tcpip") if side is CLIENT else ("forwarded-tcpip",)
        word = CHANNELS.get(kind)
        if word is None or kind not in allowed or (kind == "session" and self._no_more_sessions):
            self.note(f"refused channel type {kind[:64]} of the {'client' if side is CLIENT else 'target'}")
            channel.refuse(PROHIBITED, f"{kind[:64]} is not allowed here")
            return
        values = unpack(word, payload)
        self._channels_seen += 1
        number = self._channels_seen
        request: Request | None = None
        if kind != "session":
            assert self.forwarding is not None
            request = self.forwarding.request_for(kind, values, number)
            if request is None:
                self.note(
                    f"refused {kind} to {legible(values['host'])[:255]}:{values['port']}: nobody asked for it"
                )
                channel.refuse(PROHIBITED, "not forwarded")
                return
        bridge = Bridge(self, number, kind, side, channel)
        self.bridges[number] = bridge
        bridge.open(payload, values, request)

    def channel_towards(self, side: Side) -> WireChannel | None:
        """Make a channel on one leg."""
        link = self.links.get(side)
        return link.new_channel() if link is not None else None

    def finished(self, bridge: Bridge) -> None:
        """Forget a bridge whose channels are gone."""
        self.bridges.pop(bridge.number, None)

    def exited(self, number: int, body: Mapping[str, object]) -> None:
        """Remember the first program's exit: it is the session's."""
        if not self.exit or number == self.exit.get("channel"):
            words = {key: body[key] for key in ("status", "signal") if key in body}
            self.exit = {"channel": number, **words}

    # -- requests outside channels -----------------------------------------------------------------------

    def global_request(self, side: Side, name: str, payload: bytes, slot: Slot | None) -> None:
        """A peer asks for something of the connection as a whole."""
        link = self.links[side]
        if side is UPSTREAM:
            # hostkeys-00 and the like: the gateway's trust in a target is configured, not learnt.
            link.answer_global(slot, False)
        elif self.over.is_set() or self.stopped or self.refusal:
            link.answer_global(slot, False)
        elif not self.ready:
            self._later(lambda: self.global_request(side, name, payload, slot))
        elif name == "no-more-sessions@openssh.com":
            self._no_more_sessions = True
            link.answer_global(slot, True)
        else:
            assert self.forwarding is not None
            self.forwarding.global_request(name, payload, slot)

    def note(self, text: str) -> None:
        """Record what no frame shows."""
        self.tell("note", {"text": text})

    def pasted(self, found: Pasted) -> None:
        """Record and tell that a secret was sent."""
        try:
            self.session.pasted(found)
        except RecordingFailed as exc:
            self.recording_failed(exc)

    def tell(self, kind: str, body: Mapping[str, object], kept: Sequence[bytes] = ()) -> None:
        """Record one of the gateway's own frames, with what a mask removed if that is what it tells of."""
        try:
            self.session.record(kind, body, kept)
        except RecordingFailed as exc:
            self.recording_failed(exc)

    # -- the end ---------------------------------------------------------------------------------------

    def _ended_from_outside(self) -> None:
        assert self._session is not None
        self.finish(self._session.denied or Denied("the session was ended", "killed"))

    def recording_failed(self, exc: RecordingFailed) -> None:
        """Stop at once: from here on nothing is passed on, in either direction (laws 1 and 3)."""
        self.stopped = True
        self.finish(Denied(for_client(exc), "recording"))

    def overrun(self, what: str) -> None:
        """Stop: a peer exceeded a limit."""
        self.stopped = True
        self.finish(Denied(what, "limit"))

    def fault(self, what: str) -> None:
        """Stop: something failed that should not; this session alone ends."""
        self.stopped = True
        self.finish(Denied(f"internal error: {what}", "error"))

    def lost(self, side: Side, reason: str) -> None:
        """A connection is over."""
        who = "client" if side is CLIENT else "target"
        if side is CLIENT:
            self.client_gone.set()
        elif not self.ready:
            return  # it never got as far as a session; whoever tried to reach it knows why
        what = f"connection-lost: {who}: {reason}" if reason else f"{_WORDS[side]}-closed"
        if side is UPSTREAM and not self.stopped and not self.over.is_set():
            for bridge in list(self.bridges.values()):
                self.told = True
                bridge.end_with(
                    f"the connection to {self.session.target.name} is gone ({reason or 'closed'})"
                )
        self.finish(None, what)

    def finish(self, end: Denied | None, reason: str = "") -> None:
        """Note the end; the first reason stands."""
        if not self.over.is_set():
            self.end = end
            self.end_reason = reason or (end.code if end is not None else "")
            self.over.set()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in any lane."""
        return all(bridge.idle for bridge in self.bridges.values())
