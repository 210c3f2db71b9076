"""One SSH channel as plain calls and callbacks, the same on both legs (RFC 4254 §5).

asyncssh's channels know what each request means and answer it; a gateway passes requests on, so these give
out every message as it came, in order, and leave the answer to whoever listens.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportPrivateImportUsage=false
# ruff: noqa: RUF012 - asyncssh's private parts, half typed, are this package's business (see its docstring)

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from asyncssh.channel import SSHChannel
from asyncssh.constants import (
    EXTENDED_DATA_STDERR,
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
)
from asyncssh.misc import ProtocolError
from asyncssh.packet import Boolean, SSHPacket, String, UInt32

from recgate_ssh.wire.packets import WHOLE
from recgate_ssh.wire.replies import MAX_OWED, Replies, Slot
from recgate_ssh.wire.transport import MAX_READ

if TYPE_CHECKING:
    from recgate_ssh.wire.link import Link

__all__ = ["MAX_PACKET", "UNWAITED", "WINDOW", "ChannelEvents", "WireChannel"]

WINDOW: Final = (
    2 * 1024 * 1024
)  # bytes a peer may send unasked; what OpenSSH uses, so no slower over distance
MAX_PACKET: Final = 64 * 1024  # bytes of one packet towards us
HIGH_WATER: Final = 256 * 1024  # bytes waiting for the peer's window at which the other side is paused
SMALL: Final = 4 * 1024  # bytes below which a packet counts as small, and is joined to others while paused:
MERGE: Final = 64 * 1024  # up to so many bytes, so that the number of packets costs nothing


class ChannelEvents(Protocol):
    """What a channel tells. Called from within reads: must not block, may call back into the channel."""

    def opened(self) -> None:
        """The peer accepted the channel that we opened."""

    def refused(self, code: int, reason: str) -> None:
        """The peer refused it."""

    def data(self, data: bytes, *, ext: bool) -> None:
        """Bytes came; `ext` is stderr."""

    def eof(self) -> None:
        """The peer sends no more data."""

    def request(self, name: str, payload: bytes, slot: Slot | None) -> None:
        """A request came; `slot` is where its answer goes, if it wants one."""

    def reply(self, ok: bool) -> None:
        """The answer to the oldest unanswered request of ours."""

    def writable(self, yes: bool) -> None:
        """Whether the peer takes more; what is sent meanwhile is held."""

    def closed(self) -> None:
        """The peer closed, or the channel went with its connection. May be told twice."""


class _Nobody:
    """Listens to a channel that is refused."""

    def opened(self) -> None: ...

    def refused(self, code: int, reason: str) -> None: ...

    def data(self, data: bytes, *, ext: bool) -> None: ...

    def eof(self) -> None: ...

    def request(self, name: str, payload: bytes, slot: Slot | None) -> None: ...

    def reply(self, ok: bool) -> None: ...

    def writable(self, yes: bool) -> None: ...

    def closed(self) -> None: ...


_NOBODY: Final = _Nobody()


class _Unwaited:
    """Stands for asyncssh's close events: nobody here waits for one, and each costs a kilobyte."""

    def set(self) -> None: ...


UNWAITED: Final[Any] = _Unwaited()


