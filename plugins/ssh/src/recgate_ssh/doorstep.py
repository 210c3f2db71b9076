"""Tell a client that got in as far as the gateway why it goes no further: the way a failed command would.

Without this, a denied or unreachable target would be a closed connection, and every client words that
differently and wrongly. The channel is accepted, and whatever program is asked for "runs": one line on stderr,
exit status 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate.sansio.frames import CLIENT, GATEWAY, Frame
from recgate_ssh.bridge import stderr_line
from recgate_ssh.frames import Kind, word_frame
from recgate_ssh.lane import Lane
from recgate_ssh.wire.channel import ChannelEvents, WireChannel
from recgate_ssh.wire.replies import Slot
from recgate_ssh.words import FROM_CLIENT

__all__ = ["Antechamber", "Doorstep"]

STATUS: Final = 1
MAX_ASKED: Final = 256  # requests of one channel that wait for an approval; a client sends a handful


class Doorstep:
    """One session channel that leads nowhere (`ChannelEvents`). `told` is called when it is over."""

    def __init__(
        self,
        channel: WireChannel,
        reason: str,
        number: int,
        lane: Lane | None,
        told: Callable[[], None],
        *,
        inside: bool = False,
    ) -> None:
        self._channel = channel
        self._reason = reason
        self._lane = lane  # None where no recording was opened: then there is nothing to record in
        self._number = number
        self._told = told
        channel.events = self
        if inside:  # it was granted while somebody decided on it
            channel.resume_reading()
        else:
            channel.accept()

    def opened(self) -> None: ...

    def refused(self, code: int, reason: str) -> None: ...

    def data(self, data: bytes, *, ext: bool) -> None: ...

    def eof(self) -> None: ...

    def reply(self, ok: bool) -> None: ...

    def writable(self, yes: bool) -> None: ...

    def closed(self) -> None:
        self._told()

    def request(self, name: str, payload: bytes, slot: Slot | None) -> None:
        word = FROM_CLIENT.get(name)
        self._channel.answer(slot, word is not None)
        if word is None or not word.starts:
            return
        line = Frame(GATEWAY, "ext", stderr_line(self._reason), self._number, to=CLIENT)
        status = word_frame(GATEWAY, Kind.EXIT, {"type": "exit-status", "status": STATUS}, self._number)
        status.to = CLIENT
        self._say(line, lambda frame: self._channel.send(frame.data, ext=True))
        self._say(status, self._leave)

    def _say(self, frame: Frame, deliver: Callable[[Frame], None]) -> None:
        if self._lane is None:
            deliver(frame)
        else:
            self._lane.push(frame, deliver)

    def _leave(self, frame: Frame) -> None:
        self._channel.send_request("exit-status", STATUS.to_bytes(4, "big"), want_reply=False)
        self._channel.send_eof()
        self._channel.close()


class Antechamber:
    """A session channel that was granted so that its client can be told that it waits (`ChannelEvents`).

    Nothing of it reaches the target: what the client asks for is kept, in order and bounded, and nothing of its data
    is read, until somebody has decided. Then `leave` gives the channel to whoever carries it on.
    """

    def __init__(self, channel: WireChannel, payload: bytes, number: int, lane: Lane) -> None:
        self.channel = channel
        self.payload = payload  # of the channel's opening
        self.number = number
        self.lane = lane
        self.gone = False
        self._asked: list[tuple[str, bytes, Slot | None]] = []
        channel.events = self
        channel.accept()
        channel.pause_reading()

    def tell(self, text: str) -> None:
        """Write a line to the client's standard error."""
        line = Frame(GATEWAY, "ext", stderr_line(text), self.number, to=CLIENT)
        self.lane.push(line, lambda frame: self.channel.send(frame.data, ext=True))

    def leave(self, events: ChannelEvents) -> None:
        """Hand what was asked for to whoever carries the channel on, in its order."""
        self.channel.events = events
        asked, self._asked = self._asked, []
        for name, payload, slot in asked:
            events.request(name, payload, slot)
        if self.gone:
            events.closed()

    def opened(self) -> None: ...

    def refused(self, code: int, reason: str) -> None: ...

    def data(self, data: bytes, *, ext: bool) -> None: ...

    def eof(self) -> None: ...

    def reply(self, ok: bool) -> None: ...

    def writable(self, yes: bool) -> None: ...

    def closed(self) -> None:
        self.gone = True

    def request(self, name: str, payload: bytes, slot: Slot | None) -> None:
        if len(self._asked) >= MAX_ASKED:
            self.channel.answer(slot, False)
            return
        self._asked.append((name, payload, slot))
