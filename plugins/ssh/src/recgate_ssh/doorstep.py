"""Tell a client that got in as far as the gateway why it goes no further: the way a failed command would.

Without this, a denied or unreachable target would be a closed connection, and every client words that
differently and wrongly. The channel is accepted, and whatever program is asked for "runs": one line on stderr,
exit status 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate.sansio.frames import CLIENT, GATEWAY, Frame
from recgate_ssh.frames import Kind, word_frame
from recgate_ssh.lane import Lane
from recgate_ssh.wire.channel import WireChannel
from recgate_ssh.wire.replies import Slot
from recgate_ssh.words import FROM_CLIENT

__all__ = ["Doorstep"]

STATUS: Final = 1


class Doorstep:
    """One session channel that leads nowhere (`ChannelEvents`). `told` is called when it is over."""

    def __init__(
        self, channel: WireChannel, reason: str, number: int, lane: Lane | None, told: Callable[[], None]
    ) -> None:
        self._channel = channel
        self._reason = reason
        self._lane = lane  # None where no recording was opened: then there is nothing to record in
        self._number = number
        self._told = told
        channel.events = self
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
        line = Frame(GATEWAY, "ext", f"recgate: {self._reason}\r\n".encode(), self._number, to=CLIENT)
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
