"""What both legs' connections have in common: which channels and requests are told to whom, and the end.

The one decision point (law 5) needs every way in to pass one place: here each channel-open and each global
request of a peer becomes one call, whatever its name, and asyncssh's own handlers for them are out of reach.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportPrivateImportUsage=false
# ruff: noqa: RUF012 - asyncssh's private parts, half typed, are this package's business (see its docstring)

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol, cast

import asyncssh
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_GLOBAL_REQUEST, MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS
from asyncssh.misc import ProtocolError
from asyncssh.packet import SSHPacket

from recgate_ssh.wire.algorithms import safe_encryption
from recgate_ssh.wire.channel import UNWAITED, WireChannel
from recgate_ssh.wire.lean import QuietLogger
from recgate_ssh.wire.loop import Loop
from recgate_ssh.wire.packets import PacketLayer
from recgate_ssh.wire.replies import MAX_OWED, Replies, Slot
from recgate_ssh.wire.transport import Pause, SocketTransport

__all__ = ["MAX_CHANNELS", "Link", "LinkEvents"]

MAX_CHANNELS: Final = 128  # open at once on one connection; OpenSSH's own default is 10 sessions
MAX_BUFFERED: Final = 8 * 1024 * 1024  # bytes held for paused channels at which the connection is not read


class LinkEvents(Protocol):
    """What a connection tells. Called from within reads: must not block."""

    def channel_requested(self, kind: str, payload: bytes, channel: WireChannel) -> None:
        """The peer asks for a channel: accept or refuse it, now or later."""

    def global_request(self, name: str, payload: bytes, slot: Slot | None) -> None:
        """The peer asks for something outside any channel; `slot` is where an answer goes."""

    def blocked(self, yes: bool) -> None:
        """Whether the peer has stopped taking what is sent to it."""

    def lost(self, reason: str) -> None:
        """The connection is over; `reason` is empty after an orderly end."""


class Link(PacketLayer):
    """One connection. The subclass says which side of the protocol it plays."""

    events: LinkEvents

    def start_link(self, events: LinkEvents) -> None:
        """Set what the base class does not know. Called once, before any data."""
        self.events = events
        self._logger = QuietLogger()
        self.said = ""  # what the peer gave as its reason
        self._held = 0
        self._asked: list[Callable[[bool, bytes], None]] = []
        self._owed_global = Replies(self._send_global_reply)
        self._over = False
        self._close_event = UNWAITED

    @property
    def loop(self) -> Loop:
        """The session's loop, as what it is."""
        return cast("Loop", self._loop)

    def create_task(self, coro: Awaitable[None], task_logger: Any = None) -> asyncio.Task[None]:  # noqa: ANN401
        """Run what asyncssh does step by step. asyncssh itself would look for a running loop; there is none."""
        task: asyncio.Task[None] = self.loop.create_task(cast("Coroutine[Any, Any, None]", coro))
        task.add_done_callback(partial(self._reap_task, task_logger))
        self._tasks.add(task)
        return task

    def settle(self) -> None:
        """Let go of what was for logging in only: keys and password (law 4), and ten kilobytes of an idle session."""
        state: Any = self
        state._options = None
        state._known_hosts = None
        state._client_keys = []
        state._password = None
        state._client_kexinit = state._server_kexinit = b""

    # -- channels and requests ---------------------------------------------------------------------------

    def new_channel(self) -> WireChannel | None:
        """Make a channel to open towards the peer; None when the connection is gone or full."""
        if self._transport is None or len(self._channels) >= MAX_CHANNELS:
            return None
        return WireChannel(self)

    def _process_open(self, _pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        kind = packet.get_string()
        number, window, size = packet.get_uint32(), packet.get_uint32(), packet.get_uint32()
        if size <= 0:
            raise ProtocolError("Invalid maximum packet size")
        if len(self._channels) >= MAX_CHANNELS:
            self.send_channel_open_failure(number, asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many channels", "")
            return
        try:
            name = kind.decode("ascii")
        except UnicodeDecodeError:
            raise ProtocolError("Invalid channel open request") from None
        channel = WireChannel(self)
        channel.offered(number, window, size)
        self.events.channel_requested(name, packet.get_remaining_payload(), channel)

    def _process_global(self, _pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        name, want_reply = packet.get_string(), packet.get_boolean()
        slot = self._owed_global.owe() if want_reply else None
        if len(self._owed_global) > MAX_OWED:
            raise ProtocolError("Too many requests waiting for an answer")
        if name == b"keepalive@openssh.com":
            self._owed_global.give(slot, True)
            return
        try:
            text = name.decode("ascii")
        except UnicodeDecodeError:
            raise ProtocolError("Invalid global request") from None
        self.events.global_request(text, packet.get_remaining_payload(), slot)

    def _process_global_answer(self, pkttype: int, _pktid: int, packet: SSHPacket) -> None:
        if not self._asked:
            raise ProtocolError("Unexpected global response")
        self._asked.pop(0)(pkttype == MSG_REQUEST_SUCCESS, packet.get_remaining_payload())

    # asyncssh finds handlers in this table, not by attribute, so overriding alone would do nothing.
    _packet_handlers: Any = {
        **SSHConnection._packet_handlers,
        MSG_CHANNEL_OPEN: _process_open,
        MSG_GLOBAL_REQUEST: _process_global,
        MSG_REQUEST_SUCCESS: _process_global_answer,
        MSG_REQUEST_FAILURE: _process_global_answer,
    }

    def answer_global(self, slot: Slot | None, ok: bool, data: bytes = b"") -> None:
        """Answer a global request of the peer's, in its turn."""
        self._owed_global.give(slot, ok, data)

    def _send_global_reply(self, ok: bool, data: bytes) -> None:
        self.send_packet(MSG_REQUEST_SUCCESS if ok else MSG_REQUEST_FAILURE, data if ok else b"")

    def ask_global(self, name: str, payload: bytes, answered: Callable[[bool, bytes], None] | None) -> None:
        """Send a global request; `answered(ok, data)` is called once, with False if the connection ends first."""
        if self._transport is None:
            if answered is not None:
                answered(False, b"")
            return
        if answered is not None:
            self._asked.append(answered)
        self._send_global_request(name.encode(), payload, want_reply=answered is not None)

    # -- flow ------------------------------------------------------------------------------------------

    def hold(self, count: int) -> None:
        """Account for bytes held (or, negative, no longer) for channels that are paused."""
        before, self._held = self._held, self._held + count
        transport: SocketTransport | None = self._transport  # type: ignore[assignment]
        if transport is None:
            return
        if before <= MAX_BUFFERED < self._held:
            transport.pause_reading(Pause.HELD)
        elif self._held <= MAX_BUFFERED < before:
            transport.resume_reading(Pause.HELD)

    def pause_writing(self) -> None:
        """The transport is full."""
        self.events.blocked(True)

    def resume_writing(self) -> None:
        """The transport has room again."""
        self.events.blocked(False)

    def read_paused(self, yes: bool) -> None:
        """Read nothing more from the peer (or again): the other leg cannot take it."""
        transport: SocketTransport | None = self._transport  # type: ignore[assignment]
        if transport is not None:
            (transport.pause_reading if yes else transport.resume_reading)(Pause.OTHER_LEG)

    # -- key exchange ----------------------------------------------------------------------------------

    def _choose_alg(self, alg_type: str, local_algs: Sequence[bytes], remote_algs: Sequence[bytes]) -> bytes:
        if alg_type == "encryption":
            local_algs = safe_encryption(local_algs, strict=self._strict_kex)
        return super()._choose_alg(alg_type, local_algs, remote_algs)

    def _reset_keepalive_timer(self) -> None:
        """Nothing: whoever drives both legs looks after them, without a timer set anew at every read."""

    @property
    def facts(self) -> dict[str, str]:
        """What was agreed on and who the peer says it is, for the recording."""
        version = self._client_version if self.is_server() else self._server_version
        return {
            "version": version.decode("ascii", "replace")[:255],
            "cipher": self._enc_alg_cs.decode("ascii", "replace"),
        }

    # -- the end ---------------------------------------------------------------------------------------

    def farewell(self, reason: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Say why and close. The peer's client shows `reason`."""
        if self._transport is not None:
            self._send_disconnect(code, reason, "en")
            self._force_close(None)

    def _cleanup(self, exc: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        while self._asked:
            self._asked.pop(0)(False, b"")
        self.deliver_gathered()
        # Told before its channels close, while there is still somebody to pass the reason on to.
        self.events.lost(_words(exc))
        super()._cleanup(exc)

    def heard_since(self) -> bool:
        """Whether anything came since this was last asked."""
        transport: SocketTransport | None = self._transport  # type: ignore[assignment]
        if transport is None:
            return True
        heard, transport.heard = transport.heard, False
        return heard

    @property
    def unsent(self) -> int:
        """Bytes that wait: for the peer's windows, or for its socket."""
        transport: SocketTransport | None = self._transport  # type: ignore[assignment]
        if transport is None:
            return 0
        held = sum(channel.get_write_buffer_size() for channel in self._channels.values())
        return held + transport.get_write_buffer_size()

    @property
    def up(self) -> bool:
        """Whether the connection still stands."""
        return self._transport is not None


def _words(exc: Exception | None) -> str:
    if exc is None:
        return ""
    if isinstance(exc, asyncssh.Error):
        return exc.reason or type(exc).__name__
    return str(exc) or type(exc).__name__