class WireChannel(SSHChannel[bytes]):
    """A channel of `link`. `events` is set by whoever opens or accepts it."""

    _read_datatypes = {EXTENDED_DATA_STDERR}
    _write_datatypes = {EXTENDED_DATA_STDERR}
    _recv_buf: Any
    _send_buf: Any
    events: ChannelEvents

    def __init__(self, link: Link) -> None:
        super().__init__(link, link._loop, None, "strict", WINDOW, MAX_PACKET)
        link._update_recv_pktlen(MAX_PACKET)
        self._link = link
        self.events = _NOBODY
        self._close_event = UNWAITED
        self._recv_paused = False
        self._gone = False
        self._owed = Replies(self._send_reply)
        self.set_write_buffer_limits(high=HIGH_WATER)

    # -- opening ---------------------------------------------------------------------------------------

    def open(self, kind: bytes, payload: bytes) -> None:
        """Ask the peer for a channel; `events.opened` or `events.refused` follows."""
        link = self._link
        assert self._recv_chan is not None
        link.send_packet(
            MSG_CHANNEL_OPEN,
            String(kind),
            UInt32(self._recv_chan),
            UInt32(self._recv_window),
            UInt32(self._recv_pktsize),
            payload,
        )

    def offered(self, send_chan: int, window: int, packet_size: int) -> None:
        """Note what the peer said when it asked for this channel."""
        self._send_chan, self._send_window, self._send_pktsize = send_chan, window, packet_size

    def accept(self) -> None:
        """Grant the channel that the peer asked for."""
        if self._gone or self._conn is None or self._send_chan is None or self._recv_chan is None:
            return
        self._conn.send_channel_open_confirmation(
            self._send_chan, self._recv_chan, self._recv_window, self._recv_pktsize
        )
        self._send_state = self._recv_state = "open"

    def refuse(self, code: int, reason: str) -> None:
        """Refuse it."""
        if self._gone or self._conn is None or self._send_chan is None:
            return
        self._conn.send_channel_open_failure(self._send_chan, code, reason, "")
        self._loop.call_soon(self._cleanup)

    def process_open_confirmation(
        self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket
    ) -> None:
        """Take the peer's consent."""
        if self._send_state != "closed" or self._send_chan is not None:
            raise ProtocolError("Channel not being opened")
        self.offered(send_chan, send_window, send_pktsize)
        self._send_state = self._recv_state = "open"
        self.events.opened()

    def process_open_failure(self, code: int, reason: str, lang: str) -> None:
        """Take the peer's refusal."""
        if self._send_state != "closed" or self._send_chan is not None:
            raise ProtocolError("Channel not being opened")
        self.events.refused(code, reason)
        self._loop.call_soon(self._cleanup)

    # -- receiving -------------------------------------------------------------------------------------

    def may_take(self, count: int) -> bool:
        """Whether `count` bytes of data are in order now."""
        return 0 < count <= self._recv_window and self._recv_state == "open"

    def take(self, data: bytes) -> None:
        """Take data of one read, in one piece."""
        if self._send_state in ("close_pending", "closed"):
            return  # we closed: what the peer had under way is dropped, as in asyncssh
        if self._recv_paused:
            self._hold(data, None)
        else:
            self._deliver_data(data, None)

    def count_taken(self, count: int) -> None:
        """Account for a packet of data whose bytes are handed over by `take` a little later."""
        self._recv_window -= count

    def _accept_data(self, data: bytes, datatype: int | None = None) -> None:
        if not data or self._send_state in ("close_pending", "closed"):
            return
        self._recv_window -= len(data)
        if self._recv_paused:
            self._hold(data, datatype)
        else:
            self._deliver_data(data, datatype)

    def _hold(self, data: bytes, datatype: int | None) -> None:
        last = self._recv_buf[-1] if self._recv_buf else None
        if last is not None and last[1] == datatype and type(last[0]) is bytearray and len(last[0]) < MERGE:
            last[0].extend(data)
        else:
            self._recv_buf.append((bytearray(data) if len(data) < SMALL else data, datatype))
        self._link.hold(len(data))

    def _deliver_data(self, data: bytes, datatype: int | None) -> None:
        if self._recv_window < self._init_recv_window / 2:
            self.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(self._init_recv_window - self._recv_window))
            self._recv_window = self._init_recv_window
        self.events.data(data, ext=datatype is not None)

    def _flush_recv_buf(self, exc: Exception | None = None) -> None:
        while self._recv_buf and not self._recv_paused:
            data, datatype = self._held()
            self._link.hold(-len(data))
            self._deliver_data(data, datatype)
        if self._recv_buf:
            return
        if self._recv_state == "eof_pending":
            self._recv_state = "eof"
            self.events.eof()
        elif self._recv_state == "close_pending":
            self._recv_state = "closed"
            if self._send_state == "closed":
                self._loop.call_soon(self._cleanup, exc)
            else:
                self.events.closed()

    def _held(self) -> tuple[bytes, int | None]:
        """Take what is held of one kind, in pieces of about one read."""
        data, datatype = self._recv_buf.pop(0)
        if not (self._recv_buf and self._recv_buf[0][1] == datatype and len(data) < MAX_READ):
            return (data if type(data) is bytes else bytes(data)), datatype
        parts, size = [data], len(data)
        while self._recv_buf and self._recv_buf[0][1] == datatype and size < MAX_READ:
            parts.append(self._recv_buf.pop(0)[0])
            size += len(parts[-1])
        return b"".join(parts), datatype

    def _process_channel_request(self, _pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        if self._recv_state not in ("open", "eof_pending", "eof"):
            raise ProtocolError("Channel not open")
        name, want_reply = packet.get_string(), packet.get_boolean()
        slot = self._owed.owe() if want_reply else None
        if len(self._owed) > MAX_OWED:
            raise ProtocolError("Too many requests waiting for an answer")
        if name == b"keepalive@openssh.com":
            # Asked of this connection, not of the one behind it. OpenSSH says no, too: any answer will do.
            self._owed.give(slot, False)
            return
        try:
            text = name.decode("ascii")
        except UnicodeDecodeError:
            raise ProtocolError("Invalid channel request") from None
        self.events.request(text, packet.get_remaining_payload(), slot)

    def _process_channel_response(self, pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        packet.check_end()
        self.events.reply(pkttype == MSG_CHANNEL_SUCCESS)

    def _process_channel_close(self, _pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        """Take the peer's close. Ours follows when the other leg has closed, too, and not before.

        A multiplexing client closes at the end of the data and waits for the exit status behind it; sshd holds its own
        close back until the program has ended. Answering at once, as asyncssh does, would lose the status.
        """
        if self._recv_state not in ("open", "eof_pending", "eof"):
            raise ProtocolError("Channel not open")
        packet.check_end()
        self._recv_state = "close_pending"
        self._flush_recv_buf()

    # asyncssh finds handlers in this table, not by attribute, so overriding alone would do nothing.
    _packet_handlers: Any = {
        **SSHChannel._packet_handlers,
        MSG_CHANNEL_CLOSE: _process_channel_close,
        MSG_CHANNEL_REQUEST: _process_channel_request,
        MSG_CHANNEL_SUCCESS: _process_channel_response,
        MSG_CHANNEL_FAILURE: _process_channel_response,
    }

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, data: bytes, *, ext: bool = False) -> None:
        """Send data, as far as the peer's window allows now; `events.writable` says when too much is held.

        A peer that has closed its side takes no more data; only requests still reach it.
        """
        if self._send_state != "open" or self._recv_state == "closed" or not data:
            return
        count = len(data)
        if (
            count <= WHOLE
            and not self._send_buf
            and not ext
            and count <= min(self._send_window, self._send_pktsize)
        ):
            assert self._send_chan is not None
            if self._link.send_whole(self._send_chan, data):
                self._send_window -= count
                return
        datatype = EXTENDED_DATA_STDERR if ext else None
        view = memoryview(data)
        if not self._send_buf:
            now = min(len(view), self._send_window)
            if now:
                self._send_now(view[:now], datatype)
            if now == len(view):
                return
            view = view[now:]
        self._send_buf.append((view, datatype))
        self._send_buf_len += len(view)
        self._pause_resume_writing()

    def _send_now(self, view: memoryview, datatype: int | None) -> None:
        assert self._send_chan is not None
        self._send_window -= len(view)
        self._link.send_channel_data(self._send_chan, view, self._send_pktsize, datatype)

    def _flush_send_buf(self) -> None:
        while self._send_buf and self._send_window and self._send_chan is not None:
            view, datatype = self._send_buf[0]
            now = min(len(view), self._send_window)
            self._send_buf_len -= now
            self._send_now(view[:now], datatype)
            if now == len(view):
                del self._send_buf[0]
            else:
                self._send_buf[0] = (view[now:], datatype)
        self._pause_resume_writing()
        if not self._send_buf:
            if self._send_state == "eof_pending":
                self.send_packet(MSG_CHANNEL_EOF)
                self._send_state = "eof"
            elif self._send_state == "close_pending":
                self._close_send()

    def _pause_resume_writing(self) -> None:
        if self._send_paused and self._send_buf_len <= self._send_low_water:
            self._send_paused = False
            self.events.writable(True)
        elif not self._send_paused and self._send_buf_len > self._send_high_water:
            self._send_paused = True
            self.events.writable(False)

    def send_eof(self) -> None:
        """Say that no more data follows, after what is held."""
        self.write_eof()

    def send_request(self, name: str, payload: bytes, *, want_reply: bool) -> None:
        """Send a request; its answer, if wanted, comes as `events.reply`."""
        if self._send_state in ("close_pending", "closed"):
            return
        self.send_packet(MSG_CHANNEL_REQUEST, String(name), Boolean(want_reply), payload)

    def answer(self, slot: Slot | None, ok: bool) -> None:
        """Answer a request of the peer's; goes out when those before it have been answered."""
        self._owed.give(slot, ok)

    def _send_reply(self, ok: bool, data: bytes) -> None:
        if self._send_state not in ("close_pending", "closed"):
            self.send_packet(MSG_CHANNEL_SUCCESS if ok else MSG_CHANNEL_FAILURE)

    # -- the end ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close our side, after what is held; if the peer has closed, nobody waits for that any more."""
        if self._recv_state == "closed" and self._send_state != "closed":
            self._send_state = "open"
            self._close_send()
        else:
            super().close()

    def _close_send(self) -> None:
        super()._close_send()
        if self._recv_state == "closed" and not self._gone:
            self._loop.call_soon(self._cleanup)

    @property
    def gone(self) -> bool:
        """Whether the channel is no more."""
        return self._gone

    def _cleanup(self, exc: Exception | None = None) -> None:
        if self._gone:
            return
        self._link.deliver_gathered()
        self._gone = True
        while self._recv_buf:
            self._link.hold(-len(self._recv_buf.pop(0)[0]))
        super()._cleanup(exc)
        self.events.closed()

    def _discard_recv(self) -> None:
        while self._recv_buf:
            self._link.hold(-len(self._recv_buf.pop(0)[0]))
        super()._discard_recv()
