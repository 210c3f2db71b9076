"""An asyncio transport whose socket trio reads: one wake-up per read, and real back-pressure.

A socket transport of asyncio's on trio wakes two trio tasks for each readable event, which is most of the time
that a keystroke spends in a gateway. Here a trio task reads and calls the protocol itself; asyncio's part is
left to what is rare (key exchange, login).
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from enum import IntFlag
from typing import Any, Final, Protocol

import trio

from recgate_ssh.wire.loop import Spawn

__all__ = ["MAX_READ", "MAX_UNSENT", "Pause", "SocketTransport"]

MAX_READ: Final = 128 * 1024  # bytes of one read, and so about the largest frame; more falls out of the cache
BULK: Final = 16 * 1024  # a read this large says that more is probably there already
# Reads after which a peer's bytes are acknowledged at once. Both of OpenSSH's programs log in under Nagle's algorithm
# and write their messages one by one, so that one of them waits for the acknowledgement of another, which the kernel
# delays by 40 ms; twice in every set-up. More is not needed: once channels are open, answers carry acknowledgements.
PROMPT: Final = 32
FAIRNESS: Final = 16  # reads without waiting before other sessions get their turn
HIGH_WATER: Final = 512 * 1024  # unsent bytes at which the other leg stops being read
LOW_WATER: Final = 64 * 1024
# Unsent bytes at which this peer itself is not read any more: it asks and asks, and does not read the answers.
MAX_UNSENT: Final = 4 * 1024 * 1024

# One buffer for the process: reads are consumed before any other task can run, and a buffer per connection
# would be most of an idle session's memory.
_buffer = bytearray(MAX_READ)
_view = memoryview(_buffer)


class Pause(IntFlag):
    """Why a peer is not read. Each reason ends by itself, and reading goes on when none is left."""

    OTHER_LEG = 1  # the connection across cannot take more
    HELD = 2  # too much is held for channels that wait
    UNPARSED = 4  # a key exchange or login is worked on
    UNSENT = 8  # the peer does not read what it is sent


class ByteProtocol(Protocol):
    """What a transport feeds. `data_received` must have copied what it keeps before it returns."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: Exception | None = None) -> None: ...
    def data_received(self, data: memoryview) -> None: ...
    def eof_received(self) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class SocketTransport(asyncio.Transport):
    """One connected, non-blocking socket. Whoever made it closes the socket after `run` has returned."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: ByteProtocol,
        spawn: Spawn,
    ) -> None:
        super().__init__()
        self._socket = sock
        self._protocol = protocol
        self._spawn = spawn
        self._backlog: deque[memoryview] | None = None  # made when the kernel takes no more, which is seldom
        self._unsent = 0
        self._write_paused = False
        self._pauses = 0  # the reasons of `Pause`; a plain number, since every read looks at it
        self._resumed = trio.Event()
        self.closed = False
        self.heard = True  # something came since whoever keeps the connection alive last looked

    # -- reading ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until EOF, error or `abort`, calling the protocol. Cancelled, nothing read is lost but the rest."""
        protocol, recv_into = self._protocol, self._socket.recv_into
        fd, wait_readable = self._socket.fileno(), trio.lowlevel.wait_readable
        protocol.connection_made(self)
        turns, wait, prompt = 0, False, PROMPT if _acknowledges(self._socket) else 0
        while not self.closed:
            if self._pauses:
                await self._resumed.wait()
                continue
            try:
                if wait:
                    if prompt:
                        prompt -= 1
                        # For what was read last; the kernel forgets it by itself, which is why it is said again.
                        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                    wait, turns = False, 0
                    await wait_readable(fd)
                    continue  # it may have been paused or aborted meanwhile
                count = recv_into(_buffer)
            except BlockingIOError:
                wait = True
                continue
            except trio.ClosedResourceError:
                return  # aborted while it waited
            except OSError as exc:
                protocol.connection_lost(exc)
                return
            if not count:
                protocol.eof_received()
                return
            self.heard = True
            protocol.data_received(_view[:count])
            turns += 1
            if count < BULK:
                wait = True
            elif turns >= FAIRNESS:
                turns = 0
                await trio.lowlevel.checkpoint()

    def pause_reading(self, why: Pause = Pause.OTHER_LEG) -> None:
        """Take nothing more from the socket for this reason, until it is resumed for this reason."""
        if not self._pauses:
            self._resumed = trio.Event()
        self._pauses |= why.value

    def resume_reading(self, why: Pause = Pause.OTHER_LEG) -> None:
        """Read on, unless there is another reason not to."""
        self._pauses &= ~why.value
        if not self._pauses:
            self._resumed.set()

    def is_reading(self) -> bool:
        """Whether reads are taken."""
        return not self._pauses

    # -- writing ---------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send what the kernel takes now and keep the rest, in order."""
        if self.closed:
            return
        if not self._backlog:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as exc:
                self._lost(exc)
                return
            if sent == len(data):
                return
            self._keep(memoryview(data)[sent:])
            self._spawn(self._drain)
        else:
            self._keep(memoryview(data))

    def _keep(self, rest: memoryview) -> None:
        if self._backlog is None:
            self._backlog = deque()
        # A copy: the caller may use its buffer again.
        self._backlog.append(memoryview(bytes(rest)))
        self._unsent += len(rest)
        if self._unsent > HIGH_WATER and not self._write_paused:
            self._write_paused = True
            self._protocol.pause_writing()
        if self._unsent > MAX_UNSENT:
            self.pause_reading(Pause.UNSENT)

    async def _drain(self) -> None:
        while self._backlog and not self.closed:
            try:
                await trio.lowlevel.wait_writable(self._socket)
                if not self._backlog:
                    return  # aborted while it waited
                sent = self._socket.send(self._backlog[0])
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError) as exc:
                self._lost(exc)
                return
            self._unsent -= sent
            if sent == len(self._backlog[0]):
                self._backlog.popleft()
            else:
                self._backlog[0] = self._backlog[0][sent:]
            if self._write_paused and self._unsent <= LOW_WATER:
                self._write_paused = False
                self._protocol.resume_writing()
                self.resume_reading(Pause.UNSENT)
        if not self._backlog:
            self._backlog = None

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._unsent

    # -- the end ---------------------------------------------------------------------------------------

    def _lost(self, exc: Exception) -> None:
        self.abort()
        self._protocol.connection_lost(exc)

    def abort(self) -> None:
        """Stop reading and writing now; what was not sent is dropped. Idempotent."""
        self.closed = True
        self._resumed.set()
        self._backlog = None
        self._unsent = 0
        # Wakes the reading task out of its wait. The socket itself is closed by whoever made it.
        trio.lowlevel.notify_closing(self._socket)

    close = abort

    def is_closing(self) -> bool:
        """Whether it was aborted."""
        return self.closed

    def get_extra_info(self, name: str, default: object = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """Give `socket`, `sockname` or `peername`."""
        if name == "socket":
            return self._socket
        try:
            if name == "sockname":
                return self._socket.getsockname()
            if name == "peername":
                return self._socket.getpeername()
        except OSError:
            return default
        return default


def _acknowledges(sock: socket.socket) -> bool:
    """Whether this is TCP, and not a tunnel's near end."""
    return sock.family in (socket.AF_INET, socket.AF_INET6)
