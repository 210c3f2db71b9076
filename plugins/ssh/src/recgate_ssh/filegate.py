"""Let rules decide on what an SFTP client does to files, and refuse in SFTP's own words.

A refused packet never reaches the target; its answer, SSH_FX_PERMISSION_DENIED, is put between two of the target's
packets, and the session goes on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from recgate.decisions import Decision
from recgate.errors import RemoteProtocolError
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame
from recgate_ssh.paths import file_request
from recgate_ssh.sftprequests import PERMISSION_DENIED, UNSUPPORTED, Answers, Requests, status

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["FileGate"]

MAX_WAITING: Final = 1024  # refusals that wait for the target to finish a packet


class FileGate:
    """Stands in one channel: `asked` takes what the client sends, `answered` what the target does."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._answers = Answers()
        self._requests = Requests(self._answers)
        self._waiting: list[bytes] = []
        self._broken = False

    def asked(self, data: bytes, ext: bool) -> None:
        """Take a read of the client."""
        if self._broken or ext:
            return
        bridge = self._bridge
        near, far = bridge.ends[CLIENT], bridge.ends[UPSTREAM]
        try:
            pieces = self._requests.feed(data)
        except RemoteProtocolError as exc:
            self._fail(exc)
            return
        for piece in pieces:
            if piece.refused:
                self._say(status(piece.ident, UNSUPPORTED, "not supported through this gateway"))
                continue
            frame = Frame(CLIENT, "data", piece.data, bridge.number)
            if piece.acts:
                frame.request = file_request(bridge.number, piece.acts, by="sftp")
                near.lane.push(frame, far.put, partial(self._refuse, piece.ident))
            else:
                near.lane.push(frame, far.put)

    def answered(self, data: bytes, ext: bool) -> None:
        """Take a read of the target."""
        bridge = self._bridge
        near, lane = bridge.ends[CLIENT], bridge.ends[UPSTREAM].lane
        if ext:
            lane.push(Frame(UPSTREAM, "ext", data, bridge.number), near.put)
            return
        if self._broken:
            return
        try:
            first = self._answers.feed(data)
        except RemoteProtocolError as exc:
            self._fail(exc)
            return
        if self._waiting and first >= 0:
            lane.push(Frame(UPSTREAM, "data", data[:first], bridge.number), near.put)
            data = data[first:]
            waiting, self._waiting = self._waiting, []
            for packet in waiting:
                self._push(packet)
        if data:
            lane.push(Frame(UPSTREAM, "data", data, bridge.number), near.put)

    def _refuse(self, ident: int, decision: Decision) -> None:
        self._answers.asked.pop(ident, None)
        self._say(status(ident, PERMISSION_DENIED, self._bridge.words(decision)))

    def _say(self, packet: bytes) -> None:
        if self._answers.between:
            self._push(packet)
        elif len(self._waiting) >= MAX_WAITING:
            self._bridge.crossing.overrun("too many refused requests in one packet's time")
        else:
            self._waiting.append(packet)

    def _push(self, packet: bytes) -> None:
        bridge = self._bridge
        frame = Frame(GATEWAY, "data", packet, bridge.number, to=CLIENT)
        bridge.ends[UPSTREAM].lane.push(frame, bridge.ends[CLIENT].put)

    def _fail(self, exc: RemoteProtocolError) -> None:
        self._broken = True
        self._bridge.end_with(f"the file transfer cannot be followed: {exc}")
